"""Small classes, bad input and reordered rows in the report of a finished model."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sftcore.foundations.errors import DataError
from sftcore.tasks.classification.predictions import predictions_table
from sftcore.tasks.classification.report import write_report

CLASSES = ["rare", "common", "never"]


def example(num_rows: int = 393) -> tuple[pd.DataFrame, np.ndarray]:
    """Each split holds three pictures of a rare class that is always right."""
    labels = np.where(np.arange(num_rows) < 9, 0, 1)
    p = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])[labels]
    p[9::5] = [0.4, 0.5, 0.1]
    p[10::7] = [0.1, 0.3, 0.6]
    splits = [("train", "val", "test")[i % 3] for i in range(num_rows)]
    images = np.arange(num_rows, dtype=np.int64)[:, None, None, None] % 251
    images = np.broadcast_to(images, (num_rows, 4, 4, 3)).astype(np.uint8)
    ids = [f"{i:03d}" for i in range(num_rows)]
    return predictions_table(p, labels, CLASSES, ids, splits), images


def report(table: pd.DataFrame, images: np.ndarray, output: Path) -> dict[str, Any]:
    return write_report(
        table, CLASSES, images, groups=list(table["id"]), num_bootstrap=2000, confidence=0.95,
        num_calibration_bins=10, num_most_wrong=4, seed=0, output=output,
    )  # fmt: skip


def test_a_resample_without_a_class_says_nothing_about_it(tmp_path: Path) -> None:
    table, images = example()
    metrics = report(table, images, tmp_path / "a")
    rows = pd.read_csv(tmp_path / "a" / "per_class.csv").set_index("class")
    # Some 5 % of the resamples hold no picture of the rare class.
    assert rows.loc["rare", ["support", "recall", "recall_low"]].tolist() == [3, 1, 1]
    assert rows.loc["rare", "f1_low"] > 0
    # The last class never occurs, so only its precision can be measured.
    assert rows.loc["never", ["support", "recall", "f1"]].tolist() == [0, 0, 0]
    assert rows.loc["never", ["recall_low", "recall_high", "f1_low", "f1_high"]].isna().all()
    assert rows.loc["never", ["precision_low", "precision_high"]].tolist() == [0, 0]
    right = int((table["label"] == table["predicted"])[table["split"] == "test"].sum())
    wilson = stats.binomtest(right, metrics["test"]["num_pictures"]).proportion_ci(method="wilson")
    assert metrics["test"]["accuracy_low"] == pytest.approx(wilson.low, abs=0.02)
    assert metrics["test"]["accuracy_high"] == pytest.approx(wilson.high, abs=0.02)


def test_pictures_follow_their_rows_and_not_the_index(tmp_path: Path) -> None:
    table, images = example()
    report(table, images, tmp_path / "a")
    relabelled = table.set_axis(range(len(table))[::-1], axis=0)
    report(relabelled, images, tmp_path / "b")
    names = [folder / "most_wrong.png" for folder in (tmp_path / "a", tmp_path / "b")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_what_cannot_be_reported_is_refused_and_the_earlier_report_stays(tmp_path: Path) -> None:
    table, images = example()
    output = tmp_path / "report"
    output.mkdir()
    (output / "earlier").write_text("kept")
    without = table["split"] != "val"
    with pytest.raises(DataError, match="no picture in split val"):
        report(table[without], images[without], output)
    with pytest.raises(DataError, match="'zebra' is not a class"):
        report(table.replace({"label": {"rare": "zebra"}}), images, output)
    with pytest.raises(DataError, match="393 predictions and 392 pictures"):
        report(table, images[:-1], output)
    table.loc[3, "p_1"] = np.nan
    with pytest.raises(DataError, match=r"1 of 393 pictures.*learning_rate"):
        report(table, images, output)
    assert [path.name for path in output.iterdir()] == ["earlier"]
