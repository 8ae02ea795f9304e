"""Nothing that MLflow has to hear is lost, when its server goes away or a process is killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from sftcore.tracking import open_run, replay_pending
from sftcore.tracking import run as run_module
from tests.import_closure import ROOT

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


class Server:
    """An MLflow server on loopback over sqlite that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1",
                 "--port", str(self._port), "--backend-store-uri",
                 f"sqlite:///{self._folder}/server.db",
                 "--artifacts-destination", str(self._folder / "artifacts")],
                env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 120
        while not self.answers():
            assert time.monotonic() < deadline, (self._folder / "server.log").read_text()
            time.sleep(0.2)

    def answers(self) -> bool:
        try:
            urlopen(f"{self.uri}/health", timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    if not server.answers():
        server.start()
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    return tmp_path


@contextmanager
def run_of(key: str) -> Iterator[Any]:
    options = {"enabled": True, "experiment": "test", "name": key, "tags": {}}
    with open_run(**options, key=("sft.run_key", key)) as run:  # type: ignore[arg-type]
        yield run


def stored(uri: str, key: str) -> tuple[str, list[tuple[int, float]], dict[str, str]]:
    """Status, history of ``a``, and parameters of the only run of a key."""
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("test")
    which = f"tags.`sft.run_key` = '{key}'"
    (run,) = client.search_runs([experiment.experiment_id], which)
    history = client.get_metric_history(run.info.run_id, "a")
    return run.info.status, [(m.step, m.value) for m in history], run.data.params


def pending(root: Path) -> list[Path]:
    return list((root / ".sft" / "mlflow_pending").glob("*.jsonl"))


def count_tries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of the entries that a run tries to deliver from now on."""
    tries: list[str] = []
    original = run_module.deliver_or_drop

    def deliver(target: Any, entry: Any) -> None:
        tries.append(entry["kind"])
        original(target, entry)

    monkeypatch.setattr(run_module, "deliver_or_drop", deliver)
    return tries


EPOCHS = [(step, float(step)) for step in range(9)]


def test_a_server_that_comes_back_gets_everything_in_order(
    root: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "_RETRY_S", 0.1)
    monkeypatch.setattr(run_module, "_RETRY_FACTOR", 0)
    before = int(time.time() * 1000)
    with run_of("back") as run:
        for step in range(3):
            run.log_metrics({"a": step}, step)
        server.kill()
        run.log_params({"late": 1})
        for step in range(3, 6):
            run.log_metrics({"a": step}, step)
        assert pending(root)
        while_away = int(time.time() * 1000)
        server.start()
        for step in range(6, 9):
            run.log_metrics({"a": step}, step)
    assert stored(server.uri, "back") == ("FINISHED", EPOCHS, {"late": "1"})
    assert not pending(root)
    client = mlflow.MlflowClient(server.uri)
    times = [m.timestamp for m in client.get_metric_history(run.run_id, "a")]
    assert before <= times[0] <= times[5] <= while_away <= times[6], "times are those of logging"


def test_a_server_that_stays_away_is_told_by_sync(
    root: Path,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_module, "_RETRY_S", 1e9)
    with run_of("away") as run:
        run.log_metrics({"a": 0}, 0)
        server.kill()
        tries = count_tries(monkeypatch)
        for step in range(1, 9):
            run.log_metrics({"a": step}, step)
        assert len(tries) == 1, "a dead server must not slow training"
    assert "make sync" in caplog.text
    assert [*replay_pending()] == [], "the file of a living process is its own"
    rename_to_dead_process(pending(root)[0])
    with pytest.raises(Exception, match="Connection refused"):
        list(replay_pending())
    assert len(pending(root)) == 1
    server.start()
    assert [*replay_pending()] == ["delivered 9 entries of the run away"]
    assert stored(server.uri, "away") == ("FINISHED", EPOCHS, {})
    assert [*replay_pending()] == []


def rename_to_dead_process(file: Path) -> Path:
    """This process is alive, so its own file is left alone."""
    return file.rename(file.with_name(f"999999999-{file.name.partition('-')[2]}"))


def test_a_run_that_never_began_is_told_by_sync(root: Path, server: Server) -> None:
    server.kill()
    with run_of("never") as run:
        run.log_params({"p": 1, "where": "http://me:secret@host/x"})
        for step in range(9):
            run.log_metrics({"a": step}, step)
    (file,) = pending(root)
    assert "secret" not in file.read_text()
    rename_to_dead_process(file)
    server.start()
    assert len([*replay_pending()]) == 1
    assert stored(server.uri, "never")[:2] == ("FINISHED", EPOCHS)
    assert stored(server.uri, "never")[2]["where"] == "http://host/x"


KILLED = """
import os, signal, sys
from sftcore.tracking import open_run
key = ("sft.run_key", sys.argv[1])
with open_run(enabled=True, experiment="test", name="k", tags={}, key=key) as run:
    run.log_params({"p": 1})
    for step in range(int(sys.argv[3])):
        run.log_metrics({"a": step}, step)
    if sys.argv[2] != "none":
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
"""


@pytest.mark.parametrize(("kill", "left"), [("SIGKILL", "RUNNING"), ("SIGTERM", "KILLED")])
@pytest.mark.parametrize("store", ["server", "sqlite"])
def test_a_killed_run_is_continued_and_no_step_is_logged_twice(
    kill: str, left: str, store: str, root: Path, server: Server
) -> None:
    uri = server.uri if store == "server" else f"sqlite:///{root}/mlflow.db"
    env = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": uri}
    key = f"{kill} {store}"
    subprocess.run([sys.executable, "-c", KILLED, key, kill, "5"], env=env, check=False)
    assert stored(uri, key) == (left, EPOCHS[:5], {"p": "1"})
    subprocess.run([sys.executable, "-c", KILLED, key, "none", "9"], env=env, check=True)
    assert stored(uri, key) == ("FINISHED", EPOCHS, {"p": "1"})


def test_a_store_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process killed while it creates the tables leaves nothing that stops the next one."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    env = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": uri}
    command = [sys.executable, "-c", KILLED, "half", "none", "9"]
    first = subprocess.Popen(command, env=env, cwd=tmp_path)
    while not list(tmp_path.glob(".mlflow.db.*.tmp")):
        assert first.poll() is None, "the store was not made aside"
        time.sleep(0.001)
    first.kill()
    first.wait()
    assert not (tmp_path / "mlflow.db").exists()
    subprocess.run(command, env=env, cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    assert stored(uri, "half")[:2] == ("FINISHED", EPOCHS)
    assert not list(tmp_path.glob(".mlflow.db.*.tmp"))


@pytest.mark.parametrize("store", ["server", "sqlite"])
def test_several_at_once_lose_no_run(store: str, root: Path, server: Server) -> None:
    uri = server.uri if store == "server" else f"sqlite:///{root}/mlflow.db"
    env = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": uri}
    keys = [f"{store} {number}" for number in range(3)]
    started = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", KILLED, key, "none", "9"], env=env,
                         stderr=subprocess.PIPE)
        for key in keys
    ]  # fmt: skip
    assert [process.communicate(timeout=120)[1] for process in started] == [b""] * 3
    for key in keys:
        assert stored(uri, key)[:2] == ("FINISHED", EPOCHS)


def test_the_same_content_in_another_dvc_experiment_is_another_run(
    root: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = []
    for name in ("", "first", "second", "first"):
        monkeypatch.setenv("DVC_EXP_NAME", name)
        with run_of("shared") as run:
            ids.append(run.run_id)
    assert len(set(ids)) == 3
    assert ids[1] == ids[3]


def test_an_entry_that_is_refused_does_not_hold_up_the_others(
    root: Path, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with run_of("refused") as run:
        run.log_metrics({"not allowed: $%": 1.0})
        run.log_metrics({"a": 0.0}, 0)
    assert stored(server.uri, "refused")[:2] == ("FINISHED", [(0, 0.0)])
    assert "MLflow refuses the metrics" in caplog.text
