"""A line per training: by which pictures it judges, and how a training ended."""

import math
from dataclasses import replace

import pytest

from sftcore.ablation.plan import Cell, plan_cells, plan_screen
from sftcore.ablation.table import (
    COLLAPSED,
    DIVERGED,
    FINISHED,
    cells_table,
    judging_ratio,
    status_of,
)
from sftcore.tasks.classification.task import ClassificationTask as TASK
from tests.ablation.made import params_with, record, result


@pytest.fixture(scope="module")
def cell() -> Cell:
    params = params_with()
    return plan_cells(plan_screen(params), params)[3]


def test_a_line_is_of_the_pictures_that_had_no_say(cell: Cell) -> None:
    made = result(cell, loss=0.7, rise=0.2)
    (line,) = cells_table([made], TASK).to_dict("records")
    assert (line["family"], line["row"], line["setting"], line["replicate"]) == (
        "screen", "l1", 1, 1,
    )  # fmt: skip
    assert (line["loss"], line["accuracy"]) == (0.7, pytest.approx(math.exp(-0.7)))
    assert line["last_loss"] == pytest.approx(0.9)
    assert line["loss_rise"] == pytest.approx(0.2)
    best = made.best
    assert best is not None
    assert line["gap"] == pytest.approx(best.scores["train_accuracy"] - line["accuracy"])
    assert (line["num_train"], line["num_judge"]) == (300, 90)
    assert (line["best_epoch"], line["last_epoch"], line["ends_on_last"]) == (0, 1, False)
    assert not [name for name in line if name.startswith("val_")]


def test_the_best_epoch_at_the_end_may_not_have_converged(cell: Cell) -> None:
    made = replace(result(cell, 0.7), best_epoch=1)
    assert cells_table([made], TASK)["ends_on_last"].tolist() == [True]
    # The head alone has one epoch and no later one that could have been better.
    probe = replace(cell, row=replace(cell.row, train=cell.row.train.model_copy(
        update={"epochs": 0})))  # fmt: skip
    assert cells_table([replace(made, cell=probe)], TASK)["ends_on_last"].tolist() == [False]


@pytest.mark.parametrize(
    ("train", "val", "diverged", "status"),
    [
        (0.1, 1.0, "", FINISHED),
        (0.1, 9.0, "", FINISHED),  # bad, but it learnt
        (math.log(10) - 0.01, 1.0, "", FINISHED),
        (math.log(10), 1.0, "", COLLAPSED),
        (0.1, math.nan, "", DIVERGED),
        (0.1, math.inf, "", DIVERGED),
        (0.1, 1.0, "at update 7", DIVERGED),
    ],
)
def test_how_a_training_ended(
    cell: Cell, train: float, val: float, diverged: str, status: str
) -> None:
    history = [record(0, 0.1, 1.0), record(1, train, val)]
    made = replace(result(cell, 1.0), history=history, diverged=diverged)
    assert status_of(made) == status
    assert cells_table([made], TASK)["status"].tolist() == [status]


def test_a_training_without_an_epoch_has_a_line(cell: Cell) -> None:
    (line,) = cells_table([result(cell, 1.0, diverged="at update 0")], TASK).to_dict("records")
    assert (line["status"], line["best_epoch"], line["last_epoch"]) == (DIVERGED, -1, -1)
    for name in ("loss", "accuracy", "ece", "last_loss", "loss_rise", "gap", "temperature"):
        assert math.isnan(line[name]), name
    assert line["ends_on_last"] is False
    assert line["chosen"] == ""


def test_the_ratio_is_of_judging_to_learning_pictures(cell: Cell) -> None:
    made = [replace(result(cell, 1.0), num_train=n) for n in (300, 100)]
    table = cells_table(made, TASK)
    assert judging_ratio(table) == pytest.approx((0.3 + 0.9) / 2)
    assert judging_ratio(table[table["row"] == ""]) == 0.0
