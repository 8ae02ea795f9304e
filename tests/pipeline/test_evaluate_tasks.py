"""From prepared labels and numbers to a model, a report, rules and predictions for files."""

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model
from PIL import Image

from sftcore.data.store import NAMES_FILE, SAMPLES_FILE, TARGETS_FILE, write_manifest
from sftcore.evaluation.predict import load_model
from sftcore.evaluation.settings import EvaluateSettings
from sftcore.foundations.artifacts import read_json, write_csv, write_json
from sftcore.pipeline.evaluate import EvaluateParams, evaluate
from sftcore.pipeline.finetune import finetune
from sftcore.pipeline.paths import (
    ABLATION_REPORT,
    DECISION,
    EVALUATE_REPORT,
    FINETUNE_REPORT,
    MODEL,
    PREPARED,
    REPORT,
)
from sftcore.pipeline.predict import PredictOptions, predict
from sftcore.pipeline.report import ReportParams, write_page
from sftcore.pipeline.sync import epochs_of
from sftcore.pipeline.telling import ANSWERS
from sftcore.pyfunc_model import save_model
from sftcore.reporting.parts import read_parts
from sftcore.settings.tracking import TrackingSettings
from sftcore.tasks.registry import TASKS
from sftcore.tasks.reports import report_of
from sftcore.training.measure import epoch_metrics
from tests.pictures import CLASSES, draw
from tests.training.test_loop import ROOT, small

NAMES = {"multilabel": ["=round", "bright", "日本"], "regression": ["=width", "red"]}
COUNT = 60


