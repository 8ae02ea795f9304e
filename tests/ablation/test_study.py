"""A study from its grid to its report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sftcore.ablation.search import choose_settings

from sftcore.ablation.data_size import fit_power_laws, fold_table, growth_table
from sftcore.ablation.plan import Row, plan_cells, plan_rows, plan_search
from sftcore.ablation.run import check_cells
from sftcore.ablation.study import conduct
from sftcore.ablation.write import write_study
from sftcore.data.portions import Portion
from sftcore.data.store import open_store
from sftcore.errors import ParamsError
from sftcore.params import check_params
from sftcore.sections import Params
from tests.ablation.test_run import run
from tests.training.test_loop import small

GRID = {
    "num_seeds": 2,
    "num_search_seeds": 2,
    "regularization": {
        "none": {},
        "l1": {"train.l1": [1e-4, 1e-3]},
        "dropout": {"model.dropout": [0.2, 0.5]},
        "proximal": {"train.l2": [0.1, 0.2], "train.penalty_form": "proximal"},
    },
    "all_together": ["l1", "dropout", "proximal"],
    "leave_one_out": True,
    "data_size": {"fractions": [0.5, 0.7, 1.0], "num_seeds": 2, "rows": ["none", "all_together"]},
    "cross_validation": {"num_folds": 2, "rows": ["none"]},
    "stability": {
        "num_seeds": 2,
        "base": {},
        "learning_rates": [0.01, 100.0],
        "schedules": ["cosine"],
        "answers": {"none": {}, "guard": {"train.guard": "rollback"}},
    },
    "spread": {"num_seeds": 2, "base": {"model.dropout": 0.5}},
}


def params_with(**changes: Any) -> Params:
    tree = small(**{"model.trainable_blocks": 1, "train.epochs": 1}).model_dump()
    tree["ablation"] |= {"base": {"train.epochs": 1}, "quick": GRID | changes}
    return check_params(tree, "test")


def test_the_plan_is_the_grid() -> None:
    params = params_with()
    search = plan_search(params)
    assert {name: len(rows) for name, rows in search.items()} == {
        "l1": 2, "dropout": 2, "proximal": 2,
    }  # fmt: skip
    chosen = {
        "l1": {"train.l1": 1e-3},
        "dropout": {"model.dropout": 0.2},
        "proximal": {"train.l2": 0.2, "train.penalty_form": "proximal"},
    }
    rows = plan_rows(params, chosen)
    by_family: dict[str, list[Row]] = {}
    for row in rows:
        by_family.setdefault(row.family, []).append(row)
    assert [r.name for r in by_family["regularization"]] == [
        "none", "l1", "dropout", "proximal", "all_together",
    ]  # fmt: skip
    together = by_family["regularization"][-1]
    assert (together.train.l1, together.model.dropout, together.train.l2) == (1e-3, 0.2, 0.2)
    assert together.train.penalty_form == "proximal"
    without = {r.name: r for r in by_family["leave_one_out"]}
    assert without["without l1"].train.l1 == 0.0
    assert without["without l1"].model.dropout == 0.2
    assert without["without dropout"].model.dropout == 0.0
    assert [r.portion for r in by_family["data_size"]] == [
        Portion(f) for f in (0.5, 0.7, 1.0)
    ] * 2  # fmt: skip
    assert [r.portion for r in by_family["fold"]] == [Portion(1.0, 2, 0), Portion(1.0, 2, 1)]
    seeds = {cell.seed for cell in plan_cells(rows, params)}
    others = {cell.seed for rows in search.values() for cell in plan_cells(rows, params)}
    assert seeds == {0, 1}
    assert not seeds & others


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"regularization": {"none": {}, "a": {"train.l1": [0.1, 0.2]}, "b": {"train.l2": 0.1}},
          "all_together": [], "leave_one_out": False, "data_size": None}, "equally many settings"),
        ({"regularization": {"none": {}, "a": {"train.l1": [0.1, 0.2], "train.l2": [0.1]}},
          "all_together": [], "leave_one_out": False, "data_size": None},
         "of one length"),
        ({"all_together": ["l1", "l9"]}, "all_together names 'l9'"),
        ({"all_together": ["l1", "dropout"]}, "at least three rows"),
        ({"data_size": {"fractions": [1.0, 0.5], "num_seeds": 2, "rows": ["none"]}}, "must rise"),
        ({"data_size": {"fractions": [0.2, 0.5], "num_seeds": 2, "rows": ["none"]}}, "end with 1"),
        ({"cross_validation": {"num_folds": 2, "rows": ["l7"]}}, "names 'l7'"),
        ({"regularization": {"none": {}, "all_together": {"train.l1": 0.1}}}, "is made of"),
    ],
)  # fmt: skip
def test_unfair_or_unsound_grids_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        params_with(**changes)


def cell_lines(family: str, row: str, values: list[float], **columns: Any) -> list[dict[str, Any]]:
    return [
        {"family": family, "row": row, "seed": seed, "status": "finished", "val_loss": value}
        | columns
        for seed, value in enumerate(values)
    ]


def test_the_least_mean_loss_is_chosen_and_a_failed_setting_is_out() -> None:
    params = params_with()
    search = {"l1": plan_search(params)["l1"]}
    first, second = (row.name for row in search["l1"])
    lines = cell_lines("search", first, [1.0, 1.2]) + cell_lines("search", second, [0.2, 1.9])
    chosen, table = choose_settings(search, pd.DataFrame(lines))
    assert chosen == {"l1": {"train.l1": 1e-3}}
    assert table["is_chosen"].tolist() == [False, True]
    lines[-1]["status"] = "diverged"
    chosen, table = choose_settings(search, pd.DataFrame(lines))
    assert chosen == {"l1": {"train.l1": 1e-4}}
    assert table["num_failed"].tolist() == [0, 1]


def size_cells(exponents: list[float]) -> pd.DataFrame:
    lines = []
    for seed, exponent in enumerate(exponents):
        for fraction in (0.25, 0.5, 1.0):
            count = 400 * fraction
            line = {"family": "data_size", "row": "none", "seed": seed, "status": "finished",
                    "fraction": fraction, "num_train": count, "gap": 0.3, "val_loss": 1.0,
                    "val_accuracy": 1 - 2 * count**-exponent}  # fmt: skip
            lines.append(line)
    return pd.DataFrame(lines)


def test_a_power_law_is_found_again_and_the_next_doubling_foretold() -> None:
    laws = fit_power_laws(size_cells([0.3, 0.3]), 0.95)
    assert laws[0].exponent == pytest.approx((0.3, 0.3, 0.3))
    gain = 2 * 400**-0.3 - 2 * 800**-0.3
    assert laws[0].doubling == pytest.approx((gain, gain, gain))
    assert laws[0].scale == pytest.approx(2.0)
    cells = size_cells([0.28, 0.3, 0.35])
    (law,) = fit_power_laws(cells, 0.95)
    assert law.exponent[1] < 0.31 < law.exponent[2]
    assert law.exponent[0] == pytest.approx(np.mean([0.28, 0.3, 0.35]))
    cells.loc[(cells["seed"] == 0) & (cells["fraction"] == 0.5), "status"] = "diverged"
    (law,) = fit_power_laws(cells, 0.95)
    assert law.num_seeds == 2
    table = growth_table(cells)
    assert table["num_seeds"].tolist() == [3, 2, 3]
    assert fit_power_laws(cells[cells["seed"] == 1], 0.95) == []


def test_folds_are_summed_up_with_their_failures() -> None:
    lines = cell_lines("fold", "none", [1.0, 1.1, 1.2], val_accuracy=0.5)
    lines[1]["val_accuracy"] = 0.7
    lines[2]["status"] = "collapsed"
    table = fold_table(pd.DataFrame(lines), 0.95)
    line = table.iloc[0]
    assert (line["num_folds"], line["num_failed"]) == (3, 1)
    assert line["val_accuracy"] == pytest.approx(0.6)
    assert line["low"] < 0.5 < 0.7 < line["high"]


def test_what_cannot_be_trained_is_refused_before_the_search(prepared: Path) -> None:
    store = open_store(prepared, ("train", "val"))
    params = params_with(stability=GRID["stability"] | {"base": {"train.warmup": "9 epochs"}})

    def train_cells(cells: Any) -> Any:
        raise AssertionError("something was trained")

    with pytest.raises(ParamsError, match=r"cosine 0.01 none .* train.warmup is 9 epochs"):
        conduct(params, train_cells, 30, lambda cells: check_cells(cells, store))


def test_a_whole_study_is_trained_and_written(prepared: Path, tmp_path: Path) -> None:
    params = params_with()
    store = open_store(prepared, ("train", "val"))

    def train_cells(cells: Any) -> Any:
        return run(list(cells), prepared, tmp_path / "scratch")

    # Of many classes, so that what little is learnt here counts as more than guessing.
    study, again = (conduct(params, train_cells, num_classes=30) for _ in range(2))
    pd.testing.assert_frame_equal(study.cells, again.cells)
    assert study.verdict == again.verdict
    for name in ("none", "all_together"):
        sizes = study.growth[study.growth["row"] == name]["num_train"].tolist()
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[-1] == len(store.split("train"))
    whole = study.cells[(study.cells["family"] == "data_size") & (study.cells["fraction"] == 1)]
    alone = study.cells[study.cells["family"] == "regularization"].set_index(["row", "seed"])
    for line in whole.itertuples():
        assert line.val_loss == alone.loc[(line.row, line.seed), "val_loss"]
    assert study.cells["ece"].between(0, 1).all()
    write_study(
        study, params.ablation, num_train=1, num_val=1, num_classes=3, precision="bf16",
        output=tmp_path / "report",
    )  # fmt: skip
    files = {path.name for path in (tmp_path / "report").iterdir()}
    tables = (
        "cells",
        "effects",
        "leave_one_out",
        "search",
        "data_size",
        "folds",
        "stability",
        "spread",
    )
    assert {f"{name}.csv" for name in tables} <= files
    assert {"report.html", "leave_one_out.png", "data_size.png", "calibration.png"} <= files
    assert {"stability.png", "spread.png"} <= files
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["precision"] == "bf16"
    verdict = json.loads((tmp_path / "report" / "verdict.json").read_text())
    assert "Doubling the" in verdict["more_data"]
    assert "all together" in verdict["needed"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Cross-validation" in page
    assert "Which settings were tried" in page
