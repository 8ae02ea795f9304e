"""MLflow is told of what DVC took from its cache, once."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.pipeline.project import call_program, copy_project, dvc, run_program

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def project(finished_project: Path, tmp_path: Path) -> Path:
    """A copy whose MLflow store was lost; the results are still there."""
    return copy_project(finished_project, tmp_path / "project", ".sft", "mlflow.db", "mlartifacts")


def sync(project: Path) -> list[str]:
    done = call_program(project, "sync")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def runs(folder: Path, experiment: str = "") -> list[Any]:
    """Runs of an experiment; without its name, of all."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    ids = [e.experiment_id for e in client.search_experiments() if experiment in ("", e.name)]
    return list(client.search_runs(ids, max_results=500))


def test_what_dvc_took_from_its_cache_is_told_once(project: Path, finished_project: Path) -> None:
    import mlflow

    said = dvc(project, "exp", "run", "--temp", "-n", "again", "-S", "seed=0")
    assert "Running stage" not in said  # all of it comes from the cache
    told = sync(project)
    assert [line.partition(" told")[0] for line in told] == [
        "workspace:", "workspace:", "experiment again:", "experiment again:",
    ]  # fmt: skip
    assert sync(project) == ["MLflow has everything"]
    model = [run for run in runs(project) if "sft.model_sha256" in run.data.tags]
    assert {run.data.tags.get("dvc.exp_name") for run in model} == {None, "again"}
    (original,) = [
        run
        for run in runs(finished_project)
        if "sft.model_sha256" in run.data.tags and "dvc.exp_name" not in run.data.tags
    ]
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    for run in model:
        assert run.info.status == "FINISHED"
        assert run.data.params == original.data.params
        assert set(run.data.metrics) == set(original.data.metrics)
        history = client.get_metric_history(run.info.run_id, "val/loss")
        assert [metric.step for metric in history] == [0, 1]
        names = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"finetune", "evaluate", "report.html"} <= names
    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    assert mlflow.pyfunc.load_model(f"runs:/{model[0].info.run_id}/model")
    for run in model:
        note = run.data.tags["mlflow.note.content"]
        assert "test pictures | accuracy" in note
        assert "3 classes of pictures" in note
        assert "[The study](#/experiments/" in note
    (again,) = [run for run in model if run.data.tags.get("dvc.exp_name") == "again"]
    assert "dvc exp apply again" in again.data.tags["mlflow.note.content"]
    cells = runs(project, "fine-tuning-cells")
    table = pd.read_csv(project / "reports" / "ablation" / "cells.csv")
    trained = table[~table["row"].isin(["nearest_neighbours", "most_frequent"])]
    assert len(trained) < len(table), "the table has lines for which nothing was trained"
    assert len(cells) == len(trained), "the workspace and the experiment share them"
    assert len(runs(project, "fine-tuning")) == len(runs(project, "fine-tuning-studies")) == 2


def test_it_adds_no_cell_to_those_that_the_study_has_told(
    finished_project: Path, tmp_path: Path
) -> None:
    """The results come from another machine's cache, which knows no keys of cells."""
    project = copy_project(finished_project, tmp_path / "project")
    before = {run.info.run_id for run in runs(project, "fine-tuning-cells")}
    dvc(project, "exp", "run", "--temp", "-n", "likewise", "-S", "seed=0")
    assert any("told MLflow of the ablation" in line for line in sync(project))
    assert {run.info.run_id for run in runs(project, "fine-tuning-cells")} == before


def test_what_is_not_in_the_cache_is_named(project: Path) -> None:
    shutil.rmtree(project / "reports" / "evaluate")
    assert "workspace: reports/evaluate/metrics.json is not there" in sync(project)


def test_without_its_server_it_says_so(project: Path) -> None:
    uri = "http://127.0.0.1:9"
    env = {"MLFLOW_TRACKING_URI": uri}
    done = run_program(project, "python", "-m", "sftcore", "sync", env=env)
    assert done.returncode == 2
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr
