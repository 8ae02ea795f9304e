"""A study from its plan to its verdict; how cells are trained is the caller's business."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sftcore.ablation.cells import CellResult
from sftcore.ablation.data_size import PowerLaw, fit_power_laws, fold_table, growth_table
from sftcore.ablation.effects import (
    baseline_gap,
    cells_table,
    leave_one_out_effects,
    regularization_effects,
)
from sftcore.ablation.plan import Cell, Row, plan_cells, plan_rows, plan_search
from sftcore.ablation.search import choose_settings
from sftcore.ablation.stability import seed_spread, stability_map
from sftcore.ablation.verdict import write_verdict
from sftcore.sections import Params


@dataclass(frozen=True)
class Study:
    """What was trained, and what it says; see the functions that make each table.

    Attributes:
        rows: reported ones.
        results: of all cells, the search's among them.
        cells: a line per result.
        searched: settings tried where rows list several; empty without a search.
        gap: of the baseline.
        effects: of each method alone.
        left_out: of all methods but one; empty if not asked for.
        growth: by row and size of the training data; empty if not asked for.
        laws: fitted to it.
        folds: of cross-validation; empty if not asked for.
        stability: by learning rate, schedule and answer.
        spread: by source of randomness; empty if not asked for.
        verdict: answers in words.
    """

    rows: list[Row]
    results: list[CellResult]
    cells: pd.DataFrame
    searched: pd.DataFrame
    gap: dict[str, float]
    effects: pd.DataFrame
    left_out: pd.DataFrame
    growth: pd.DataFrame
    laws: list[PowerLaw]
    folds: pd.DataFrame
    stability: pd.DataFrame
    spread: pd.DataFrame
    verdict: dict[str, Any]


def conduct(
    params: Params,
    train_cells: Callable[[Sequence[Cell]], list[CellResult]],
    num_classes: int,
    check_cells: Callable[[Sequence[Cell]], None] = lambda cells: None,
) -> Study:
    """Search where a row lists several settings, train what is reported, compare.

    Args:
        params: the seed, and the sections model, train and ablation.
        train_cells: gives the results of cells, in their order.
        num_classes: C.
        check_cells: refuses cells that cannot be trained, before the first one is.

    Raises:
        ParamsError: an override of the grid is refused.
    """
    confidence = params.ablation.confidence
    settings = plan_search(params)
    foreseen = [*plan_rows(params, {}), *(row for rows in settings.values() for row in rows)]
    check_cells(plan_cells(foreseen, params))
    tried = train_cells(plan_cells([row for rows in settings.values() for row in rows], params))
    chosen, searched = choose_settings(settings, cells_table(tried, num_classes))
    rows = plan_rows(params, chosen)
    results = [*tried, *train_cells(plan_cells(rows, params))]
    cells = cells_table(results, num_classes)
    gap = baseline_gap(cells, confidence)
    effects = regularization_effects(cells, confidence)
    left_out = leave_one_out_effects(cells, confidence)
    laws = fit_power_laws(cells, confidence)
    stability, spread = stability_map(cells), seed_spread(cells, confidence)
    return Study(
        rows=rows,
        results=results,
        cells=cells,
        searched=searched,
        gap=gap,
        effects=effects,
        left_out=left_out,
        growth=growth_table(cells),
        laws=laws,
        folds=fold_table(cells, confidence),
        stability=stability,
        spread=spread,
        verdict=write_verdict(rows, gap, effects, left_out, laws, stability, spread, confidence),
    )
