"""The pipeline is ended in the middle and goes on; it is run in unlike places and is the same."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from reliability.chaos import POWER_CUT, faults, run_with_kills
from reliability.reproduce import PLACES, reproduce
from tests.pipeline.project import (
    call_stage,
    copy_project,
    digests,
    environment,
    run_stage,
    set_params,
)

pytestmark = pytest.mark.timeout(900)
NUM_EPOCHS = 30  # enough to end a training while it learns


def runs(folder: Path) -> list[Any]:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids))


def test_a_preempted_training_goes_on_in_the_same_run(untold_project: Path, tmp_path: Path) -> None:
    project = copy_project(untold_project, tmp_path / "project", ".sft", "models", "reports")
    set_params(project, {
        "tracking.enabled": True, "train.epochs": NUM_EPOCHS, "train.batch_size": 4,
        "train.augmentation.strength": 0.5, "runtime.checkpoint_seconds": 1e9,
    })  # fmt: skip
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
    assert [metric.step for metric in history] == list(range(NUM_EPOCHS + 1))

    after = digests(project)
    assert call_stage(project, "evaluate").returncode == 0  # DVC has the model by now
    assert not list(project.glob(".sft/checkpoints/*/*.checkpoint"))
    assert call_stage(project, "finetune").returncode == 0  # once more, in peace
    assert {name: after[name] for name in after} == {
        name: digest for name, digest in digests(project).items() if name in after
    }


def test_killed_again_and_again_in_an_unlike_place_it_ends_with_the_same_bytes(
    finished_project: Path, seconds_of_a_run: float, tmp_path: Path
) -> None:
    """Kills of three kinds, in a run that each of them finds further on."""
    *_, unlike = PLACES
    lock = finished_project / "dvc.lock"
    moments = {"SIGKILL to DVC": 0.5, "SIGTERM to the stage": 0.75, POWER_CUT: 1.0}
    plan = [(kind, part * seconds_of_a_run) for kind, part in moments.items()]

    def run_killed(folder: Path) -> None:
        set_params(folder, {"tracking.enabled": True, "runtime.checkpoint_seconds": 0.0})
        assert len(run_with_kills(folder, plan, random.Random(11))) >= 2
        assert faults(folder, lock.read_bytes()) == []

    places = {unlike: PLACES[unlike]}
    assert reproduce(tmp_path, is_small=True, places=places, known=[lock], run=run_killed) == []
