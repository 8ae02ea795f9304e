import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sftcore.evaluation.predict import load_model, look_at, save_model
from sftcore.foundations.errors import TrackingError
from sftcore.foundations.repository import repository_root
from sftcore.models.start import build_start
from sftcore.tracking import check_store, open_run, tracking_uri
from tests.import_closure import ROOT
from tests.tracking.test_delivery import count_tries

mlflow = pytest.importorskip("mlflow")

# These tests open stores themselves; what the package does must need no such exception.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def runs(root: Path) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return client.search_runs(ids, order_by=["attributes.start_time ASC"])


def start(**changes: object) -> object:
    options = {"enabled": True, "experiment": "test", "name": "run", "tags": {"a": "b"}} | changes
    return open_run(**options)  # type: ignore[arg-type]


def test_the_root_is_the_main_checkout_everywhere(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inside = root / ".dvc" / "tmp" / "exps" / "xyz" / "sub"
    inside.mkdir(parents=True)
    (inside.parent / ".dvc").mkdir()
    monkeypatch.chdir(inside)
    assert repository_root() == root
    monkeypatch.setenv("DVC_ROOT", "/elsewhere")
    assert repository_root() == Path("/elsewhere")
    monkeypatch.delenv("DVC_ROOT")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / ".dvc").mkdir()
    (linked / ".git").write_text("gitdir: /main/.git/worktrees/linked\n")
    monkeypatch.chdir(linked)
    assert repository_root() == Path("/main")


def test_the_users_store_wins(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri() == f"sqlite:///{root}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert tracking_uri() == "http://127.0.0.1:1"


def test_stores_that_cannot_work_are_told_beforehand(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_store(enabled=True)
    for uri, message in (("http://127.0.0.1:9", "does not answer"), ("file:///x", "plain folders")):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with pytest.raises(TrackingError, match=message):
            check_store(enabled=True)
        check_store(enabled=False)


def test_everything_arrives_and_the_run_ends(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "puffy-name")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "abc123")
    (root / "file.txt").write_text("hello")
    samples = pd.DataFrame({"label": ["x", "y"], "split": ["train", "val"]})
    with start() as run:
        run.log_params({"train.penalties.l1": 0.1, "long": "z" * 7000})
        run.log_params({"train.penalties.l1": 0.1})  # a resumed stage logs again
        run.log_metrics({"val/loss": 1.5, "val/none": float("nan")}, 3)
        run.log_dataset(samples, name="prepared", digest="f" * 64, context="training")
        run.log_artifacts(root / "file.txt", "texts")
        run.log_cell("cell", study="s", member="screen l1", line="", params={"seed": 1},
                     history=[(0, {"val/loss": 2.0})], tags={"sft.row": "l1"},
                     is_finished=False)  # fmt: skip
    parent, cell = runs(root)
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"train.penalties.l1": "0.1"}
    assert parent.data.metrics == {"val/loss": 1.5}
    assert parent.data.tags["dvc.exp_name"] == "puffy-name"
    assert parent.data.tags["dvc.baseline_rev"] == "abc123"
    assert parent.inputs.dataset_inputs[0].dataset.digest == "f" * 36
    store = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    names = {a.path for a in store.list_artifacts(parent.info.run_id)}
    assert names == {"texts", "long_params.json"}
    assert parent.info.artifact_uri.startswith((root / "mlartifacts").as_uri())
    assert store.get_experiment(cell.info.experiment_id).name == "test-cells"
    assert (cell.info.status, cell.data.params) == ("FAILED", {"seed": "1"})
    assert cell.data.metrics == {"val/loss": 2.0}


def test_the_run_names_its_commit_and_whether_it_was_changed(root: Path) -> None:
    def git(*arguments: str) -> str:
        name = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.check_output(["git", *name, *arguments], cwd=root, text=True).strip()

    (root / "file.txt").write_text("one")
    git("init", "--quiet")
    git("add", "file.txt")
    git("commit", "--quiet", "-m", "first")
    with start():
        pass
    (root / "file.txt").write_text("two")
    with start():
        pass
    tags = [run.data.tags for run in runs(root)]
    assert {tag["mlflow.source.git.commit"] for tag in tags} == {git("rev-parse", "HEAD")}
    assert [tag["git.dirty"] for tag in tags] == ["False", "True"]