def write_prepared(task: str) -> None:
    """Pictures of 32 pixels, each also a file, with targets that can be seen in them."""
    PREPARED.mkdir(parents=True)
    Path("mine").mkdir()
    pictures = [draw(CLASSES[row % 3], row).resize((32, 32)) for row in range(COUNT)]
    for row, picture in enumerate(pictures):
        picture.save(f"mine/{row:03d}.png")
    images = np.stack([np.asarray(Image.open(f"mine/{row:03d}.png")) for row in range(COUNT)])
    kind = np.arange(COUNT) % 3
    red = images[..., 0].mean(axis=(1, 2))
    if task == "multilabel":
        columns = [kind == 0, red > np.median(red), kind != 1]
        targets = np.stack(columns, axis=1).astype(np.float32)
    else:
        targets = np.stack([100.0 * kind, red / 255], axis=1)
    samples = {
        "row": range(COUNT),
        "id": [f"mine/{row:03d}.png" for row in range(COUNT)],
        "labels": "",
        "split": [("train", "train", "val", "test")[row // 3 % 4] for row in range(COUNT)],
        "sha256": [f"{row}" for row in range(COUNT)],
        "group": [f"g{row}" for row in range(COUNT)],
        "stratum": "one",
    }
    np.save(PREPARED / "images.npy", images)
    np.save(PREPARED / TARGETS_FILE, targets)
    write_json(PREPARED / NAMES_FILE, NAMES[task])
    write_csv(PREPARED / SAMPLES_FILE, pd.DataFrame(samples))
    target = "labels" if task == "multilabel" else "numbers"
    write_manifest(PREPARED, {"background": [255, 255, 255], "target": target})


@pytest.fixture(scope="module", params=NAMES)
def task(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A project of the task in the working directory, fine-tuned and evaluated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp(request.param))
        patch.setenv("SFT_SCRATCH", str(Path.cwd() / "scratch"))
        for name in ("params.yaml", "requirements.lock", "dvc.yaml"):
            Path(name).write_bytes((ROOT / name).read_bytes())
        write_prepared(request.param)
        shipped = small(train__epochs=1)
        params = shipped.model_copy(
            update={
                "task": request.param,  # which params.yaml does not let through by itself
                "tracking": TrackingSettings(enabled=False),
                "runtime": shipped.runtime.model_copy(update={"device": "cpu", "num_threads": 1}),
                "evaluate": EvaluateSettings(num_bootstrap=100),
            }
        )
        finetune(params)
        evaluate(
            EvaluateParams.model_construct(
                **{name: getattr(params, name) for name in EvaluateParams.model_fields}
            )
        )
        yield request.param


def answers(task: str, table: pd.DataFrame, said: str) -> np.ndarray:
    prefix = "p" if task == "multilabel" else said
    return table[[f"{prefix}_{k}" for k in range(len(NAMES[task]))]].to_numpy()


def test_the_record_says_what_the_outputs_are(task: str) -> None:
    content = read_json(MODEL / "model.json")
    assert content["task"] == task
    assert content["facts"]["names"] == NAMES[task]
    assert "classes" not in content
    assert load_model(MODEL).record.names == NAMES[task]
    epochs = epochs_of(pd.read_csv(FINETUNE_REPORT / "history.csv"))
    assert {f"val/{score}" for score in TASKS[task].scores} <= set(epoch_metrics(epochs[-1]))
    assert {part.title for part in read_parts(FINETUNE_REPORT)} >= {"The course of the training"}


def test_the_report_is_of_the_task(task: str) -> None:
    metrics = read_json(EVALUATE_REPORT / "metrics.json")
    report = report_of(metrics)
    assert report.name == task
    assert report.closing(metrics).endswith("15 pictures.")
    titles = [part.title for part in read_parts(EVALUATE_REPORT)]
    assert titles[-1] == "Pictures unlike the training pictures"
    decision = read_json(DECISION / "decision.json")
    assert decision["model_sha256"] == read_json(MODEL / "model.json")["model_sha256"]


def test_predict_says_of_files_what_evaluate_says(task: str) -> None:
    said = list(predict(PredictOptions(["mine"], Path("out.csv"), with_probabilities=True,
                                       device="cpu", num_workers=0)))  # fmt: skip
    assert any(line.startswith("unlike: ") for line in said)
    found = pd.read_csv("out.csv").set_index("file")
    expected = pd.read_csv(EVALUATE_REPORT / "predictions.csv").set_index("id")
    assert sorted(found.index) == sorted(expected.index)
    expected = expected.loc[found.index]
    np.testing.assert_array_equal(answers(task, found, "y"), answers(task, expected, "predicted"))
    if task == "multilabel":
        sets = [[set(json.loads(cell)) for cell in column]
                for column in (found["labels"], expected["predicted"])]  # fmt: skip
        assert sets[0] == sets[1]
    else:
        width = found["high_0"] - found["low_0"]
        radius = read_json(EVALUATE_REPORT / "metrics.json")["intervals"]["=width"]["radius"]
        np.testing.assert_allclose(width, 2 * radius, rtol=1e-6)
    unlike = pd.read_csv(EVALUATE_REPORT / "unlike.csv").set_index("id")
    np.testing.assert_array_equal(found.loc[unlike.index, "distance"], unlike["distance"])


def test_without_rules_the_answers_stay(task: str) -> None:
    options = PredictOptions(["mine"], Path("plain.csv"), decision="none", device="cpu")
    first = next(iter(said := predict(options)))
    assert "the columns " in first
    list(said)
    found = pd.read_csv("plain.csv").set_index("file")
    expected = pd.read_csv(EVALUATE_REPORT / "predictions.csv").set_index("id").loc[found.index]
    np.testing.assert_array_equal(answers(task, found, "y"), answers(task, expected, "predicted"))
    assert "unlike" not in found


def test_the_logged_model_says_the_same(task: str, tmp_path: Path) -> None:
    save_model(tmp_path / "logged", MODEL, Model())
    loaded: Any = mlflow.pyfunc.load_model(str(tmp_path / "logged"))
    images = np.load(PREPARED / "images.npy")
    found = loaded.predict(images)
    prefix = "p" if task == "multilabel" else "y"
    assert list(found.columns) == [f"{prefix}_{name}" for name in NAMES[task]]
    expected = pd.read_csv(EVALUATE_REPORT / "predictions.csv")
    wanted = answers(task, expected, "predicted")
    np.testing.assert_allclose(found.to_numpy(), wanted, rtol=1e-7)


def test_the_page_is_of_the_task(task: str) -> None:
    counts = {"num_pictures": COUNT, "num_labels": 3, "num_numbers": 2}
    splits = {"train": 30, "val": 15, "test": 15}
    write_json(PREPARED / "summary.json", counts | {"splits": splits})
    ABLATION_REPORT.mkdir(parents=True, exist_ok=True)
    nothing = dict.fromkeys(ANSWERS, "") | {"settings": []}
    write_json(ABLATION_REPORT / "verdict.json", nothing)
    write_page(ReportParams(tracking=TrackingSettings(enabled=False)))
    page = html.unescape(REPORT.read_text())
    metrics = read_json(EVALUATE_REPORT / "metrics.json")
    report = report_of(metrics)
    assert {"multilabel": "60 pictures with 3 labels", "regression": "60 pictures with 2 numbers"}[
        task
    ] in page
    for words in (report.closing(metrics), report.worth_on_test(metrics)):
        assert words in page
    for part in (*read_parts(EVALUATE_REPORT), *read_parts(FINETUNE_REPORT)):
        assert part.title in page
        for table in part.tables:
            columns = pd.read_csv(table_folder(table.file) / table.file).columns
            assert set(table.columns) <= set(columns), table.file


def table_folder(file: str) -> Path:
    """Of the two stages that wrote it."""
    return EVALUATE_REPORT if (EVALUATE_REPORT / file).exists() else FINETUNE_REPORT
