"""Every task's report keeps the contract: files, parts, words, numbers that others ask for."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

from sftcore.foundations.artifacts import read_json
from sftcore.foundations.errors import DataError, WeightsError
from sftcore.metrics.rows_to_beat import Baseline, title_of
from sftcore.pipeline.results import answer_text, first_answer, headline_metrics
from sftcore.reporting.parts import read_parts
from sftcore.tasks.finished import Finished
from sftcore.tasks.names import ANSWERS, BOXES, CLASSES, CLASSES_OF_TEXTS, LABELS, MASKS, NUMBERS
from sftcore.tasks.registry import TASKS
from sftcore.tasks.report_contract import Known, Shown, TaskReport
from sftcore.tasks.reports import REPORTS, report_for, report_of
from sftcore.use.usages import USAGES
from tests.tasks.boxes import telling_maps
from tests.tasks.finished import MEASURING, NAMES, PLACES, made, made_maps

PNG = b"\x89PNG\r\n\x1a\n"


def _maps(task: str, finished: Finished, targets: torch.Tensor, of: np.ndarray) -> Any:
    if task == BOXES:
        return partial(telling_maps, targets[of])
    return partial(made_maps, finished.targets, of) if task == MASKS else None


def rows_to_beat(report: TaskReport, finished: Finished, features: torch.Tensor) -> list[Baseline]:
    targets = torch.from_numpy(finished.targets)
    train, val, test = (
        Known(
            features[of],
            partial(finished.examples.__getitem__, of),
            targets[of],
            maps=_maps(report.name, finished, targets, of),
        )
        for of in PLACES.values()
    )
    shown = Shown(test.features, test.read, speaker=finished.before, maps=test.maps)
    return report.rows_to_beat(train, val, shown)


class Written(NamedTuple):
    report: TaskReport
    folder: Path
    metrics: dict[str, Any]
    baselines: list[Baseline]


@pytest.fixture(scope="module", params=REPORTS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    finished, facts, features = made(request.param)
    report = report_for(request.param, NAMES, facts)
    folder = tmp_path_factory.mktemp("report") / request.param
    baselines = rows_to_beat(report, finished, features)
    metrics = report.write(finished, MEASURING, folder, baselines)
    return Written(report, folder, metrics, baselines)


def test_every_task_has_a_report_or_is_said_to_have_none() -> None:
    known = {CLASSES, LABELS, NUMBERS, CLASSES_OF_TEXTS, ANSWERS, MASKS, BOXES}
    assert set(TASKS) == set(USAGES) == set(REPORTS) == known
    for name, report in REPORTS.items():
        assert report.name == name
        assert report.examples == TASKS[name].examples
        if TASKS[name].solves_head:  # else evaluate has no time to train it
            assert title_of(report.probe) == TASKS[name].probe_words


def test_the_folder_is_whole(written: Written) -> None:
    report, folder, metrics, _ = written
    assert read_json(folder / "metrics.json") == json.loads(json.dumps(metrics))
    assert report_of(metrics) is type(report)
    assert len(read_json(folder / "test.json")) == 3
    figures = sorted(folder.glob("*.png"))
    assert len(figures) >= 3
    assert all(file.read_bytes().startswith(PNG) for file in figures)
    assert {f"{name}.png" for name in report.figures} <= {file.name for file in figures}
    for chart in report.charts.values():
        (place, column), *others = chart["y"].items()
        assert not others
        table = pd.read_csv(folder / Path(place).relative_to("reports/evaluate"))
        assert {chart["x"], column} <= set(table.columns)
    assert report.number in report.tolerances
    assert report.tolerances.keys() <= metrics["test"].keys()
    parts = read_parts(folder)  # refuses a part that names no file when it is written
    shown = {figure.file for part in parts for figure in part.figures}
    assert shown | {"baselines.png"} == {file.name for file in figures}
    for table in (table for part in parts for table in part.tables):
        assert set(table.columns) <= set(pd.read_csv(folder / table.file).columns), table.file
    for file in folder.glob("*.csv"):
        assert "\n=" not in file.read_text(), f"a formula in {file.name}"
    assert len(pd.read_csv(folder / "predictions.csv")) == 200


def test_the_words_are_the_numbers(written: Written) -> None:
    report, folder, metrics, _ = written
    metrics = read_json(folder / "metrics.json")
    value, low = metrics["test"][report.number], metrics["test"][f"{report.number}_low"]
    high, row = metrics["test"][f"{report.number}_high"], metrics["baselines"][report.probe]
    assert low < value < high
    lines = first_answer(metrics)
    assert lines[0] == f"{report.words} on 50 test {report.examples}, 90% interval"
    assert lines[1].endswith(f"{value:.3f} [{low:.3f}, {high:.3f}]")
    assert any(f"{row[f'test_{report.number}']:.3f} [" in line for line in lines[2:])
    assert f"| **fine-tuned** | {value:.3f} | {low:.3f} to {high:.3f} |" in answer_text(metrics)
    assert f"Test {report.words} {value:.3f} [{low:.3f}, {high:.3f}], 50" in report.closing(metrics)
    worth = metrics["worth"][f"test_{report.number}"]
    gain = value - row[f"test_{report.number}"]
    less_is_better = report.number == "perplexity"
    assert worth == pytest.approx(-gain if less_is_better else gain, abs=2e-6)
    shown = f"lower by {worth:.3f} [" if less_is_better else f"{worth:+.3f} ["
    assert f"{report.words} {shown}" in report.worth_on_test(metrics)
    told = headline_metrics(metrics)
    assert tuple(told) == tuple(report.headline)
    assert value in told.values()
    assert f"{value:.3f} [{low:.3f}, {high:.3f}]" in read_parts(folder)[0].text[0]


def test_the_model_itself_is_worth_nothing_over_itself(written: Written, tmp_path: Path) -> None:
    report, _, _, baselines = written
    finished, _, _ = made(report.name)
    (probe,) = (baseline for baseline in baselines if baseline.name == report.probe)
    own = Baseline(probe.name, {}, *(finished.of(split).answers for split in ("val", "test")))
    metrics = report.write(finished, MEASURING, tmp_path / "own", [own])
    assert set(metrics["worth"].values()) == {0.0}  # not even an interval


def test_a_report_is_the_same_twice_and_needs_no_rows_to_beat(
    written: Written, tmp_path: Path
) -> None:
    report, folder, *_ = written
    finished, _, features = made(report.name)
    report.write(finished, MEASURING, tmp_path / "again", rows_to_beat(report, finished, features))
    for file in folder.iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name
    alone = report.write(finished, MEASURING, tmp_path / "alone")
    assert "worth" not in alone
    assert read_parts(tmp_path / "alone")[0].title == "The model"
    assert not (tmp_path / "alone" / "baselines.png").exists()


@pytest.mark.parametrize("task", REPORTS)
def test_what_cannot_be_reported_is_refused(task: str, tmp_path: Path) -> None:
    finished, facts, _ = made(task)
    report = report_for(task, NAMES, facts)
    broken = finished.answers.copy()
    broken[4, 0] = np.nan
    for bad, message in (
        (replace(finished, answers=broken), "finite"),
        (
            replace(finished, splits=["train"] * 200),
            "no (picture|text|example) in split val, test",
        ),
        (replace(finished, groups=["a"]), "one per"),
    ):
        with pytest.raises(DataError, match=message):
            report.write(bad, MEASURING, tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("task", REPORTS)
def test_answers_of_outputs(task: str) -> None:
    _, facts, _ = made(task)
    if task == BOXES:
        pytest.skip("tests/tasks/test_detection_report.py has outputs at points")
    output = torch.tensor([[0.5, -2.0, 1.0], [40.0, 0.0, -40.0]])
    found = report_for(task, NAMES, facts).answers(output).double().numpy()
    exact = output.double().numpy()
    if task == "regression":
        expected = exact * np.array(facts["scale"]["std"]) + np.array(facts["scale"]["mean"])
    elif task == "multilabel":
        expected = 1 / (1 + np.exp(-exact))
    elif task in (ANSWERS, MASKS):
        expected = exact
    else:
        expected = np.exp(exact) / np.exp(exact).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_a_damaged_record_is_one_clear_error() -> None:
    with pytest.raises(WeightsError, match="no report"):
        report_for("poetry", NAMES, {})
    for facts in ({}, {"scale": {"mean": [0.0], "std": [0.0]}}):
        with pytest.raises(WeightsError, match="damaged"):
            report_for("regression", NAMES, facts)