def test_a_later_stage_goes_on_with_the_run(root: Path) -> None:
    with start(key=("key", "1")) as run:
        run.log_metrics({"a": 1.0})
    with start(key=("key", "1")) as again:
        again.log_metrics({"a": 1.0, "b": 2.0})
    with start(key=("key", "2")):
        pass
    first, second = runs(root)
    assert first.data.metrics == {"a": 1.0, "b": 2.0}
    assert first.info.status == second.info.status == "FINISHED"


def test_a_crash_is_failed_and_ctrl_c_is_killed(root: Path) -> None:
    for error in (ZeroDivisionError, KeyboardInterrupt):
        with pytest.raises(error), start():
            raise error
    assert [run.info.status for run in runs(root)] == ["FAILED", "KILLED"]


def test_sigterm_is_killed(root: Path) -> None:
    code = (
        "import os, signal\nfrom sftcore.tracking import open_run\n"
        "with open_run(enabled=True, experiment='test', name='r', tags={}):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=env, timeout=60)
    assert done.returncode == 128 + signal.SIGTERM
    assert [run.info.status for run in runs(root)] == ["KILLED"]


def test_switched_off_it_does_nothing_and_imports_nothing(new_root: Path) -> None:
    code = (
        "import sys\nfrom sftcore.tracking import open_run\n"
        "with open_run(enabled=False, experiment='t', name='r', tags={}) as run:\n"
        "    run.log_metrics({'a': 1.0}); run.log_params({'a': 1}); run.set_tags({'a': 'b'})\n"
        "assert 'mlflow' not in sys.modules\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=new_root, env=env, timeout=60, check=True)
    assert not (new_root / "mlflow.db").exists()


def test_two_processes_may_create_the_store_at_once(new_root: Path) -> None:
    code = (
        "from sftcore.tracking import open_run\n"
        "with open_run(enabled=True, experiment='test', name='r', tags={}) as run:\n"
        "    run.log_metrics({'a': 1.0})\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    # Where warnings are errors, as MLflow's own must not end the tracking either.
    command = [sys.executable, "-W", "error", "-c", code]
    started = [
        subprocess.Popen(command, cwd=new_root, env=env, stderr=subprocess.PIPE) for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[1] for process in started] == [b"", b""]
    assert [process.returncode for process in started] == [0, 0]
    finished = [("FINISHED", {"a": 1.0})] * 2
    assert [(r.info.status, r.data.metrics) for r in runs(new_root)] == finished


def test_a_cell_keeps_all_of_its_parameters_and_epochs(root: Path) -> None:
    params = {f"p{i}": i for i in range(230)} | {"long": "z" * 7000}
    history = [(epoch, {f"m{i}": float(i) for i in range(60)}) for epoch in range(20)]
    with start() as run:
        run.log_cell("cell", study="s", member="m", line="", params=params, history=history,
                     tags={}, is_finished=True)  # fmt: skip
    cell = runs(root)[1]
    assert cell.info.status == "FINISHED"
    assert cell.data.params == {f"p{i}": str(i) for i in range(230)}
    store = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    assert [m.step for m in store.get_metric_history(cell.info.run_id, "m59")] == [*range(20)]
    assert len(cell.data.metrics) == 60
    path = store.download_artifacts(cell.info.run_id, "long_params.json", str(root))
    assert json.loads(Path(path).read_text()) == {"long": "z" * 7000}


def test_a_missing_artifact_leaves_no_run_that_looks_alive(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with start() as run:
        run.log_artifacts(root / "missing", "x")
        run.log_metrics({"a": 1.0})
    assert [(r.info.status, r.data.metrics) for r in runs(root)] == [("FINISHED", {"a": 1.0})]
    (told,) = [r.getMessage() for r in caplog.records if r.name == "sftcore"]
    assert "does not get artifacts" in told


class Answers(BaseHTTPRequestHandler):
    """As much of an MLflow server as a run needs to start; then it answers nothing more."""

    def do_GET(self) -> None:
        if self.path == "/health":
            login = 401 if self.server.wants_login else 200  # type: ignore[attr-defined]
            return self.reply({}, login)
        now = {"experiment_id": "1", "name": "test", "lifecycle_stage": "active"}
        return self.reply({"experiment": now})

    def do_POST(self) -> None:
        if not self.path.endswith("runs/create"):
            time.sleep(3)
            return
        info = {"run_id": "r", "run_uuid": "r", "experiment_id": "1", "status": "RUNNING"}
        self.reply({"run": {"info": info, "data": {}}})

    def reply(self, content: dict[str, object], status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def server(wants_login: bool = False) -> Iterator[int]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    http.wants_login = wants_login  # type: ignore[attr-defined]
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield http.server_port
    http.shutdown()
    http.server_close()


def test_a_server_that_dies_is_told_once_and_stops_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "sftcore")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with server() as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}")
        check_store(enabled=True)
        tries = count_tries(monkeypatch)
        with start() as run:
            assert run.run_id == "r"
            for step in range(50):
                run.log_metrics({"a": 1.0}, step)
        assert len(tries) == 2  # a failure, and at the end again; each costs the time-out
    messages = [r.getMessage() for r in caplog.records if r.name == "sftcore"]
    assert len(messages) == 2
    assert "what it has to hear waits" in messages[0]
    assert "make sync" in messages[1]
    (waiting,) = (root / ".sft" / "mlflow_pending").iterdir()
    opening, *entries = map(json.loads, waiting.read_text().splitlines())
    assert opening["uri"] == f"http://127.0.0.1:{port}"
    assert [entry["metrics"][0][3] for entry in entries[:-1]] == list(range(50))
    assert entries[-1] == {"kind": "status", "status": "FINISHED"}
    assert "secret" not in " ".join(messages) + waiting.read_text()


def test_a_server_that_wants_a_login_is_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(wants_login=True) as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}/")
        check_store(enabled=True)
    with pytest.raises(TrackingError, match="does not answer") as refused:
        check_store(enabled=True)
    assert "secret" not in str(refused.value)


def test_what_is_no_http_server_is_told_beforehand(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"SSH-2.0-anything\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        with pytest.raises(TrackingError, match="does not answer"):
            check_store(enabled=True)
        thread.join()


@pytest.mark.parametrize("uri", ["./mlruns", "/tmp/mlruns", "C:/mlruns", "ftp://host/runs"])
def test_a_store_of_an_unknown_kind_is_refused(
    uri: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(TrackingError, match="sqlite:///"):
        check_store(enabled=True)


def write_small_model(folder: Path) -> None:
    """A model of three classes with random parameters."""
    start_of_model = build_start(
        backbone="timm/test_efficientnet", weights="none", num_classes=3, image_size=32,
        dropout=0.0, seed=0, device=torch.device("cpu"),
    )  # fmt: skip
    record = {
        "backbone": "timm/test_efficientnet", "dropout": 0.0, "classes": ["a", "b", "c"],
        "image_size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5),
        "background": (255, 255, 255), "pretrained": {},
        "num_threads": 1, "mode": "native",
    }  # fmt: skip
    save_model(folder, start_of_model.network.state_dict(), record)


def test_the_model_loads_elsewhere_without_pickle_and_answers_the_same(root: Path) -> None:
    write_small_model(root / "finetuned")
    with start() as run:
        run.log_model(root / "finetuned")
        assert runs(root)[0].info.status == "RUNNING"  # logging a model must not end the run
    assert "MLFLOW_TRACKING_URI" not in os.environ
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'test'")
    (logged,) = client.search_logged_models([experiment.experiment_id])
    assert (logged.source_run_id, logged.status) == (run.run_id, "READY")
    files = [path for path in (root / "mlartifacts").rglob("*") if path.is_file()]
    assert any(path.name == "MLmodel" for path in files)
    assert not [p for p in files if p.suffix in (".pkl", ".pickle", ".pt", ".pth", ".pyc")]

    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.save(root / "images.npy", images)
    code = (
        "import numpy as np, mlflow, sys\n"
        f"mlflow.set_tracking_uri('sqlite:///{root}/mlflow.db')\n"
        f"model = mlflow.pyfunc.load_model('runs:/{run.run_id}/model')\n"
        "answer = model.predict(np.load('images.npy'))\n"
        "assert list(answer.columns) == ['label', 'p_a', 'p_b', 'p_c']\n"
        "np.save('answer.npy', answer.filter(like='p_').to_numpy())\n"
        "import sftcore; print(sftcore.__file__)\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=root, env=env, timeout=120, check=True, capture_output=True, text=True
    )
    assert Path(done.stdout.split()[-1]).parts[-3:] == ("code", "sftcore", "__init__.py")
    loaded = load_model(root / "finetuned")
    expected = look_at(loaded.network, images, loaded.sight).answers
    np.testing.assert_array_equal(np.load(root / "answer.npy"), expected)
