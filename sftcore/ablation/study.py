"""A study from its plan to its verdict; how cells are trained is the caller's business."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sftcore.ablation.cells import CellResult
from sftcore.ablation.data_size import PowerLaw, fit_power_laws, growth_table, measure_growth
from sftcore.ablation.effects import effects_table, mean_interval, worth_table
from sftcore.ablation.plan import (
    Cell,
    Row,
    plan_cells,
    plan_confirmation,
    plan_data_size,
    plan_screen,
    plan_stability,
)
from sftcore.ablation.screen import choose_rows, screen_table
from sftcore.ablation.stability import stability_map
from sftcore.ablation.table import cells_table
from sftcore.ablation.verdict import Findings, write_verdict
from sftcore.metrics.intervals import smallest_visible_effect
from sftcore.settings.grids import BASELINE_ROW, PROBE_ROW, Changes
from sftcore.settings.studies import studied
from sftcore.settings.tree import Params
from sftcore.tasks.registry import TASKS


@dataclass(frozen=True)
class Study:
    """What was trained, and what it says; see the functions that make each table.

    Attributes:
        rows: of all families.
        results: of all cells.
        cells: a line per result.
        screen: what was tried.
        findings: tables of what was confirmed.
        growth: by row and size of the training data; empty if not asked for.
        verdict: answers in words.
    """

    rows: list[Row]
    results: list[CellResult]
    cells: pd.DataFrame
    screen: pd.DataFrame
    findings: Findings
    growth: pd.DataFrame
    verdict: dict[str, Any]

    @property
    def laws(self) -> list[PowerLaw]:
        """Of the learning curve."""
        return self.findings.laws


def conduct(
    params: Params,
    train_cells: Callable[[Sequence[Cell]], list[CellResult]],
    check_cells: Callable[[Sequence[Cell]], None] = lambda cells: None,
) -> Study:
    """Screen, confirm what looks best on replicates that the screen never saw, and compare.

    Args:
        params: the seed, and the sections model, train and ablation, where something else may stand
            in for model and train (:func:`sftcore.settings.studies.studied`).
        train_cells: gives the results of cells, in their order.
        check_cells: refuses cells that cannot be trained, before the first one is.

    Raises:
        ParamsError: an override of the grid is refused.
    """
    ablation, task = params.ablation, TASKS[params.task]
    params = studied(params)
    screen, others = plan_screen(params), [*plan_data_size(params), *plan_stability(params)]
    foreseen = [*screen, *plan_confirmation(params, _singly(screen)), *others]
    check_cells(plan_cells(foreseen, params))
    tried = train_cells(plan_cells(screen, params))
    screened = screen_table(screen, cells_table(tried, task), ablation.metric, task)
    best = choose_rows(screen, screened, ablation.chosen.confirm.num_rows)
    confirmation = plan_confirmation(params, best)
    results = [*tried, *train_cells(plan_cells([*confirmation, *others], params))]
    cells = cells_table(results, task)
    findings = find(cells, confirmation, params, len({row.name for row in screen}) - 1)
    return Study(
        rows=[*screen, *confirmation, *others],
        results=results,
        cells=cells,
        screen=screened,
        findings=findings,
        growth=growth_table(cells, task),
        verdict=write_verdict(findings),
    )


def _singly(screen: Sequence[Row]) -> dict[str, Changes]:
    """Every setting of the screen as if it were to be confirmed."""
    return {f"{row.name} {row.setting}": row.changes for row in screen if row.changes}


def find(
    cells: pd.DataFrame, confirmation: Sequence[Row], params: Params, num_screened: int
) -> Findings:
    """The tables that the verdict is made of.

    Args:
        cells: of all families; see :func:`sftcore.ablation.table.cells_table`.
        confirmation: its rows.
        params: for the metric and the confidence.
        num_screened: rows of the screen besides the baseline.
    """
    metric, confidence = params.ablation.metric, params.ablation.confidence
    task = TASKS[params.task]
    names = [row.name for row in confirmation if row.name not in (BASELINE_ROW, PROBE_ROW)]
    simpler = [name for name in task.simpler_rows if name in set(cells["row"])]
    rise = mean_interval(cells, BASELINE_ROW, "loss_rise", confidence)
    return Findings(
        rows=list(confirmation),
        worth=worth_table(cells, [BASELINE_ROW, *names, *simpler], confidence, task),
        effects=effects_table(cells, names, metric, confidence, task),
        rise=rise,
        rise_visible=smallest_visible_effect(rise.standard_error, rise.num, confidence),
        calibration_rise=(
            mean_interval(cells, BASELINE_ROW, "ece_rise", confidence)
            if "ece" in task.outcomes
            else None
        ),
        gap=mean_interval(cells, BASELINE_ROW, "gap", confidence),
        growth=measure_growth(cells, confidence, task),
        laws=fit_power_laws(cells, confidence, task),
        stability=stability_map(cells, confidence, task),
        num_screened=num_screened,
        metric=metric,
        confidence=confidence,
        task=task,
        stand_in=params.model.backbone if params.ablation.chosen.stand_in else "",
    )
