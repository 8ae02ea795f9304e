"""What the confirmation found: differences with one kind of interval, and a verdict of the same.

Every interval here is the corrected resampled t over replicates
(:func:`sftcore.metrics.intervals.resampled_interval`): it speaks of new pictures and new seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sftcore.ablation.plan import CONFIRM
from sftcore.ablation.table import FINISHED, judging_ratio, pairs_of
from sftcore.metrics.intervals import (
    Interval,
    failure_bound,
    holm,
    resampled_interval,
    smallest_visible_effect,
)
from sftcore.settings.grids import BASELINE_ROW, PROBE_ROW
from sftcore.tasks.contract import Task, is_less_better

BETTER, WORSE, UNSEEN = "better", "worse", "no difference seen"
FAILED, UNCONVERGED = "failed", "not converged"
LEAST_SPREAD_NATS = 1e-3  # of a loss; a smaller difference is none that matters
MOST_ON_LAST_EPOCH = 0.2  # of a row's trainings; with more of them the study is silent
EFFECT_COLUMNS = ("row", "metric", "num_replicates", "num_failed", "failure_bound",
                  "num_on_last_epoch", "baseline", "value", "difference", "low", "high",
                  "confidence", "p_holm", "visible", "verdict")  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """A row against another.

    Attributes:
        row: name.
        other: name of what it is compared with.
        metric: of the comparison.
        value: mean of the row.
        baseline: mean of the other.
        found: difference row minus other; ``found.low`` and ``high`` at ``confidence``.
        confidence: of the interval.
        visible: the smallest true difference that would have been found in 4 of 5 studies.
        p_holm: adjusted for the number of rows.
        num_failed: replicates in which the row failed.
        num_on_last_epoch: replicates in which its last epoch was the best.
        num_replicates: of the row.
        verdict: of this module.
    """

    row: str
    other: str
    metric: str
    value: float
    baseline: float
    found: Interval
    confidence: float
    visible: float
    p_holm: float
    num_failed: int
    num_on_last_epoch: int
    num_replicates: int
    verdict: str


def compare_rows(
    cells: pd.DataFrame,
    names: Sequence[str],
    other: str,
    metric: str,
    confidence: float,
    task: type[Task],
) -> list[Comparison]:
    """Rows of the confirmation against one of them.

    Verdict and interval are of one test: rows are taken by rising p, the first at confidence
    ``1 − α/m``, the next at ``1 − α/(m − 1)`` and so on until one is not found; all after it have
    its confidence (Holm, 1979). So an interval leaves zero out exactly where Holm's p is below α.
    A row that failed in a replicate is called failed. If too many trainings of either row ended on
    their best epoch, they may not have converged, and nothing is said.

    Args:
        cells: see :func:`sftcore.ablation.table.cells_table`.
        names: of the rows.
        other: row that they are compared with.
        metric: of the task.
        confidence: 1 − α, for all rows together.
        task: knows the metric.
    """
    table = cells[cells["family"] == CONFIRM]
    ratio, num_judge = judging_ratio(table), int(table["num_judge"].mean()) if len(table) else 1
    step = max(task.resolution(metric, num_judge), LEAST_SPREAD_NATS if metric == "loss" else 0.0)
    pairs = {name: pairs_of(table, name, other, metric) for name in names}
    differences = {name: (p[name] - p[other]).tolist() for name, p in pairs.items()}
    raw = [resampled_interval(differences[n], ratio, confidence, step).p_value for n in names]
    levels = _step_down(raw, confidence)
    adjusted = holm(raw)
    found = []
    for name, level, p_value in zip(names, levels, adjusted, strict=True):
        interval = resampled_interval(differences[name], ratio, level, step)
        group = table[table["row"] == name]
        line = Comparison(
            row=name,
            other=other,
            metric=metric,
            value=float(pairs[name][name].mean()),
            baseline=float(pairs[name][other].mean()),
            found=interval,
            confidence=level,
            visible=smallest_visible_effect(interval.standard_error, interval.num, level),
            p_holm=p_value,
            num_failed=int((group["status"] != FINISHED).sum()),
            num_on_last_epoch=int(group["ends_on_last"].sum()),
            num_replicates=len(group),
            verdict="",
        )
        found.append(_judge(line, table[table["row"] == other]))
    return found


def _step_down(p_values: Sequence[float], confidence: float) -> list[float]:
    """Confidence of each interval, so that it says what Holm's procedure says.

    Like there, a row without a p value is not counted.
    """
    alpha = 1 - confidence
    known = [index for index, p_value in enumerate(p_values) if not math.isnan(p_value)]
    levels = [confidence] * len(p_values)
    remaining, is_open = len(known), True
    for index in sorted(known, key=lambda i: p_values[i]):
        levels[index] = 1 - alpha / remaining
        is_open = is_open and p_values[index] < alpha / remaining
        remaining -= is_open
    return levels


def _judge(line: Comparison, others: pd.DataFrame) -> Comparison:
    low, high = line.found.low, line.found.high
    verdict = UNSEEN
    if line.num_failed:
        verdict = FAILED
    elif _is_unconverged(line.num_on_last_epoch, line.num_replicates) or _is_unconverged(
        int(others["ends_on_last"].sum()), len(others)
    ):
        verdict = UNCONVERGED
    elif low > 0 or high < 0:
        verdict = BETTER if (low > 0) != is_less_better(line.metric) else WORSE
    return Comparison(**{**vars(line), "verdict": verdict})


def _is_unconverged(num_on_last_epoch: int, num_replicates: int) -> bool:
    return num_on_last_epoch > MOST_ON_LAST_EPOCH * num_replicates


def effects_table(
    cells: pd.DataFrame, names: Sequence[str], metric: str, confidence: float, task: type[Task]
) -> pd.DataFrame:
    """Rows against the baseline in every metric; the verdict is of ``metric`` alone.

    Args:
        cells: see :func:`sftcore.ablation.table.cells_table`.
        names: of the confirmed rows, without baseline and probe.
        metric: that decides.
        confidence: for all rows of a metric together.
        task: knows the metrics.
    """
    lines: list[dict[str, Any]] = []
    for each in (metric, *(name for name in task.metrics() if name != metric)):
        for line in compare_rows(cells, names, BASELINE_ROW, each, confidence, task):
            lines.append(_as_line(line, line.verdict if each == metric else "", confidence))
    return pd.DataFrame(lines, columns=list(EFFECT_COLUMNS))


def _as_line(line: Comparison, verdict: str, confidence: float) -> dict[str, Any]:
    return {
        "row": line.row,
        "metric": line.metric,
        "num_replicates": line.num_replicates,
        "num_failed": line.num_failed,
        "failure_bound": failure_bound(line.num_failed, line.num_replicates, confidence),
        "num_on_last_epoch": line.num_on_last_epoch,
        "baseline": line.baseline,
        "value": line.value,
        "difference": line.found.mean,
        "low": line.found.low,
        "high": line.found.high,
        "confidence": line.confidence,
        "p_holm": line.p_holm,
        "visible": line.visible,
        "verdict": verdict,
    }


def worth_table(
    cells: pd.DataFrame, names: Sequence[str], confidence: float, task: type[Task]
) -> pd.DataFrame:
    """What rows are worth over logistic regression on the frozen features, each by itself.

    Args:
        cells: see :func:`sftcore.ablation.table.cells_table`.
        names: of confirmed rows, the baseline and the simpler rows to beat among them.
        confidence: of each interval.
        task: knows the metrics.

    Returns:
        The columns :data:`EFFECT_COLUMNS`, with the probe as baseline.
    """
    lines = []
    for name in names:
        for metric in task.metrics():
            (line,) = compare_rows(cells, [name], PROBE_ROW, metric, confidence, task)
            lines.append(_as_line(line, line.verdict, confidence))
    return pd.DataFrame(lines, columns=list(EFFECT_COLUMNS))


def mean_interval(cells: pd.DataFrame, row: str, column: str, confidence: float) -> Interval:
    """The mean of a column over the replicates of a confirmed row that finished."""
    table = cells[(cells["family"] == CONFIRM) & (cells["status"] == FINISHED)]
    values = table[table["row"] == row][column].dropna()
    return resampled_interval(values.tolist(), judging_ratio(table), confidence, LEAST_SPREAD_NATS)
