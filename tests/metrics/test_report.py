import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from sftcore.evaluation.history_figure import history_figure
from sftcore.foundations.artifacts import sha256_file
from sftcore.foundations.tables import safe_cells
from sftcore.tasks.classification.predictions import predictions_table
from sftcore.tasks.classification.report import write_report
from sftcore.tasks.contract import Task
from sftcore.tasks.registry import TASKS
from tests.shared import figures_drawn

CLASSES = ["=cmd|' /C calc'!A0", "a $very$ long_name with <b>tags</b> and more", "日本", "plain"]


def example(count: int = 60) -> tuple[pd.DataFrame, np.ndarray]:
    stream = np.random.default_rng(0)
    labels = stream.integers(0, 3, count)  # the last class never occurs
    logits = stream.normal(size=(count, 4)) + 2 * np.eye(4)[labels]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    splits = [("train", "val", "test")[i % 3] for i in range(count)]
    ids = [f"@{i:03d}.png" for i in range(count)]
    images = stream.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return predictions_table(p.astype(np.float32), labels, CLASSES, ids, splits), images


def report(output: Path, group_size: int = 1) -> dict[str, dict[str, float]]:
    table, images = example()
    groups = [str(i // (3 * group_size)) + split for i, split in enumerate(table["split"])]
    return write_report(
        table, CLASSES, images, groups=groups, num_bootstrap=200, confidence=0.9,
        num_calibration_bins=5, num_most_wrong=5, seed=0, output=output,
    )  # fmt: skip


def test_the_report_is_complete_and_twice_the_same(tmp_path: Path) -> None:
    metrics = report(tmp_path / "a")
    report(tmp_path / "b")
    names = {path.name for path in (tmp_path / "a").iterdir()}
    for name in ("confusion", "per_class", "reliability", "generalization_gap", "most_wrong"):
        assert {f"{name}.png", f"{name}.csv"} <= names
    for name in names:
        assert sha256_file(tmp_path / "a" / name) == sha256_file(tmp_path / "b" / name), name
    assert json.loads((tmp_path / "a" / "metrics.json").read_text()) == metrics


def test_numbers_come_from_their_own_split_with_intervals(tmp_path: Path) -> None:
    table, _ = example()
    metrics = report(tmp_path / "a")
    for split in ("train", "val", "test"):
        rows = table[table["split"] == split]
        accuracy = (rows["label"] == rows["predicted"]).mean()
        assert metrics[split]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
        assert metrics[split]["num_pictures"] == len(rows)
        for name in ("accuracy", "balanced_accuracy", "macro_f1", "nll", "brier"):
            assert metrics[split][f"{name}_low"] < metrics[split][f"{name}_high"]
    gap = metrics["train"]["accuracy"] - metrics["val"]["accuracy"]
    assert metrics["gap"]["train_minus_val_accuracy"] == pytest.approx(gap, abs=2e-6)


def test_near_duplicates_are_resampled_together(tmp_path: Path) -> None:
    alone, grouped = report(tmp_path / "a"), report(tmp_path / "b", group_size=10)
    for split in ("train", "val", "test"):
        assert grouped[split]["nll"] == alone[split]["nll"]
        assert grouped[split]["nll_low"] != alone[split]["nll_low"]
        # Two groups say less of a perfectly calibrated model than twenty pictures.
        assert grouped[split]["ece_if_perfect_high"] > alone[split]["ece_if_perfect_high"]
    assert grouped["gap"] != alone["gap"]
    assert grouped["temperature"]["test_nll_high"] != alone["temperature"]["test_nll_high"]


def test_the_calibration_error_stands_beside_that_of_a_perfect_model(tmp_path: Path) -> None:
    metrics = report(tmp_path / "a")
    for numbers in (metrics["train"], metrics["val"], metrics["test"]):
        assert "ece_low" not in numbers
        assert 0 < numbers["ece_if_perfect_mean"] < numbers["ece_if_perfect_high"]
        expected = max(0.0, numbers["squared_calibration_error"]) ** 0.5
        assert numbers["rms_calibration_error"] == pytest.approx(expected, abs=1e-3)
    assert 0 < metrics["temperature"]["test_ece_if_perfect_high"] < 1


def test_tables_hold_the_test_split_and_no_formulas(tmp_path: Path) -> None:
    report(tmp_path / "a")
    for path in (tmp_path / "a").glob("*.csv"):
        for cell in path.read_text().replace("\n", ",").split(","):
            assert not cell.strip('"').startswith(("=", "@", "+")), (path.name, cell)
    matrix = pd.read_csv(tmp_path / "a" / "confusion_matrix.csv").iloc[:, 1:].to_numpy()
    assert matrix.shape == (4, 4)
    assert matrix.sum() == 20
    assert len(pd.read_csv(tmp_path / "a" / "confusion.csv")) == 20
    wrong = pd.read_csv(tmp_path / "a" / "most_wrong.csv")
    table, _ = example()
    least = table[table["split"] == "test"]["probability_of_label"].nsmallest(5)
    np.testing.assert_allclose(wrong["probability_of_label"], least, rtol=1e-6)
    per_class = pd.read_csv(tmp_path / "a" / "per_class.csv")
    assert per_class["support"].tolist()[3] == 0


def test_safe_cells_changes_only_what_a_spreadsheet_would_run() -> None:
    table = pd.DataFrame({"=a": ["+1", "b", "-c"], "n": [-1.0, 2.0, 3.0]})
    safe = safe_cells(table)
    assert list(safe.columns) == ["'=a", "n"]
    assert safe["'=a"].tolist() == ["'+1", "b", "'-c"]
    assert safe["n"].tolist() == [-1.0, 2.0, 3.0]
    assert table["=a"].tolist()[0] == "+1"


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("final", [1.4, 0.3])
def test_no_words_of_the_history_figure_lie_on_others(
    task: type[Task], final: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = figures_drawn(monkeypatch)
    score = task.scores[0]
    rows = [
        {"epoch": epoch, "phase": "full" if epoch else "head", "train_loss": 0.2,
         "val_loss": 0.25 if epoch == 0 else final, f"train_{score}": 1.0, f"val_{score}": 0.6,
         "learning_rate": 0.1 * epoch, "gradient_norm": 1.0, "weight_norm": 3.0,
         "weight_distance": 1.0}
        for epoch in range(3)
    ]  # fmt: skip
    history_figure(pd.DataFrame(rows), 0, (score, task.words[score]), task.loss_unit)
    for axis in drawn[0].axes:
        name = axis.get_title("left")
        title = [text for text in axis.findobj(Text) if text.get_text() == name]  # type: ignore[attr-defined]
        words = [*title, *axis.texts, axis.get_legend()]
        boxes = [each.get_window_extent() for each in words]
        assert len(boxes) == 2 + len(axis.texts)
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert drawn[0].axes[0].texts, "the rise is said"


def test_the_history_figure_is_a_picture_and_twice_the_same() -> None:
    rows = [
        {"epoch": i, "phase": "head" if i < 2 else "full", "train_loss": 1 / (i + 1),
         "val_loss": 1.0, "train_accuracy": 0.5, "val_accuracy": 0.4, "learning_rate": float(i < 4),
         "gradient_norm": 1.0, "weight_norm": 3.0, "weight_distance": 0.1 * i}
        for i in range(5)
    ]  # fmt: skip
    first = history_figure(pd.DataFrame(rows), 3)
    assert first.startswith(b"\x89PNG")
    assert first == history_figure(pd.DataFrame(rows), 3)
    assert first != history_figure(pd.DataFrame(rows), 1)
