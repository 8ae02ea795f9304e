"""Figures of a finished model's predictions, as PNG bytes."""

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from sftcore.reporting.drawing import (
    BLUE,
    GREY,
    ORANGE,
    SPLIT_COLOURS,
    new_figure,
    note,
    own_style,
    plain_label,
    to_png,
)

_MAX_NUMBERED_CLASSES = 30  # more cells than this leave no room for numbers
_COLUMNS = 4
_COVERS = "line: interval over new pictures of this split, for this one model"


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
def per_class_figure(per_class: pd.DataFrame) -> bytes:
    """F1 of every class with its interval, best on top.

    Args:
        per_class: columns class, support, f1, f1_low, f1_high.
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
    note(figure, _COVERS)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    return to_png(figure)


@own_style()
def reliability_figure(before: tuple[pd.DataFrame, str], after: tuple[pd.DataFrame, str]) -> bytes:
    """Accuracy against confidence, with the number of pictures in every bin.

    Args:
        before: table of :func:`sftcore.metrics.calibration.reliability_table`, and its title.
        after: the same of probabilities at the temperature.
    """
    figure, axes = new_figure(9, 6, 2, 2)
    for (upper, lower), (table, title) in zip(axes.T, (before, after), strict=True):
        centre = (table["low"] + table["high"]) / 2
        width = (table["high"] - table["low"]) * 0.92
        upper.bar(centre, table["accuracy"], width, color=BLUE, label="accuracy")
        upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfectly calibrated")
        upper.plot(table["confidence"], table["accuracy"], "o", color=ORANGE,
                   label="at mean confidence", markersize=4)  # fmt: skip
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        upper.set_title(title, fontsize=9)
        lower.bar(centre, table["num_pictures"], width, color=GREY)
        lower.set(xlim=(0, 1), xlabel="confidence", ylabel="pictures")
        lower.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].legend(frameon=False, fontsize=9, loc="upper left")
    figure.suptitle("Reliability on the test split")
    return to_png(figure)


@own_style()
def gap_figure(gap: pd.DataFrame) -> bytes:
    """Accuracy and loss on train, val and test with intervals.

    A gap between the splits is what a training that has learnt its pictures shows; whether it did
    harm is told by the course of the validation loss, and not by the gap.

    Args:
        gap: columns split, num_pictures, and accuracy and nll with _low and _high.
    """
    figure, axes = new_figure(7, 3.6, 1, 2)
    for axis, name in zip(axes.flat, ("accuracy", "nll"), strict=True):
        values = gap[name].to_numpy(dtype=float)
        errors = [values - gap[f"{name}_low"], gap[f"{name}_high"] - values]
        colours = [SPLIT_COLOURS[split] for split in gap["split"]]
        axis.bar(gap["split"], values, 0.6, color=colours)
        axis.errorbar(gap["split"], values, yerr=np.abs(errors), fmt="none", color="black",
                      capsize=5)  # fmt: skip
        for place, value in enumerate(values):
            axis.annotate(f"{value:.3f}", (place + 0.06, value), xytext=(0, 3),
                          textcoords="offset points", fontweight="bold")  # fmt: skip
        counts = zip(gap["split"], gap["num_pictures"], strict=True)
        axis.set_xticks(range(len(gap)), [f"{split}\nn={n}" for split, n in counts])
        axis.set_title("accuracy" if name == "accuracy" else "loss (nats)")
    axes[0, 0].set_ylim(0, 1.05)
    figure.suptitle("Accuracy and loss by split; their difference is the generalisation gap")
    note(figure, "line: resamples of the split's own pictures; only test speaks of new ones")
    return to_png(figure)


@own_style()
def baselines_figure(table: pd.DataFrame) -> bytes:
    """The fine-tuned model and the rows to beat on test: accuracy and loss with intervals.

    Args:
        table: of :func:`sftcore.tasks.classification.comparison.compare`, the fine-tuned model
            first.
    """
    figure, axes = new_figure(7.5, 1.6 + 0.45 * len(table), 1, 2)
    place = np.arange(len(table))[::-1]
    colours = [ORANGE, *[BLUE] * (len(table) - 1)]
    for axis, name in zip(axes.flat, ("accuracy", "nll"), strict=True):
        bounds = table[f"test_{name}_low"], table[f"test_{name}_high"]
        axis.hlines(place, *bounds, color=colours, linewidth=2, alpha=0.5)
        axis.scatter(table[f"test_{name}"], place, color=colours, s=36, zorder=3)
        for height, value in zip(place, table[f"test_{name}"], strict=True):
            axis.annotate(f"{value:.3f}", (value, height), xytext=(0, 7), ha="center",
                          textcoords="offset points", fontsize=9)  # fmt: skip
        names = [row.replace("_", " ") for row in table["row"]]
        axis.set_yticks(place, names if name == "accuracy" else [])
        axis.set_ylim(-0.6, len(table) - 0.3)
        axis.set_title("accuracy" if name == "accuracy" else "loss (nats)")
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes[0, 0].set_xlim(-0.02, 1.02)
    figure.suptitle("The rows to beat, on the test split: what needs no fine-tuning")
    note(figure, _COVERS)
    return to_png(figure)


@own_style()
def most_wrong_figure(wrong: pd.DataFrame, images: np.ndarray) -> bytes:
    """The test pictures whose true class got the least probability.

    Args:
        wrong: columns label, predicted, confidence, probability_of_label.
        images: uint8 [K, S, S, 3], in the order of the table.
    """
    rows = max(1, -(-len(wrong) // _COLUMNS))
    figure, axes = new_figure(2.3 * _COLUMNS, 2.6 * rows + 0.4, rows, _COLUMNS)
    for axis in axes.flat:
        axis.axis("off")
    for axis, row, image in zip(axes.flat, wrong.itertuples(), images, strict=False):
        axis.imshow(image)
        title = f"{plain_label(row.label)}\n→ {plain_label(row.predicted)} ({row.confidence:.0%})"
        axis.set_title(title, fontsize=9)
    figure.suptitle("Most wrong on the test split: true class → prediction (confidence)")
    return to_png(figure)
