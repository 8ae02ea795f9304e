"""What many studies with a known truth found: false verdicts, coverage, power."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from sftcore.ablation.cells import CellResult
from sftcore.ablation.effects import BETTER, UNCONVERGED, WORSE
from sftcore.ablation.plan import CONFIRM, PROBE, Cell
from sftcore.ablation.study import Study, conduct
from sftcore.ablation.table import pairs_of
from sftcore.metrics.intervals import resampled_interval
from sftcore.settings.grids import BASELINE_ROW
from sftcore.settings.tree import Params

RATIOS = ("n_judge/n_train", "n_judge/(n_train + n_val)", "0")


@dataclass(frozen=True)
class RowFound:
    """What one study says of one confirmed row.

    Attributes:
        name: of the row.
        verdict: of the study.
        difference: from the baseline.
        truth: of it.
        covers: whether the study's interval does so, at its confidence for all rows together.
        visible: smallest visible effect, as the study says it.
        alone: whether the row's own interval covers the truth, by ratio of :data:`RATIOS`.
    """

    name: str
    verdict: str
    difference: float
    truth: float
    covers: bool
    visible: float
    alone: dict[str, bool]


@dataclass(frozen=True)
class StudyFound:
    """What one study says.

    Attributes:
        rows: that were confirmed.
        advises: whether it advises a change because of a row.
    """

    rows: list[RowFound] = field(default_factory=list)
    advises: bool = False

    @property
    def is_false(self) -> bool:
        """Whether a row that is no better, or no worse, is called so."""
        return any(
            (row.verdict == BETTER and row.truth >= 0) or (row.verdict == WORSE and row.truth <= 0)
            for row in self.rows
        )

    @property
    def is_silent(self) -> bool:
        """Whether a verdict was withheld because trainings may not have converged."""
        return any(row.verdict == UNCONVERGED for row in self.rows)


def run_study(
    params: Params,
    train_cells: Callable[[Sequence[Cell]], list[CellResult]],
    truth: Callable[[Cell], float],
) -> StudyFound:
    """Conduct a study as the pipeline does, and hold it against the truth.

    Args:
        params: of the study.
        train_cells: gives results.
        truth: true difference of a cell's row from the baseline.
    """
    study = conduct(params, train_cells)
    truths = {r.cell.row.name: truth(r.cell) for r in study.results if r.cell.row.family == CONFIRM}
    lines = study.findings.effects
    lines = lines[lines["metric"] == params.ablation.metric]
    rows = [
        RowFound(
            name=line.row,
            verdict=line.verdict,
            difference=line.difference,
            truth=truths[line.row],
            covers=line.low <= truths[line.row] <= line.high,
            visible=line.visible,
            alone=_alone(study, line.row, truths[line.row], params),
        )
        for line in lines.itertuples()
    ]
    settings = study.verdict["settings"]
    is_probe = settings.get("train.epochs") == PROBE["train.epochs"]
    return StudyFound(rows, bool(settings) and not is_probe)


def _alone(study: Study, row: str, truth: float, params: Params) -> dict[str, bool]:
    """Whether the interval of one row alone covers the truth, by ratio."""
    ablation = params.ablation
    table = study.cells[study.cells["family"] == CONFIRM]
    pairs = pairs_of(table, row, BASELINE_ROW, ablation.metric)
    differences = (pairs[row] - pairs[BASELINE_ROW]).tolist()
    judge, train = table["num_judge"].mean(), table["num_train"].mean()
    choose = (judge + train) * ablation.choose_fraction / (1 - ablation.choose_fraction)
    ratios = dict(zip(RATIOS, (judge / train, judge / (train + choose), 0.0), strict=True))
    found = {
        name: resampled_interval(differences, ratio, ablation.confidence)
        for name, ratio in ratios.items()
    }
    return {name: interval.low <= truth <= interval.high for name, interval in found.items()}


TALLY_HEAD = (
    "| studies | n | rows confirmed | false verdict | change advised | interval holds | "
    "all of a study hold | " + " | ".join(f"alone, ratio {name}" for name in RATIOS) + " |\n"
    "|" + "---|" * (7 + len(RATIOS))
)


def tally_row(name: str, studies: Sequence[StudyFound]) -> str:
    """One line of :data:`TALLY_HEAD`: rates with their 95 % interval (Clopper and Pearson)."""
    rows = [row for study in studies for row in study.rows]
    with_rows = [study for study in studies if study.rows]
    parts = [
        rate([study.is_false for study in studies]),
        rate([study.advises for study in studies]),
        rate([row.covers for row in rows]),
        rate([all(row.covers for row in study.rows) for study in with_rows]),
        *(rate([row.alone[ratio] for row in rows]) for ratio in RATIOS),
    ]
    silent = sum(study.is_silent for study in studies)
    count = f"{len(studies)}" + (f" ({silent} withheld)" if silent else "")
    return f"| {name} | {count} | {len(rows)} | {' | '.join(parts)} |"


def rate(events: Sequence[bool]) -> str:
    """A part in per cent with its 95 % interval."""
    if not events:
        return ""
    found = stats.binomtest(sum(events), len(events)).proportion_ci(0.95, method="exact")
    return f"{np.mean(events):.1%} [{found.low:.1%}, {found.high:.1%}]"


POWER_HEAD = (
    "| planted | true effect | n | the screen lets it pass | found, of those | interval holds | "
    "smallest visible effect, median |\n|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Power:
    """What studies found of one planted effect.

    Attributes:
        effect: true size.
        found: part of the studies that confirmed the row and call it better.
        visible: median of what the studies call the smallest visible effect.
        line: of :data:`POWER_HEAD`.
    """

    effect: float
    found: float
    visible: float
    line: str


def measure_power(name: str, planted: str, studies: Sequence[StudyFound]) -> Power:
    """Of a row that all studies screen.

    Args:
        name: of the line.
        planted: row with the effect.
        studies: with it.
    """
    seen = [row for study in studies for row in study.rows if row.name == planted]
    passed = rate([any(row.name == planted for row in study.rows) for study in studies])
    is_found = [row.verdict == BETTER for row in seen]
    effect = seen[0].truth if seen else float("nan")
    visible = float(np.median([row.visible for row in seen])) if seen else float("nan")
    line = (
        f"| {name} | {effect:+.3f} | {len(studies)} | {passed} | {rate(is_found)} "
        f"| {rate([row.covers for row in seen])} | {visible:.3f} |"
    )
    return Power(abs(effect), float(np.mean(is_found)) if seen else 0.0, visible, line)


def found_in_80_percent(powers: Sequence[Power]) -> float:
    """The effect that 80 % find, interpolated between the sizes; NaN outside of them."""
    ordered = sorted(powers, key=lambda power: power.effect)
    found = np.maximum.accumulate([power.found for power in ordered])
    if not found[0] < 0.8 <= found[-1]:
        return float("nan")
    return float(np.interp(0.8, found, [power.effect for power in ordered]))
