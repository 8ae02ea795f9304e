"""Figures of a finished model's predictions, as PNG bytes."""

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from sftcore.reporting.drawing import (
    BLUE,
    new_figure,
    note,
    own_style,
    plain_label,
    to_png,
)
from sftcore.tasks import report_figures
from sftcore.tasks.report_figures import Panel

_MAX_NUMBERED_CLASSES = 30  # more cells than this leave no room for numbers
_PANELS = (Panel("accuracy", "accuracy", (0, 1)), Panel("nll", "loss (nats)"))


@own_style()
def confusion_figure(matrix: np.ndarray, classes: list[str]) -> bytes:
    """Counts by true and predicted class, coloured by the part of the true class.

    Args:
        matrix: [C, C]; rows are the true classes.
        classes: C names.
    """
    count = len(classes)
    side = float(np.clip(2.5 + 0.36 * count, 4.5, 16))
    figure, axes = new_figure(side + 1, side)
    axis = axes[0, 0]
    part = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axis.imshow(part, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axis, label="part of the true class", shrink=0.8)
    step = 1 + count // 60
    names = [plain_label(name) for name in classes][::step]
    size = 9 if count <= _MAX_NUMBERED_CLASSES else 6
    axis.set_xticks(range(0, count, step), names, rotation=90, fontsize=size)
    axis.set_yticks(range(0, count, step), names, fontsize=size)
    axis.set(xlabel="predicted", ylabel="true", title="Confusion on the test split")
    axis.grid(visible=False)
    if count <= _MAX_NUMBERED_CLASSES:
        for row, column in np.argwhere(matrix > 0):
            colour = "white" if part[row, column] > 0.55 else "black"
            text = str(matrix[row, column])
            axis.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    return to_png(figure)


@own_style()
def per_class_figure(per_class: pd.DataFrame, examples: str = "pictures") -> bytes:
    """F1 of every class with its interval, best on top.

    Args:
        per_class: columns class, support, f1, f1_low, f1_high.
        examples: what examples are called.
    """
    table = per_class.sort_values(["f1", "class"])
    figure, axes = new_figure(7.5, float(np.clip(1.2 + 0.27 * len(table), 3, 20)))
    axis = axes[0, 0]
    place = np.arange(len(table))
    axis.hlines(place, table["f1_low"], table["f1_high"], color=BLUE, linewidth=2, alpha=0.5)
    axis.plot(table["f1"], place, "o", color=BLUE, markersize=5)
    rows = zip(table["class"], table["support"], strict=True)
    names = [f"{plain_label(name)}  (n={n})" for name, n in rows]
    axis.set_yticks(place, names, fontsize=9 if len(table) <= 40 else 6)
    axis.set(xlim=(-0.02, 1.02), xlabel="F1 on the test split, with interval")
    axis.set_title("Classes")
    note(figure, report_figures.covers(examples))
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    return to_png(figure)


@own_style()
def reliability_figure(
    before: tuple[pd.DataFrame, str], after: tuple[pd.DataFrame, str], examples: str = "pictures"
) -> bytes:
    """Accuracy against confidence, with the number of examples in every bin.

    Args:
        before: table of :func:`sftcore.metrics.calibration.reliability_table`, and its title.
        after: the same of probabilities at the temperature.
        examples: what examples are called.
    """
    figure, axes = new_figure(9, 6, 2, 2)
    for (upper, lower), (table, title) in zip(axes.T, (before, after), strict=True):
        report_figures.draw_reliability((upper, lower), table, title, _reliability(examples))
        lower.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].legend(fontsize=9, loc="upper left", edgecolor="none")
    figure.suptitle("Reliability on the test split")
    return to_png(figure)


def _reliability(examples: str) -> report_figures.Reliability:
    return report_figures.Reliability(
        ("accuracy", "confidence", "num_pictures"), "accuracy", "at mean confidence",
        ("accuracy", "confidence", examples),
    )  # fmt: skip


def gap_figure(gap: pd.DataFrame, examples: str = "pictures") -> bytes:
    """Accuracy and loss on train, val and test; see :func:`report_figures.gap_figure`.

    Args:
        gap: columns split, ``num_`` and what examples are called, and accuracy and nll with
            _low and _high.
        examples: what examples are called.
    """
    title = "Accuracy and loss by split; their difference is the generalisation gap"
    return report_figures.gap_figure(gap, _PANELS, title, examples)


def baselines_figure(table: pd.DataFrame, examples: str = "pictures") -> bytes:
    """The fine-tuned model and the rows to beat on test: accuracy and loss with intervals.

    Args:
        table: of :func:`sftcore.tasks.classification.comparison.compare`, the fine-tuned model
            first.
        examples: what examples are called.
    """
    return report_figures.baselines_figure(table, _PANELS, examples)


def most_wrong_figure(wrong: pd.DataFrame, images: np.ndarray) -> bytes:
    """The test pictures whose true class got the least probability.

    Args:
        wrong: columns label, predicted, confidence, probability_of_label.
        images: uint8 [K, S, S, 3], in the order of the table.
    """
    titles = [
        f"{plain_label(row.label)}\n→ {plain_label(row.predicted)} ({row.confidence:.0%})"
        for row in wrong.itertuples()
    ]
    title = "Most wrong on the test split: true class → prediction (confidence)"
    return report_figures.pictures_figure(titles, images, title)
