"""Does more data help, and by how much: a learning curve, its power law, and what it promises."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sftcore.ablation.plan import DATA_SIZE, FOLD
from sftcore.metrics.intervals import paired_interval

_MIN_ERROR = 1e-3  # a smaller error rate has no logarithm worth fitting


@dataclass(frozen=True)
class PowerLaw:
    """``error = a·n^(−b)``, fitted to each seed by itself; means and intervals over the seeds.

    Attributes:
        row: of the study.
        num_seeds: k.
        scale: a, of the mean of the fits in logarithms.
        exponent: b with its interval.
        doubling: what twice the pictures would add to the accuracy, with its interval.
        num_train: all pictures there are.
    """

    row: str
    num_seeds: int
    scale: float
    exponent: tuple[float, float, float]
    doubling: tuple[float, float, float]
    num_train: float


def growth_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds by row and part of the training pictures.

    Args:
        cells: see :func:`sftcore.ablation.effects.cells_table`.

    Returns:
        Columns row, fraction, num_seeds, num_train, val_accuracy, val_accuracy_spread (standard
        deviation), val_loss, gap.
    """
    usable = cells[(cells["family"] == DATA_SIZE) & (cells["status"] == "finished")]
    lines = []
    for (row, fraction), group in usable.groupby(["row", "fraction"], sort=True):
        lines.append(
            {
                "row": row,
                "fraction": fraction,
                "num_seeds": len(group),
                "num_train": float(group["num_train"].mean()),
                "val_accuracy": float(group["val_accuracy"].mean()),
                "val_accuracy_spread": float(group["val_accuracy"].std()),
                "val_loss": float(group["val_loss"].mean()),
                "gap": float(group["gap"].mean()),
            }
        )
    return pd.DataFrame(lines)


def fit_power_laws(cells: pd.DataFrame, confidence: float) -> list[PowerLaw]:
    """The power law of every row of the learning curve that has at least two whole seeds.

    Fitted by least squares in logarithms (Hestness et al., 2017, Deep learning scaling is
    predictable, empirically), without the irreducible error that longer curves flatten at, which
    four sizes cannot tell from the exponent. It is a statement about the measured range and, with
    less right, about twice its end.

    Args:
        cells: see :func:`sftcore.ablation.effects.cells_table`.
        confidence: of the intervals.
    """
    usable = cells[(cells["family"] == DATA_SIZE) & (cells["status"] == "finished")]
    laws = []
    for row, table in usable.groupby("row", sort=False):
        num_sizes = table["fraction"].nunique()
        fits, gains = [], []
        for _, curve in table.groupby("seed"):
            if curve["fraction"].nunique() < max(2, num_sizes):
                continue
            error = (1 - curve["val_accuracy"]).clip(lower=_MIN_ERROR)
            slope, offset = np.polyfit(np.log(curve["num_train"]), np.log(error), 1)
            whole = float(curve["num_train"].max())
            fits.append((float(offset), -float(slope)))
            gains.append(np.exp(offset) * (whole**slope - (2 * whole) ** slope))
        if len(fits) < 2:
            continue
        exponent = paired_interval([b for _, b in fits], confidence)
        gain = paired_interval([float(value) for value in gains], confidence)
        laws.append(
            PowerLaw(
                row=str(row),
                num_seeds=len(fits),
                scale=float(np.exp(np.mean([a for a, _ in fits]))),
                exponent=(exponent.mean, exponent.low, exponent.high),
                doubling=(gain.mean, gain.low, gain.high),
                num_train=float(table["num_train"].max()),
            )
        )
    return laws


def fold_table(cells: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Cross-validation: mean over the folds, with Student's interval.

    Folds share most of their training pictures, so the interval is narrower than it should be
    (Bengio and Grandvalet, 2004, No unbiased estimator of the variance of k-fold cross-validation).

    Args:
        cells: see :func:`sftcore.ablation.effects.cells_table`.
        confidence: of the interval.

    Returns:
        Columns row, num_folds, num_failed, val_accuracy, low, high, spread, val_loss.
    """
    lines = []
    for row, group in cells[cells["family"] == FOLD].groupby("row", sort=False):
        finished = group[group["status"] == "finished"]
        found = paired_interval(finished["val_accuracy"].tolist(), confidence)
        lines.append(
            {
                "row": row,
                "num_folds": len(group),
                "num_failed": len(group) - len(finished),
                "val_accuracy": found.mean,
                "low": found.low,
                "high": found.high,
                "spread": float(finished["val_accuracy"].std()),
                "val_loss": float(finished["val_loss"].mean()),
            }
        )
    return pd.DataFrame(lines)
