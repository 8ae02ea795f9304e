"""The screen: estimates, and which rows they say are worth confirming."""

import math
from typing import Any

import pandas as pd
import pytest

from sftcore.ablation.plan import Row, plan_screen
from sftcore.ablation.screen import choose_rows, screen_table
from sftcore.tasks.classification.task import ClassificationTask as TASK
from tests.ablation.made import lines, params_with

NAN = float("nan")
BASE = [1.0, 2.0]


def screened(losses: dict[tuple[str, int], list[float]], metric: str = "loss") -> Any:
    """Rows and table of a screen; what is not given is as the baseline."""
    rows = plan_screen(params_with())
    cells = [
        line | {"replicate": line["replicate"] - 1000}
        for row in rows
        for line in lines(
            row.name, metric, losses.get((row.name, row.setting), BASE), family="screen",
            setting=row.setting,
        )
    ]  # fmt: skip
    return rows, screen_table(rows, pd.DataFrame(cells), metric, TASK)


def best(losses: dict[tuple[str, int], list[float]], num_rows: int = 9) -> dict[str, Any]:
    rows, table = screened(losses)
    return choose_rows(rows, table, num_rows)


def test_gains_are_paired_and_better_is_above_zero() -> None:
    rows, table = screened({("l1", 2): [0.9, 1.7], ("dropout", 1): [1.1, 2.1]})
    assert table.columns.tolist() == [
        "row",
        "setting",
        "num_replicates",
        "num_failed",
        "num_on_last_epoch",
        "loss",
        "accuracy",
        "loss_difference",
        "accuracy_difference",
        "gain",
    ]
    assert len(table) == len(rows)
    gains = dict(zip([(r.name, r.setting) for r in rows], table["gain"], strict=True))
    assert gains["l1", 2] == pytest.approx(0.2)
    assert gains["dropout", 1] == pytest.approx(-0.1)
    assert gains["none", 1] == 0.0
    assert table["setting"].iloc[2] == "train.penalties.l1 0.001"
    _, up = screened({("l1", 2): [1.1, 2.1]}, metric="macro_f1")
    assert up["gain"].iloc[2] == pytest.approx(0.1)


def test_the_best_rows_go_on_by_their_best_setting_best_first() -> None:
    losses = {
        ("l1", 1): [0.9, 1.9], ("l1", 2): [0.8, 1.8], ("dropout", 1): [0.5, 1.5],
        ("proximal", 1): [0.7, 1.7],
    }  # fmt: skip
    found = best(losses)
    assert list(found) == ["dropout", "proximal", "l1"]
    assert found["l1"] == {"train.penalties.l1": 1e-3}
    assert list(best(losses, num_rows=2)) == ["dropout", "proximal"]
    assert best(losses, num_rows=1) == {"dropout": {"model.dropout": 0.2}}


def test_what_looks_no_better_is_not_confirmed() -> None:
    assert best({}) == {}
    assert best({("l1", 1): [1.1, 2.0]}) == {}


def test_rows_made_of_others_are_not_confirmed() -> None:
    assert best({("all_together", 1): [0.1, 0.1], ("without l1", 1): [0.1, 0.1]}) == {}


def test_a_setting_that_failed_anywhere_has_no_gain() -> None:
    losses = {("l1", 1): [0.9, 1.9], ("l1", 2): [0.1, NAN], ("dropout", 1): [NAN, NAN]}
    rows, table = screened(losses)
    assert best(losses) == {"l1": {"train.penalties.l1": 1e-4}}
    assert table["num_failed"].tolist()[:5] == [0, 0, 1, 2, 0]
    assert math.isnan(table["gain"].iloc[2])
    assert rows[2].setting == 2


def test_a_baseline_that_failed_everywhere_chooses_nothing() -> None:
    assert best({("none", 1): [NAN, NAN], ("l1", 1): [0.1, 0.1]}) == {}


def test_only_its_own_family_counts() -> None:
    rows: list[Row] = plan_screen(params_with())[:2]
    cells = [
        *lines("none", "loss", BASE, family="screen"), *lines("l1", "loss", BASE, family="screen"),
        *lines("l1", "loss", [0.0, 0.0]),
    ]  # fmt: skip
    assert screen_table(rows, pd.DataFrame(cells), "loss", TASK)["num_replicates"].tolist() == [
        2,
        2,
    ]
