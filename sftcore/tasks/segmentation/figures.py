"""Figures of a finished model's masks, as PNG bytes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sftcore.reporting.drawing import (
    BLUE,
    ORANGE,
    new_figure,
    note,
    own_style,
    plain_label,
    to_png,
)
from sftcore.tasks import report_figures
from sftcore.tasks.report_figures import Panel

_MOST_NUMBERED_CLASSES = 12  # more cells than this leave no room for numbers
_PANELS = (Panel("mean_iou", "mean IoU", (0, 1)), Panel("nll", "loss (nats per pixel)"))
_OF_PIXELS = report_figures.Reliability(
    ("accuracy", "confidence", "num_pixels"), "right", "at mean confidence",
    ("part of the pixels that is right", "confidence", "pixels"),
)  # fmt: skip


@own_style()
def per_class_figure(per_class: pd.DataFrame) -> bytes:
    """IoU and boundary F1 of every class with their intervals, the best IoU on top.

    Args:
        per_class: of :func:`sftcore.tasks.segmentation.tables.per_class_table`.
    """
    table = per_class.sort_values(["iou", "class"], na_position="first")
    figure, axes = new_figure(9, float(np.clip(1.4 + 0.27 * len(table), 3, 20)), 1, 2)
    place = np.arange(len(table))
    for axis, name, colour, title in (
        (axes[0, 0], "iou", BLUE, "IoU"),
        (axes[0, 1], "boundary_f1", ORANGE, "boundary F1"),
    ):
        axis.hlines(place, table[f"{name}_low"], table[f"{name}_high"], color=colour, linewidth=2,
                    alpha=0.5)  # fmt: skip
        axis.plot(table[name], place, "o", color=colour, markersize=5)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.6, len(table) - 0.4), title=title)
        axis.set_yticks(place, [])
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    rows = zip(table["class"], table["num_pictures"], strict=True)
    names = [f"{plain_label(name)}  (n={n})" for name, n in rows]
    axes[0, 0].set_yticks(place, names, fontsize=9 if len(table) <= 40 else 6)
    figure.suptitle("Classes on the test split (n: pictures that show the class)")
    note(figure, report_figures.covers())
    return to_png(figure)


@own_style()
def confusion_figure(confusion: np.ndarray, names: Sequence[str]) -> bytes:
    """The part of each true class's pixels that is predicted as each class.

    Args:
        confusion: pixels by true and predicted class [K, K].
        names: of the classes, K.
    """
    count = len(names)
    side = float(np.clip(2.5 + 0.42 * count, 4.5, 16))
    figure, axes = new_figure(side + 1, side)
    axis = axes[0, 0]
    part = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axis.imshow(part, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axis, label="part of the true class's pixels", shrink=0.8)
    step = 1 + count // 60
    shown = [plain_label(name) for name in names][::step]
    size = 9 if count <= 30 else 6
    axis.set_xticks(range(0, count, step), shown, rotation=90, fontsize=size)
    axis.set_yticks(range(0, count, step), shown, fontsize=size)
    axis.set(xlabel="predicted", ylabel="true", title="Pixels of the test split")
    axis.grid(visible=False)
    if count <= _MOST_NUMBERED_CLASSES:
        for row, column in np.argwhere(part >= 0.005):
            colour = "white" if part[row, column] > 0.55 else "black"
            axis.text(column, row, f"{100 * part[row, column]:.0f}", ha="center", va="center",
                      fontsize=8, color=colour)  # fmt: skip
        note(figure, "numbers: per cent of the true class; below half a per cent none")
    return to_png(figure)


@own_style()
def reliability_figure(before: tuple[pd.DataFrame, str], after: tuple[pd.DataFrame, str]) -> bytes:
    """How often pixels are right against their confidence, with the number of pixels in every bin.

    Args:
        before: table of :func:`sftcore.tasks.segmentation.tables.reliability_of_pixels`, and its
            title.
        after: the same at the temperature.
    """
    figure, axes = new_figure(9, 6, 2, 2)
    for (upper, lower), (table, title) in zip(axes.T, (before, after), strict=True):
        report_figures.draw_reliability((upper, lower), table, title, _OF_PIXELS)
        report_figures.count_by_powers(lower)
    axes[0, 0].legend(fontsize=9, loc="upper left", edgecolor="none")
    figure.suptitle("Reliability of pixels on the test split")
    return to_png(figure)


def gap_figure(gap: pd.DataFrame) -> bytes:
    """Mean IoU and loss on train, val and test.

    Args:
        gap: columns split, num_pictures, and both numbers with _low and _high.
    """
    title = "Mean IoU and loss by split; their difference is the generalisation gap"
    return report_figures.gap_figure(gap, _PANELS, title)


def baselines_figure(table: pd.DataFrame) -> bytes:
    """The fine-tuned model and the rows to beat on test.

    Args:
        table: of :func:`sftcore.tasks.report_numbers.compare`.
    """
    return report_figures.baselines_figure(table, _PANELS)
