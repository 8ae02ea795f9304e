"""The pipeline is ended in the middle and goes on; it is run in unlike places and is the same."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from reliability.chaos import campaign
from reliability.reproduce import reproduce
from tests.pipeline.project import digests, environment, make_project, run_stage

pytestmark = pytest.mark.timeout(900)


def runs(folder: Path) -> list[Any]:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids))


def test_a_preempted_training_goes_on_in_the_same_run(tmp_path: Path) -> None:
    project = make_project(
        tmp_path / "project", tracking__enabled=True, train__epochs=200, train__batch_size=4,
        train__augmentation__strength=0.5, runtime__checkpoint_seconds=1e9,
    )  # fmt: skip
    for stage in ("check", "prepare"):
        assert run_stage(project, stage).returncode == 0
    command = [sys.executable, "-m", "stages.finetune"]
    process = subprocess.Popen(command, cwd=project, env=environment(), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 100
    while not (project / "mlflow.db").exists() or not any(r.data.metrics for r in runs(project)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    (ended,) = runs(project)
    assert ended.info.status == "KILLED"
    assert not (project / "models").exists()
    (checkpoint,) = project.glob(".sft/checkpoints/*/*.checkpoint")
    done = run_stage(project, "finetune")
    assert done.returncode == 0, done.stderr
    assert f"going on from epoch {int(checkpoint.name.split('-')[1])}" in done.stderr
    (finished,) = runs(project)
    assert (finished.info.run_id, finished.info.status) == (ended.info.run_id, "FINISHED")
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    history = client.get_metric_history(finished.info.run_id, "val/loss")
    assert [metric.step for metric in history] == list(range(201))

    after = digests(project)
    assert run_stage(project, "evaluate").returncode == 0  # DVC has the model by now
    assert not list(project.glob(".sft/checkpoints/*/*.checkpoint"))
    assert run_stage(project, "finetune").returncode == 0  # once more, in peace
    assert {name: after[name] for name in after} == {
        name: digest for name, digest in digests(project).items() if name in after
    }


def test_killed_at_random_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    assert campaign(tmp_path, num_kills=3, seed=11) == []


def test_unlike_places_give_the_same_lock(tmp_path: Path) -> None:
    assert reproduce(tmp_path, is_small=True) == []
