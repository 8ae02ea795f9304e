"""Figures of a finished model's numbers, as PNG bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sftcore.reporting.drawing import (
    BLUE,
    GREY,
    ORANGE,
    new_figure,
    note,
    own_style,
    plain_label,
    to_png,
)
from sftcore.tasks import report_figures
from sftcore.tasks.report_figures import Panel

MOST_SHOWN = 6  # numbers that are drawn; the tables hold all of them
_COLUMNS = 3
_PANELS = (Panel("mean_r2", "R²"), Panel("mean_mae", "mean absolute error (std)"))


@own_style()
def predicted_figure(
    actual: np.ndarray, predicted: np.ndarray, radius: np.ndarray, names: Sequence[str]
) -> bytes:
    """Every test picture's number against the predicted one, with the intervals.

    Args:
        actual: [T, K].
        predicted: [T, K].
        radius: half the width of the intervals [K]; infinite ones are not drawn.
        names: of the numbers, K.
    """
    figure, panels = _panels(names)
    for k, axis in panels.items():
        least = float(min(actual[:, k].min(), predicted[:, k].min()))
        most = float(max(actual[:, k].max(), predicted[:, k].max()))
        ends = np.array([least, most])
        axis.plot(ends, ends, color=GREY, linewidth=1, linestyle="--", label="right")
        if np.isfinite(radius[k]):
            axis.fill_between(ends, ends - radius[k], ends + radius[k], color=ORANGE, alpha=0.2,
                              linewidth=0, label="interval")  # fmt: skip
        axis.plot(predicted[:, k], actual[:, k], "o", color=BLUE, markersize=3, alpha=0.6)
        axis.set(xlabel="predicted", ylabel="actual")
    panels[0].legend(frameon=False, fontsize=8, loc="upper left")
    figure.suptitle("Predicted against actual, on the test split")
    return to_png(figure)


@own_style()
def residuals_figure(residuals: pd.DataFrame, names: Sequence[str]) -> bytes:
    """Bands of target minus prediction along the range of the predictions.

    Args:
        residuals: of :func:`sftcore.metrics.regression_tables.residual_quantiles`.
        names: of the numbers, K.
    """
    figure, panels = _panels(names)
    for k, axis in panels.items():
        table = residuals[residuals["number"] == names[k]]
        for low, high, alpha, label in (("q05", "q95", 0.2, "90 %"), ("q25", "q75", 0.4, "50 %")):
            axis.fill_between(table["predicted"], table[low], table[high], color=BLUE, alpha=alpha,
                              linewidth=0, label=f"{label} of the pictures")  # fmt: skip
        axis.plot(table["predicted"], table["q50"], "o-", color=BLUE, markersize=3, label="median")
        axis.axhline(0, color=GREY, linewidth=1, linestyle="--")
        axis.set(xlabel="predicted", ylabel="actual minus predicted")
    panels[0].legend(frameon=False, fontsize=8)
    figure.suptitle("Residuals along the predictions, on the test split")
    return to_png(figure)


@own_style()
def intervals_figure(intervals: pd.DataFrame, names: Sequence[str], wanted: float) -> bytes:
    """How often the intervals of several levels hold the number on test, and how wide they are.

    Args:
        intervals: of :func:`sftcore.metrics.regression_intervals.interval_table`.
        names: of the numbers, K.
        wanted: the level of the rule.
    """
    figure, panels = _panels(names)
    for k, axis in panels.items():
        table = intervals[intervals["number"] == names[k]]
        bars = [table["coverage"] - table["coverage_low"],
                table["coverage_high"] - table["coverage"]]  # fmt: skip
        axis.plot([0.45, 1], [0.45, 1], color=GREY, linewidth=1, linestyle="--", label="as wanted")
        axis.errorbar(table["level"], table["coverage"], yerr=np.abs(bars), color=BLUE, marker="o",
                      markersize=4, capsize=3, linewidth=1, label="test pictures")  # fmt: skip
        axis.axvline(wanted, color=ORANGE, linewidth=1, label="the rule")
        axis.set(ylim=(None, 1.02), xlabel="coverage wanted", ylabel="intervals that hold it")
    panels[0].legend(frameon=False, fontsize=8, loc="upper left")
    figure.suptitle("Coverage of the intervals")
    note(figure, "bars: intervals over new test pictures, for this one model and width")
    return to_png(figure)


def gap_figure(gap: pd.DataFrame) -> bytes:
    """R² and mean absolute error on train, val and test.

    Args:
        gap: columns split, num_pictures, and both numbers with _low and _high.
    """
    title = "R² and error by split; their difference is the generalisation gap"
    return report_figures.gap_figure(gap, _PANELS, title)


def baselines_figure(table: pd.DataFrame) -> bytes:
    """The fine-tuned model and the rows to beat on test.

    Args:
        table: of :func:`sftcore.tasks.report_numbers.compare`.
    """
    return report_figures.baselines_figure(table, _PANELS)


def most_wrong_figure(wrong: pd.DataFrame, images: np.ndarray) -> bytes:
    """The test pictures with the greatest error, with the number that is farthest off.

    Args:
        wrong: columns number, actual and predicted.
        images: uint8 [M, S, S, 3], in the order of the table.
    """
    titles = [
        f"{plain_label(row.number)}\n{row.actual:.4g} → {row.predicted:.4g}"
        for row in wrong.itertuples()
    ]
    title = "Most wrong on the test split: actual → predicted"
    return report_figures.pictures_figure(titles, images, title)


def _panels(names: Sequence[str]) -> tuple[Figure, Mapping[int, Any]]:
    """A panel for each of the first numbers, by their places."""
    shown = min(len(names), MOST_SHOWN)
    columns = min(shown, _COLUMNS)
    rows = -(-shown // columns)
    figure, axes = new_figure(max(5.5, 3.8 * columns), 3.6 * rows + 0.3, rows, columns)
    for axis in axes.flat[shown:]:
        axis.axis("off")
    for k, axis in enumerate(axes.flat[:shown]):
        axis.set_title(plain_label(names[k]), fontsize=10)
    return figure, dict(enumerate(axes.flat[:shown]))
