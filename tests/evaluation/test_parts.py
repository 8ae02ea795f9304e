"""What the report says of a training and of a test split: the numbers are the tables' own."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sftcore.evaluation.training_parts import training_parts
from sftcore.reporting.parts import Part, read_parts
from sftcore.tasks.classification.baselines import rows_to_beat
from sftcore.tasks.classification.task import ClassificationTask
from tests.evaluation.test_baselines import TEST, TRAIN, VAL, C, report


def history(num_head: int, num_full: int) -> pd.DataFrame:
    count = num_head + num_full
    return pd.DataFrame({
        "epoch": range(count),
        "phase": ["head"] * num_head + ["full"] * num_full,
        "train_loss": np.linspace(2, 0.25, count),
        "val_loss": np.linspace(2, 1.5, count),
    })  # fmt: skip


@pytest.mark.parametrize(("num_head", "num_full"), [(1, 16), (1, 0), (5, 3), (0, 4)])
def test_epochs_are_counted_by_phase(num_head: int, num_full: int) -> None:
    found = training_parts(
        history(num_head, num_full), pd.DataFrame(), "last epoch", 0, [], ClassificationTask
    )
    text = found[0].text[0]
    assert f"head alone: {num_head}; of the trained blocks with it: {num_full}." in text
    if num_head + num_full > 1:
        assert "0.250 on training pictures and 1.500 on validation" in text


def test_what_was_not_drawn_is_not_shown_and_incidents_open_their_part() -> None:
    def parts(num_incidents: int, *figures: str) -> dict[str, Part]:
        incidents = pd.DataFrame({"epoch": range(num_incidents)})
        return {
            p.title: p
            for p in training_parts(history(1, 3), incidents, "x", 1, figures, ClassificationTask)
        }

    calm = parts(0)
    assert "nothing to answer" in calm["The course of the training"].text[1]
    assert calm["Every update"].is_folded
    assert not calm["Every update"].tables
    assert "The range test" not in calm
    assert not calm["What it could have ended with"].figures
    wild = parts(2, "range_test.png", "wise_ft.png")
    assert "answered 2 incidents" in wild["The course of the training"].text[1]
    assert not wild["Every update"].is_folded
    assert wild["Every update"].tables[0].file == "incidents.csv"
    assert wild["The range test"].figures[0].data == "range_test.csv"
    assert wild["What it could have ended with"].figures[0].data == "candidates.csv"


def test_the_sentences_of_the_test_split_are_its_numbers(tmp_path: Path) -> None:
    rows = rows_to_beat(TRAIN, VAL, TEST[0], C)
    metrics = report(tmp_path / "report", rows[1], rows)
    first, gap, calibration, *_ = read_parts(tmp_path / "report")
    test, worth = metrics["test"], metrics["worth"]
    right = float((torch.from_numpy(rows[1].test).argmax(1) == TEST[1]).double().mean())
    assert f"accuracy {right:.3f} [{test['accuracy_low']:.3f}, " in first.text[0]
    assert "Intervals (90%)" in first.text[0]
    assert "had no say in this model" in first.text[0]
    assert f"accuracy {worth['test_accuracy']:+.3f} [" in first.text[1]
    assert f"loss better by {worth['test_nll']:+.3f} [" in first.text[1]
    found = metrics["gap"]["train_minus_test_accuracy"]
    assert f"minus that on test pictures: {found:+.3f} [" in gap.text[0]
    assert f"Calibration error {test['ece']:.3f}" in calibration.text[0]
    assert f"temperature {metrics['temperature']['temperature']:.2f}" in calibration.text[0]
    alone = report(tmp_path / "alone", rows[1], [])
    assert "worth" not in alone
    assert read_parts(tmp_path / "alone")[0].title == "The model"
