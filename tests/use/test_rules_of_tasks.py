"""Rules of labels and of numbers: fixed on validation, measured on test, kept, applied, told."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score

from sftcore.evaluation.predict import Seen
from sftcore.foundations.artifacts import read_json, write_json
from sftcore.foundations.errors import WeightsError
from sftcore.reporting.parts import write_parts
from sftcore.use.contract import ToJudge
from sftcore.use.decision import load_decision, save_decision
from sftcore.use.inputs import Named
from sftcore.use.opening import Opened
from sftcore.use.rows import RowMaker
from sftcore.use.rules import Wanted
from sftcore.use.usages import USAGES
from tests.tasks.finished import NAMES, PLACES, made

WANTED = Wanted(coverage=0.8, answer_accuracy=0.9, known_fraction=0.9, confidence=0.95)
TASKS = ("multilabel", "regression")


def judged_of(task: str) -> ToJudge:
    finished, _, features = made(task)
    groups = np.asarray(finished.groups, dtype=object)
    return ToJudge(features, finished.answers, finished.targets, groups, PLACES)


def fix(task: str, wanted: Wanted = WANTED) -> tuple[Any, Any, ToJudge]:
    usage, judged = USAGES[task](NAMES), judged_of(task)
    return usage, usage.fix(judged, wanted, model_sha256="m", device="cpu"), judged


def seen_of(judged: ToJudge, split: str) -> Seen:
    rows = PLACES[split]
    return Seen(judged.features[rows], judged.answers[rows])


@pytest.mark.parametrize("task", TASKS)
def test_rules_are_kept_and_belong_to_their_model(task: str, tmp_path: Path) -> None:
    usage, fixed, _ = fix(task)
    save_decision(tmp_path / "decision", fixed.decision, fixed.directions)
    decision, directions = load_decision(tmp_path / "decision", "m", usage.read)
    torch.testing.assert_close(directions, fixed.directions)
    assert decision.reference_sha256
    assert decision.unlike == fixed.decision.unlike
    again = tmp_path / "again"
    save_decision(again, decision, directions)
    assert (again / "decision.json").read_bytes() == (
        tmp_path / "decision" / "decision.json"
    ).read_bytes()
    with pytest.raises(WeightsError, match="another model"):
        load_decision(tmp_path / "decision", "n", usage.read)
    for other in set(USAGES) - {task}:
        with pytest.raises(WeightsError, match="no complete decision"):
            load_decision(tmp_path / "decision", "m", USAGES[other](NAMES).read)
    with pytest.raises(WeightsError, match="no complete decision"):
        load_decision(tmp_path / "decision", "m", USAGES[task](NAMES[:2]).read)
    content = read_json(tmp_path / "decision" / "decision.json")
    del content["unlike"]
    write_json(tmp_path / "decision" / "decision.json", content)
    with pytest.raises(WeightsError, match="no complete decision"):
        load_decision(tmp_path / "decision", "m", usage.read)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_said_on_test_is_what_the_cells_come_to(task: str) -> None:
    usage, fixed, judged = fix(task)
    cells = usage.cells(seen_of(judged, "test"), (fixed.decision, fixed.directions))
    wanted, decision = judged.targets[PLACES["test"]], fixed.decision
    assert 1 - np.mean(cells["unlike"].to_numpy(dtype=bool)) == pytest.approx(
        decision.unlike.test_passed.value
    )
    if task == "multilabel":
        said = np.array([[n in json.loads(cell) for n in NAMES] for cell in cells["labels"]])
        assert cells["num_labels"].to_numpy().tolist() == said.sum(axis=1).tolist()
        present = wanted == 1
        assert decision.labels.test_precision.value == pytest.approx(present[said].mean())
        assert decision.labels.test_recall.value == pytest.approx(said[present].mean())
        assert decision.labels.test_recall.num == present.sum()
        val = judged.answers[PLACES["val"]] >= np.array(decision.labels.thresholds)
        truth = judged.targets[PLACES["val"]]
        for k in range(3):  # no other threshold does better there
            cuts = np.unique(judged.answers[PLACES["val"], k])
            best = max(f1_score(truth[:, k], judged.answers[PLACES["val"], k] >= c) for c in cuts)
            assert f1_score(truth[:, k], val[:, k]) == pytest.approx(best)
        return
    residual = np.abs(judged.targets[PLACES["val"]] - judged.answers[PLACES["val"]])
    for k in range(3):
        radius = np.sort(residual[:, k])[int(np.ceil(61 * 0.8)) - 1]
        np.testing.assert_allclose(cells[f"high_{k}"] - cells[f"y_{k}"], radius)
        np.testing.assert_allclose(cells[f"y_{k}"] - cells[f"low_{k}"], radius)
        inside = (cells[f"low_{k}"] <= wanted[:, k]) & (wanted[:, k] <= cells[f"high_{k}"])
        assert decision.intervals.test[k].value == pytest.approx(inside.mean())


@pytest.mark.parametrize("task", TASKS)
def test_parts_and_last_words(task: str, tmp_path: Path) -> None:
    usage, fixed, _ = fix(task)
    ids = {split: [f"={k}" for k in range(len(PLACES[split]))] for split in ("val", "test")}
    write_parts(tmp_path, usage.parts(fixed, ids, tmp_path))
    assert "\n=" not in (tmp_path / "unlike.csv").read_text()
    lines = list(usage.told(fixed.decision, Counter({"unlike": 3}), 9, "texts"))
    assert lines[-1].startswith("unlike: 3 of 9")
    assert str(fixed.decision.unlike.test_passed) in lines[-1]
    assert len(lines) == (2 if task == "multilabel" else 4)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("has_rules", [True, False])
def test_lines_of_the_table(task: str, has_rules: bool, tmp_path: Path) -> None:
    usage, fixed, judged = fix(task)
    rules = (fixed.decision, fixed.directions) if has_rules else None
    maker = RowMaker(usage, rules, with_probabilities=False)
    pixels = np.zeros((2, 2, 3), np.uint8)
    names = [Named(f"={k}", str(tmp_path / str(k))) for k in range(3)]
    opened = [Opened(name, pixels) for name in names]
    opened[1] = Opened(names[1], None, "no picture")
    seen = Seen(judged.features[:2], judged.answers[:2])
    file = tmp_path / "out.csv"
    file.write_text(maker.header + "".join(maker.lines(opened, seen)))
    table = pd.read_csv(file)
    assert list(table.columns) == maker.columns
    assert table["reason"].tolist()[1] == "no picture"
    assert table.drop(columns=["file", "reason"]).iloc[1].isna().all()
    if task == "regression":
        np.testing.assert_allclose(table["y_1"][[0, 2]], judged.answers[:2, 1], rtol=1e-8)
        assert ("low_0" in table) == has_rules
    else:
        assert ("labels" in table) == has_rules
        assert ("p_2" in table) == (not has_rules)  # else there would be nothing at all
    assert ("unlike" in table) == has_rules


def test_too_few_validation_pictures_leave_the_intervals_empty(tmp_path: Path) -> None:
    usage, fixed, judged = fix("regression", Wanted(0.99, 0.9, 0.9, 0.95))
    assert fixed.decision.intervals.radius == (None, None, None)
    save_decision(tmp_path / "decision", fixed.decision, fixed.directions)
    decision = load_decision(tmp_path / "decision", "m", usage.read)
    cells = usage.cells(seen_of(judged, "test"), decision)
    assert np.isnan(cells["low_0"]).all()
    assert "too few" in next(usage.told(decision[0], Counter(), 1, "texts"))
