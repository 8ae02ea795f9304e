import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sftcore.errors import TrackingError
from sftcore.repository import repository_root
from sftcore.tracking import Run, check_store, open_run, tracking_uri
from tests.import_closure import ROOT

mlflow = pytest.importorskip("mlflow")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the repository, with a store of its own."""
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
        run.log_params({"train.l1": 0.1, "long": "z" * 7000})
        run.log_params({"train.l1": 0.1})  # a resumed stage logs again
        run.log_metrics({"val/loss": 1.5, "val/none": float("nan")}, 3)
        run.log_dataset(samples, name="prepared", digest="f" * 64, context="training")
        run.log_artifacts(root / "file.txt", "texts")
        run.log_child("child", params={"seed": 1}, history=[(0, {"val/loss": 2.0})],
                      tags={"sft.row": "l1"}, is_finished=False)  # fmt: skip
    parent, child = runs(root)
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"train.l1": "0.1"}
    assert parent.data.metrics == {"val/loss": 1.5}
    assert parent.data.tags["dvc.exp_name"] == "puffy-name"
    assert parent.data.tags["dvc.baseline_rev"] == "abc123"
    assert parent.inputs.dataset_inputs[0].dataset.digest == "f" * 36
    store = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    names = {a.path for a in store.list_artifacts(parent.info.run_id)}
    assert names == {"texts", "long_params.json"}
    assert parent.info.artifact_uri.startswith((root / "mlartifacts").as_uri())
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert (child.info.status, child.data.params) == ("FAILED", {"seed": "1"})


def test_a_later_stage_goes_on_with_the_run(root: Path) -> None:
    with start(tags={"key": "1"}) as run:
        run.log_metrics({"a": 1.0})
    with start(resume=("key", "1")) as again:
        again.log_metrics({"b": 2.0})
    with start(resume=("key", "2")):
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


def test_a_failing_store_is_told_once_and_stops_nothing(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            raise ConnectionError("the store is gone")

    run = Run(Broken(), "id", "0")  # type: ignore[arg-type]
    run.log_metrics({"a": 1.0})
    run.log_params({"a": 1})
    run.log_artifacts(root, "x")
    run.log_model(root, 8, 2)
    run.end("FINISHED")
    assert [record.message for record in caplog.records] == [
        "MLflow failed while logging metrics; nothing more is logged: the store is gone"
    ]


def test_switched_off_it_does_nothing_and_imports_nothing(root: Path) -> None:
    code = (
        "import sys\nfrom sftcore.tracking import open_run\n"
        "with open_run(enabled=False, experiment='t', name='r', tags={}) as run:\n"
        "    run.log_metrics({'a': 1.0}); run.log_params({'a': 1}); run.set_tags({'a': 'b'})\n"
        "assert 'mlflow' not in sys.modules\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=root, env=env, timeout=60, check=True)
    assert not (root / "mlflow.db").exists()


def test_two_processes_may_create_the_store_at_once(root: Path) -> None:
    code = (
        "from sftcore.tracking import open_run\n"
        "with open_run(enabled=True, experiment='test', name='r', tags={}) as run:\n"
        "    run.log_metrics({'a': 1.0})\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    started = [subprocess.Popen([sys.executable, "-c", code], cwd=root, env=env) for _ in range(2)]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    assert [(r.info.status, r.data.metrics) for r in runs(root)] == [("FINISHED", {"a": 1.0})] * 2
