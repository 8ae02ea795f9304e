"""The pipeline as its user runs it: real git, real dvc, real MLflow, in a temporary folder."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sftcore.foundations.yaml_files import read_yaml
from sftcore.tasks.classification.task import ClassificationTask
from tests.import_closure import ROOT
from tests.pipeline.project import copy_project, digests, dvc, dvc_here, run_program, set_params

pytestmark = pytest.mark.timeout(900)
HEADLINE = ClassificationTask.headline


@pytest.fixture(scope="module")
def project(finished_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that the tests of this file change one after the other."""
    return copy_project(finished_project, tmp_path_factory.mktemp("dvc") / "project")


def tracked_runs(folder: Path) -> list[Any]:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids, max_results=500))


def test_again_there_is_nothing_to_do(project: Path) -> None:
    assert "Data and pipelines are up to date." in dvc(project, "repro")
    # Reproduction compares bytes, so committed locks have the stages in the order of such a run.
    committed = read_yaml(ROOT / "dvc.lock")["stages"]
    assert list(read_yaml(project / "dvc.lock")["stages"]) == list(committed)


def test_forced_again_the_lock_is_the_same(project: Path) -> None:
    before, files = (project / "dvc.lock").read_bytes(), digests(project)
    shutil.rmtree(project / ".sft" / "cells")
    dvc_here(project, "repro", "--force")
    assert (project / "dvc.lock").read_bytes() == before
    assert digests(project) == files
    assert b"/tmp" not in before


def test_metrics_and_plots_are_there(project: Path) -> None:
    metrics = json.loads(dvc(project, "metrics", "show", "--json"))[""]["data"]
    numbers = [name for of in metrics.values() for name in of["data"]]
    assert len(numbers) <= 10
    test = metrics["reports/evaluate/test.json"]["data"]
    assert test["test_low"] <= test["test_acc"] <= test["test_high"]
    # Of two trainings of the recipe one fails, and the other alone says nothing of its worth.
    assert metrics["reports/ablation/worth.json"]["data"] == {}
    shown = run_program(project, "dvc", "metrics", "show", env={"COLUMNS": "120"})
    assert max(len(line) for line in shown.stdout.splitlines()) <= 120
    dvc(project, "plots", "show", "--out", "dvc_plots")
    page = (project / "dvc_plots" / "index.html").read_text()
    for name in ("Loss by epoch", "Confusion on the test split", "worth.png"):
        assert name in page


def test_mlflow_has_the_runs_and_a_model_that_loads_without_pickle(project: Path) -> None:
    import mlflow
    import numpy as np

    runs = tracked_runs(project)
    assert {run.info.status for run in runs} == {"FINISHED"}
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    names = {e.experiment_id: e.name for e in client.search_experiments()}
    of = {name: [r for r in runs if names[r.info.experiment_id] == name] for name in names.values()}
    main = min(of["fine-tuning"], key=lambda run: run.info.start_time)
    assert main.data.tags["mlflow.runName"] == "test_efficientnet"
    assert main.data.params["train.epochs"] == "1"
    assert {"val/loss", *HEADLINE} <= set(main.data.metrics)
    assert len(main.data.metrics) <= 14 + len(HEADLINE) + 6, "more than curves and headline"
    assert {"evaluate", "finetune", "report.html"} == {
        file.path for file in client.list_artifacts(main.info.run_id)
    }
    note = main.data.tags["mlflow.note.content"]
    assert note.index("## Test") < note.index("## Study") < note.index("## Training")
    cells = of["fine-tuning-cells"]
    assert {run.data.tags["sft.row"] for run in cells} >= {"none", "l1", "cosine 0.1 none"}
    keys = [run.data.tags["sft.run_key"] for run in cells]
    assert len(keys) == len(set(keys))
    assert not [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    model = mlflow.pyfunc.load_model(f"runs:/{main.info.run_id}/model")
    answer = model.predict(np.zeros((3, 32, 32, 3), dtype=np.uint8))
    probabilities = answer.filter(like="p_").to_numpy()
    assert probabilities.shape == (3, 3)
    assert set(answer["label"]) <= {"circle", "square", "stripes"}
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert not list((project / "mlartifacts").rglob("*.pkl"))
    assert not list((project / "mlartifacts").rglob("*.pyc"))


def test_experiments_of_a_queue_land_in_one_store(project: Path) -> None:
    lock = (project / "dvc.lock").read_bytes()
    # They end with their models; whole ones are run by other tests. Two train at the same time.
    decays_asked = "train.weight_decay=1e-3,1e-2"
    dvc(project, "exp", "run", "--queue", "-n", "small", "-S", decays_asked, "finetune")
    dvc(project, "queue", "start", "-j", "2")
    wait_for_queue(project)
    table = dvc(project, "exp", "show", "--csv")
    assert "small" in table
    decays = {
        run.data.params["train.weight_decay"]
        for run in tracked_runs(project)
        if "dvc.exp_name" in run.data.tags and "sft.model_sha256" in run.data.tags
    }  # fmt: skip
    assert decays == {"0.001", "0.01"}
    names = {run.info.run_name for run in tracked_runs(project)}
    assert {f"weight_decay=0.0{n} (small-{place})" for n, place in (("01", 1), ("1", 2))} <= names
    assert (project / "dvc.lock").read_bytes() == lock
    assert not (project / ".dvc" / "tmp" / "exps" / "mlflow.db").exists()


def wait_for_queue(project: Path) -> None:
    import time

    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        status = dvc(project, "queue", "status")
        assert "Failed" not in status, status
        if status.count("Success") >= 2:
            return
        time.sleep(5)  # asking costs as much as a stage
    raise AssertionError(dvc(project, "queue", "status"))


def test_a_fault_is_found_before_any_output_is_touched(project: Path) -> None:
    dvc_here(project, "checkout")
    before = digests(project)
    shipped = (project / "params.yaml").read_text()
    set_params(project, {"train.learning_rat": 0.1})
    assert "did you mean 'learning_rate'" in dvc_here(project, "repro", fails=True)
    after = digests(project)
    assert {k: v for k, v in before.items() if k != "reports/check.json"} == {
        k: v for k, v in after.items() if k != "reports/check.json"
    }
    (project / "params.yaml").write_text(shipped)
    dvc_here(project, "checkout")
    assert digests(project) == before
    assert "up to date" in dvc_here(project, "repro")
