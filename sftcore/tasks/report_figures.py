"""Figures that the reports of all tasks share, as PNG bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sftcore.metrics.rows_to_beat import title_of
from sftcore.reporting.drawing import (
    BLUE,
    GREY,
    ORANGE,
    SPLIT_COLOURS,
    new_figure,
    note,
    own_style,
    to_png,
)

_COLUMNS = 4


def covers(examples: str = "pictures") -> str:
    """What the line of an interval speaks of."""
    return f"line: interval over new {examples} of this split, for this one model"


@dataclass(frozen=True)
class Panel:
    """A number that a figure shows.

    Attributes:
        name: of its column.
        title: above it.
        limits: of its axis where it is a share; None leaves them to the numbers.
    """

    name: str
    title: str
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Reliability:
    """What a reliability diagram is of.

    Attributes:
        columns: of the table: how often it came true, the mean of what was said, and counts.
        bar: legend of how often.
        mean: legend of the mean.
        axes: labels: how often, what is said, and what is counted.
    """

    columns: tuple[str, str, str]
    bar: str
    mean: str
    axes: tuple[str, str, str]


def draw_reliability(pair: Sequence[Any], table: pd.DataFrame, title: str, of: Reliability) -> None:
    """How often what was said came true in each bin, and below how often it was said.

    Args:
        pair: the upper and the lower axis.
        table: a row for each filled bin: low, high and the columns.
        title: above it.
        of: what it is of.
    """
    (upper, lower), (frequency, said, count) = pair, (table[name] for name in of.columns)
    centre, width = (table["low"] + table["high"]) / 2, (table["high"] - table["low"]) * 0.92
    upper.bar(centre, frequency, width, color=BLUE, label=of.bar)
    upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfectly calibrated")
    upper.plot(said, frequency, "o", color=ORANGE, label=of.mean, markersize=4)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel=of.axes[0])
    upper.set_title(title, fontsize=9)
    lower.bar(centre, count, width, color=GREY)
    lower.set(xlim=(0, 1), xlabel=of.axes[1], ylabel=of.axes[2])


def count_by_powers(axis: Any) -> None:
    """Let an axis of counts rise by powers of ten from one half on, so that one is seen."""
    axis.set(yscale="log")
    axis.set_ylim(bottom=0.5)


@own_style()
def gap_figure(
    gap: pd.DataFrame,
    panels: tuple[Panel, Panel],
    title: str,
    examples: str = "pictures",
) -> bytes:
    """Two numbers on train, val and test with intervals.

    A gap between the splits is what a training that has learnt its examples shows; whether it did
    harm is told by the course of the validation loss, and not by the gap.

    Args:
        gap: columns split, ``num_`` and what examples are called, and those of the panels with _low
            and _high.
        panels: what is shown; limits without a margin.
        title: of the figure.
        examples: what examples are called.
    """
    figure, axes = new_figure(7, 3.6, 1, 2)
    for axis, panel in zip(axes.flat, panels, strict=True):
        values = gap[panel.name].to_numpy(dtype=float)
        errors = [values - gap[f"{panel.name}_low"], gap[f"{panel.name}_high"] - values]
        colours = [SPLIT_COLOURS[split] for split in gap["split"]]
        axis.bar(gap["split"], values, 0.6, color=colours)
        axis.errorbar(gap["split"], values, yerr=np.abs(errors), fmt="none", color="black",
                      capsize=5)  # fmt: skip
        for place, value in enumerate(values):
            axis.annotate(f"{value:.3f}", (place + 0.06, value), xytext=(0, 3),
                          textcoords="offset points", fontweight="bold")  # fmt: skip
        counts = zip(gap["split"], gap[f"num_{examples}"], strict=True)
        axis.set_xticks(range(len(gap)), [f"{split}\nn={n}" for split, n in counts])
        axis.set_title(panel.title)
        if panel.limits:
            low, high = panel.limits
            axis.set_ylim(low, high + 0.05)
    figure.suptitle(title)
    note(figure, f"line: resamples of the split's own {examples}; only test speaks of new ones")
    return to_png(figure)


@own_style()
def baselines_figure(
    table: pd.DataFrame, panels: tuple[Panel, Panel], examples: str = "pictures"
) -> bytes:
    """The fine-tuned model and the rows to beat on test: two numbers with intervals.

    Args:
        table: a row per model, the fine-tuned one first: row, and the panels' columns after
            ``test_`` with _low and _high.
        panels: what is shown.
        examples: what examples are called.
    """
    figure, axes = new_figure(7.5, 1.6 + 0.45 * len(table), 1, 2)
    place = np.arange(len(table))[::-1]
    colours = [ORANGE, *[BLUE] * (len(table) - 1)]
    for number, (axis, panel) in enumerate(zip(axes.flat, panels, strict=True)):
        column = f"test_{panel.name}"
        bounds = table[f"{column}_low"], table[f"{column}_high"]
        axis.hlines(place, *bounds, color=colours, linewidth=2, alpha=0.5)
        axis.scatter(table[column], place, color=colours, s=36, zorder=3)
        for height, value in zip(place, table[column], strict=True):
            axis.annotate(f"{value:.3f}", (value, height), xytext=(0, 7), ha="center",
                          textcoords="offset points", fontsize=9)  # fmt: skip
        names = [title_of(row) for row in table["row"]]
        axis.set_yticks(place, [] if number else names)
        axis.set_ylim(-0.6, len(table) - 0.3)
        axis.set_title(panel.title)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        if panel.limits:
            low, high = panel.limits
            axis.set_xlim(low - 0.02, high + 0.02)
    figure.suptitle("The rows to beat, on the test split: what needs no fine-tuning")
    note(figure, covers(examples))
    return to_png(figure)


@own_style()
def pictures_figure(titles: Sequence[str], images: np.ndarray, title: str) -> bytes:
    """Pictures with what is said of each.

    Args:
        titles: above the pictures, drawable.
        images: uint8 [K, S, S, 3].
        title: of the figure.
    """
    rows = max(1, -(-len(titles) // _COLUMNS))
    figure, axes = new_figure(2.3 * _COLUMNS, 2.6 * rows + 0.4, rows, _COLUMNS)
    for axis in axes.flat:
        axis.axis("off")
    for axis, words, image in zip(axes.flat, titles, images, strict=False):
        axis.imshow(image)
        axis.set_title(words, fontsize=9)
    figure.suptitle(title)
    return to_png(figure)
