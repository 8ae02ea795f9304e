"""Stages from their command line: what they write, and what they say to bad input."""

import json
import resource
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import timm
import torch

from tests.pipeline.project import (
    call_stage,
    copy_project,
    digests,
    make_project,
    run_stage,
    set_params,
)

pytestmark = pytest.mark.timeout(900)  # of real stages, on a slow machine


@pytest.fixture
def project(untold_project: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil of a project whose stages have all run once."""
    return copy_project(untold_project, tmp_path / "project")


def test_all_stages_write_what_they_promise(untold_project: Path) -> None:
    names = set(digests(untold_project))
    assert {
        "data/prepared/images.npy",
        "data/prepared/samples.csv",
        "reports/prepare/classes.csv",
        "reports/prepare/pictures_1.png",
        "reports/prepare/visible.png",
        "reports/prepare/parts.json",
        "reports/labels/suspects.csv",
        "reports/labels/summary.json",
        "reports/labels/parts.json",
        "models/finetuned/model.safetensors",
        "models/finetuned/model.json",
        "reports/finetune/history.csv",
        "reports/finetune/history.png",
        "reports/finetune/candidates.csv",
        "reports/finetune/parameters.txt",
        "reports/finetune/updates.csv",
        "reports/finetune/updates.png",
        "reports/finetune/incidents.csv",
        "reports/finetune/range_test.csv",
        "reports/finetune/range_test.png",
        "reports/finetune/suggestions.csv",
        "reports/evaluate/metrics.json",
        "reports/evaluate/generalization_gap.png",
        "reports/evaluate/reliability_scaled.csv",
        "reports/ablation/parts.json",
        "reports/report.html",
        "reports/ablation/cells.csv",
        "reports/ablation/stability.csv",
        "reports/ablation/stability.png",
    } <= names


EXPLODING = {
    "train.learning_rate": 100.0,
    "train.epochs": 4,
    "train.guard.rate_factor": 0.01,
    "model.trainable_blocks": "all",
}


def test_an_exploding_training_is_saved_and_tells_what_happened(project: Path) -> None:
    set_params(project, EXPLODING | {"tracking.enabled": True})
    uri = f"sqlite:///{project}/mlflow.db"
    done = call_stage(project, "finetune")
    assert done.returncode == 0, done.stderr
    folder = project / "reports" / "finetune"
    incidents = pd.read_csv(folder / "incidents.csv")
    assert f"the guard answered {len(incidents)} incidents" in done.stdout
    assert incidents["answer"].tolist()[:2] == ["skip", "rollback"]
    samples = pd.read_csv(project / "data" / "prepared" / "samples.csv")
    trained = samples[samples["split"] == "train"].set_index("row")["id"]
    for rows, pictures in zip(incidents["rows"].astype(str), incidents["pictures"], strict=True):
        assert 0 < len(rows.split()) <= 9
        assert [trained[int(row)] for row in rows.split()] == pictures.split(" | ")
    updates = pd.read_csv(folder / "updates.csv")
    assert updates["loss"].notna().all()
    assert updates[updates["phase"] == "full"]["learning_rate"].max() < 2.0
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["num_incidents"] == len(incidents) > 0
    client = mlflow.MlflowClient(uri)
    run = client.search_runs([e.experiment_id for e in client.search_experiments()])[0]
    told = client.get_metric_history(run.info.run_id, "guard/full_rate_factor")
    assert {(m.step, m.value) for m in told} == {
        (line.step, line.rate_factor) for line in incidents.itertuples()
    }
    assert "finetune/incidents.csv" in {
        file.path for file in client.list_artifacts(run.info.run_id, "finetune")
    }


def test_precision_is_recorded_where_it_changes_numbers(project: Path) -> None:
    before = digests(project)
    set_params(project, {"runtime.precision": "tf32"})  # on a CPU that is fp32
    assert call_stage(project, "finetune").returncode == 0
    assert digests(project) == before
    assert "precision" not in (project / "models" / "finetuned" / "model.json").read_text()
    set_params(project, {"runtime.precision": "bf16"})
    for stage in ("finetune", "evaluate"):
        done = call_stage(project, stage)
        assert done.returncode == 0, done.stderr
    record = json.loads((project / "models" / "finetuned" / "model.json").read_text())
    assert record["precision"] == "bf16"


def test_the_model_is_what_validation_chose(project: Path) -> None:
    set_params(
        project,
        {"train.averaging.wise_ft": True, "train.averaging.soup_size": 2, "train.epochs": 2},
    )
    assert call_stage(project, "finetune").returncode == 0
    candidates = pd.read_csv(project / "reports" / "finetune" / "candidates.csv")
    assert (project / "reports" / "finetune" / "wise_ft.png").is_file()
    assert candidates["name"].tolist() == ["best epoch", "soup", *["wise_ft"] * 11]
    chosen = candidates[candidates["is_chosen"]].iloc[0]
    assert chosen["val_loss"] == candidates["val_loss"].min()
    summary = json.loads((project / "reports" / "finetune" / "summary.json").read_text())
    assert summary["chosen"] == chosen["name"]
    assert call_stage(project, "evaluate").returncode == 0
    metrics = json.loads((project / "reports" / "evaluate" / "metrics.json").read_text())
    assert metrics["val"]["nll"] == pytest.approx(chosen["val_loss"], rel=1e-4)
    assert metrics["temperature"]["test_accuracy"] == metrics["test"]["accuracy"]


def test_outputs_hold_no_paths_times_or_names_of_the_machine(finished_project: Path) -> None:
    forbidden = [str(finished_project), str(Path.home()), socket.gethostname()]
    for name in digests(finished_project):
        if name.endswith((".json", ".csv", ".md", ".html")):
            text = (finished_project / name).read_text()
            assert not [word for word in forbidden if len(word) > 4 and word in text], name


def test_the_summary_says_it_in_six_short_lines(untold_project: Path, tmp_path: Path) -> None:
    lines = call_stage(untold_project, "summary").stdout.strip().splitlines()
    assert len(lines) <= 6
    assert all(len(line) < 100 for line in lines), lines
    assert lines[0].startswith("Report: reports/report.html; test accuracy 0.")
    empty = make_project(tmp_path)
    done = call_stage(empty, "summary")
    assert (done.returncode, "run `make`" in done.stderr) == (2, True)


def remove_folder(project: Path) -> None:
    shutil.rmtree(project / "data" / "mine")


def empty_class(project: Path) -> None:
    for file in (project / "data" / "mine" / "circle").iterdir():
        file.unlink()


def one_class(project: Path) -> None:
    for name in ("circle", "square"):
        shutil.rmtree(project / "data" / "mine" / name)


def corrupt(project: Path) -> None:
    for file in sorted((project / "data" / "mine" / "circle").iterdir())[:8]:
        file.write_bytes(file.read_bytes()[:60])


def other_weights(project: Path) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), project / "other.pt")
    set_params(project, {"model.weights": "other.pt"})


def setting(name: str, value: Any) -> Callable[[Path], None]:
    return lambda project: set_params(project, {name: value})


BAD_INPUT: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "missing folder": ("check", remove_folder, "there is no folder 'data/mine'"),
    "missing folder, later": ("prepare", remove_folder, "there is no folder 'data/mine'"),
    "empty class": ("check", empty_class, "no picture in the class folder circle"),
    "one class only": ("check", one_class, "holds one class ('stripes')"),
    "corrupt pictures": ("prepare", corrupt, "8 of 36 pictures (22%) were refused"),
    "misspelt parameter": ("check", setting("train.learning_rat", 1), "mean 'learning_rate'"),
    "negative rate": ("finetune", setting("train.learning_rate", -0.1), "be greater than 0"),
    "unknown backbone": (
        "finetune",
        setting("model.backbone", "timm/test_efficientnett"),
        "did you mean timm/test_efficientnet",
    ),
    "weights that do not fit": ("finetune", other_weights, "only in the weights"),
    "too many blocks": ("finetune", setting("model.trainable_blocks", 50), "can be cut into"),
    "no such device": ("finetune", setting("runtime.device", "cuda:7"), "CUDA devices"),
    "divergence": ("finetune", setting("train.head.learning_rate", 1000.0), "diverge"),
    "too long a warm-up": (
        "finetune",
        setting("train.schedule.warmup", "2 epochs"),
        "train.schedule.warmup is 2 epochs, which is",
    ),
    "the guard gives up": (
        "finetune",
        setting("train.guard.max_incidents", 1),
        "the guard gave up after 2 incidents",
    ),
    "a bad row": (
        "ablate",
        setting("study.screen.base", {"train.l7": 1}),
        "not a parameter",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_explained_and_loses_nothing(project: Path, case: str) -> None:
    stage, spoil, message = BAD_INPUT[case]
    before = digests(project)
    spoil(project)
    if case == "divergence":
        set_params(
            project,
            {
                "train.head.epochs": 30,
                "train.schedule.name": "constant",
                "train.penalties.l2": 500.0,
                "train.guard.answers": "none",
            },
        )
    if case == "the guard gives up":
        set_params(project, EXPLODING | {"train.guard.rate_factor": 0.9})
    # One of them in a process of its own, for the code with which a process ends.
    run = run_stage if case == "missing folder, later" else call_stage
    done = run(project, stage)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("error: ") == 1
    if case == "the guard gives up":  # no output, but what was seen is kept
        (file,) = (project / ".sft" / "diverged").iterdir()
        assert f"every incident: {file}" in done.stderr
        kept = pd.read_csv(file)
        assert kept["answer"].tolist() == ["skip", "give up"]
    assert "Traceback" not in done.stderr
    assert digests(project) == before


@pytest.mark.parametrize("stage", ["prepare", "finetune"])
def test_no_disk_space_is_explained_and_loses_nothing(project: Path, stage: str) -> None:
    before = digests(project)
    limit = 20_000  # bytes that a file may have: writing more fails like a full disk
    done = run_stage(
        project,
        stage,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert digests(project) == before


def test_an_unreachable_mlflow_server_is_told_before_the_work(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(project)
    set_params(project, {"tracking.enabled": True})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    done = call_stage(project, "finetune")
    assert done.returncode == 2, done.stderr
    assert f"the MLflow server at {uri} does not answer" in done.stderr
    assert "tracking.enabled: false" in done.stderr
    assert digests(project) == before
