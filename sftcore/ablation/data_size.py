"""Does more data help, and by how much: a learning curve with equal work at every size."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sftcore.ablation.plan import DATA_SIZE
from sftcore.ablation.table import FINISHED, judging_ratio
from sftcore.metrics.intervals import Interval, resampled_interval
from sftcore.settings.grids import BASELINE_ROW
from sftcore.tasks.contract import Task

_LEAST_EXPONENT = 1e-6  # a smaller one is rounding
_MIN_ERROR = 1e-3  # a smaller error rate has no logarithm worth fitting


@dataclass(frozen=True)
class PowerLaw:
    """``error = a·n^(−b)``, fitted to each replicate by itself; intervals over the replicates.

    Attributes:
        row: of the study.
        scale: a, of the mean of the fits in logarithms.
        exponent: b.
        doubling: what twice the pictures would add to the headline score.
        miss: error at the whole, minus what the smaller sizes alone promise for it.
        num_train: all pictures that a replicate trains on.
    """

    row: str
    scale: float
    exponent: Interval
    doubling: Interval
    miss: Interval
    num_train: float

    @property
    def is_supported(self) -> bool:
        """Whether it may be asked about twice the data.

        The error must fall beyond doubt, and the law of the smaller sizes must not be refuted by
        the largest one, which is the nearest thing to a test of extrapolation.
        """
        return self.exponent.low > _LEAST_EXPONENT and self.miss.low <= 0 <= self.miss.high


@dataclass(frozen=True)
class Growth:
    """What was measured from one part of the pictures to the whole.

    Attributes:
        fraction: of the training pictures.
        num_train: pictures of the whole.
        gain: of the headline score.
    """

    fraction: float
    num_train: float
    gain: Interval


def growth_table(cells: pd.DataFrame, task: type[Task]) -> pd.DataFrame:
    """Means over replicates by row and part of the training pictures.

    Args:
        cells: see :func:`sftcore.ablation.table.cells_table`.
        task: names the headline score.

    Returns:
        Columns row, fraction, num_replicates, num_failed, num_on_last_epoch, num_train, the
        headline score, its ``_spread`` (standard deviation), loss, gap.
    """
    table, score = cells[cells["family"] == DATA_SIZE], task.scores[0]
    lines = []
    for (row, fraction), group in table.groupby(["row", "fraction"], sort=True):
        usable = group[group["status"] == FINISHED]
        lines.append({
            "row": row,
            "fraction": fraction,
            "num_replicates": len(group),
            "num_failed": len(group) - len(usable),
            "num_on_last_epoch": int(group["ends_on_last"].sum()),
            "num_train": float(group["num_train"].mean()),
            score: float(usable[score].mean()),
            f"{score}_spread": float(usable[score].std()),
            "loss": float(usable["loss"].mean()),
            "gap": float(usable["gap"].mean()),
        })  # fmt: skip
    return pd.DataFrame(lines)


def measure_growth(cells: pd.DataFrame, confidence: float, task: type[Task]) -> Growth | None:
    """The headline score of the recipe with all pictures minus with about half of them.

    Args:
        cells: see :func:`sftcore.ablation.table.cells_table`.
        confidence: of the interval.
        task: names the headline score.

    Returns:
        None if it was not asked for, or fewer than two replicates finished with both.
    """
    table = _usable(cells)
    table = table[table["row"] == BASELINE_ROW]
    whole, parts = table[table["fraction"] == 1], table[table["fraction"] < 1]
    if whole.empty or parts.empty:
        return None
    half = min(parts["fraction"].unique(), key=lambda fraction: abs(fraction - 0.5))
    values = table.pivot(index="replicate", columns="fraction", values=task.scores[0])
    values = values[[half, 1.0]].dropna()
    if len(values) < 2:
        return None
    step = task.resolution(task.scores[0], int(table["num_judge"].mean()))
    gain = resampled_interval(
        (values[1.0] - values[half]).tolist(), judging_ratio(whole), confidence, step
    )
    return Growth(float(half), float(whole["num_train"].mean()), gain)


def fit_power_laws(cells: pd.DataFrame, confidence: float, task: type[Task]) -> list[PowerLaw]:
    """The power law of every row that has at least two replicates with all sizes.

    Fitted by least squares in logarithms (Hestness et al., 2017, Deep learning scaling is
    predictable, empirically), without the irreducible error that longer curves flatten at, which
    few sizes cannot tell from the exponent.

    Args:
        cells: see :func:`sftcore.ablation.table.cells_table`.
        confidence: of the intervals.
        task: names the headline score, whose remainder to 1 is fitted.
    """
    usable = _usable(cells)
    laws = []
    for row, table in usable.groupby("row", sort=False):
        num_sizes = table["fraction"].nunique()
        if not (table["fraction"] == 1).any():
            continue
        fits, gains, misses = [], [], []
        for _, curve in table.groupby("replicate"):
            if len(curve) < max(3, num_sizes):
                continue
            rising = curve.sort_values("num_train")
            size = np.log(rising["num_train"].to_numpy(dtype=float))
            error = 1 - rising[task.scores[0]].to_numpy(dtype=float)
            log_error = np.log(error.clip(min=_MIN_ERROR))
            slope, offset = np.polyfit(size, log_error, 1)
            whole = np.exp(size[-1])
            fits.append((float(offset), -float(slope)))
            gains.append(float(np.exp(offset) * (whole**slope - (2 * whole) ** slope)))
            promised = np.polyval(np.polyfit(size[:-1], log_error[:-1], 1), size[-1])
            misses.append(float(error[-1] - np.exp(promised)))
        if len(fits) < 2:
            continue
        ratio = judging_ratio(table[table["fraction"] == 1])
        step = task.resolution(task.scores[0], int(table["num_judge"].mean()))
        laws.append(
            PowerLaw(
                row=str(row),
                scale=float(np.exp(np.mean([a for a, _ in fits]))),
                exponent=resampled_interval([b for _, b in fits], ratio, confidence),
                doubling=resampled_interval(gains, ratio, confidence, step),
                miss=resampled_interval(misses, ratio, confidence, step),
                num_train=float(table["num_train"].max()),
            )
        )
    return laws


def _usable(cells: pd.DataFrame) -> pd.DataFrame:
    return cells[(cells["family"] == DATA_SIZE) & (cells["status"] == FINISHED)]
