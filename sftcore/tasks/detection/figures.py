"""Figures of a finished model's boxes, as PNG bytes."""

import numpy as np
import pandas as pd

from sftcore.reporting.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    new_figure,
    note,
    own_style,
    plain_label,
    to_png,
)
from sftcore.reporting.overlays import class_colours
from sftcore.tasks import report_figures
from sftcore.tasks.report_figures import Panel

ERROR_WORDS = {
    "classification": "wrong class",
    "localisation": "wrong place",
    "both": "wrong class and place",
    "duplicate": "second box of a thing",
    "background": "on background",
    "missed": "missed",
}
_PANELS = (
    Panel("average_precision", "average precision (COCO, 50:95)", (0, 1)),
    Panel("f1", "F1 at IoU .5", (0, 1)),
)
_MOST_LINES = 20  # classes whose curves a figure can hold
_OF_BOXES = report_figures.Reliability(
    ("frequency", "confidence", "count"), "right", "at mean score",
    ("part right at IoU .5", "score", "boxes"),
)  # fmt: skip


@own_style()
def per_class_figure(per_class: pd.DataFrame) -> bytes:
    """Average precision and F1 of every class with their intervals, the best on top.

    Args:
        per_class: of :func:`sftcore.tasks.detection.tables.per_class_table`.
    """
    table = per_class.sort_values(["average_precision", "class"], na_position="first")
    height = float(np.clip(1.4 + 0.27 * len(table), 3, 20))
    figure, axes = new_figure(9, height, 1, 2)
    place = np.arange(len(table))
    for axis, name, colour, title in (
        (axes[0, 0], "average_precision", BLUE, "average precision (COCO, 50:95)"),
        (axes[0, 1], "f1", ORANGE, "F1 at IoU .5 and the threshold"),
    ):
        axis.hlines(place, table[f"{name}_low"], table[f"{name}_high"], color=colour, linewidth=2,
                    alpha=0.5)  # fmt: skip
        axis.plot(table[name], place, "o", color=colour, markersize=5)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.6, len(table) - 0.4))
        axis.set_title(title, fontsize=11)
        axis.set_yticks(place, [])
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    rows = zip(table["class"], table["true"], strict=True)
    names = [f"{plain_label(name)}  (n={n})" for name, n in rows]
    axes[0, 0].set_yticks(place, names, fontsize=9 if len(table) <= 40 else 6)
    figure.suptitle("Classes, on the test split; n: true boxes")
    note(figure, report_figures.covers())
    return to_png(figure)


@own_style()
def precision_recall_figure(table: pd.DataFrame) -> bytes:
    """Precision over recall at IoU .5, of all classes together and of each.

    Args:
        table: of :func:`sftcore.tasks.detection.tables.precision_recall_table`.
    """
    figure, axes = new_figure(7.5, 4.8)
    axis = axes[0, 0]
    of_all = table[table["class"] == ""]
    names = [name for name in dict.fromkeys(table["class"]) if name]
    colours = [np.divide(colour, 255) for colour in class_colours(names)]
    for name, colour in list(zip(names, colours, strict=True))[:_MOST_LINES]:
        of = table[table["class"] == name]
        axis.plot(of["recall"], of["precision"], color=colour, linewidth=1, alpha=0.8,
                  label=plain_label(name))  # fmt: skip
    axis.fill_between(of_all["recall"].astype(float), of_all["precision_low"].astype(float),
                      of_all["precision_high"].astype(float), color=GREY, alpha=0.25,
                      linewidth=0)  # fmt: skip
    axis.plot(of_all["recall"], of_all["precision"], color="black", linewidth=2.2,
              label="all, ranked together")  # fmt: skip
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall: part of the true boxes that is found",
             ylabel="precision: part of the given boxes that is right")  # fmt: skip
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    more = f" (the first {_MOST_LINES} classes)" if len(names) > _MOST_LINES else ""
    axis.set_title(f"Precision and recall at IoU .5 on the test split{more}")
    note(figure, "precision: the greatest at this recall or beyond; grey: interval, of all classes")
    return to_png(figure)


@own_style()
def f1_figure(table: pd.DataFrame, threshold: float, f1: float) -> bytes:
    """F1, precision and recall by the least score of the boxes that count.

    Args:
        table: of :func:`sftcore.tasks.detection.tables.f1_table`.
        threshold: that validation chose.
        f1: there, on test.
    """
    figure, axes = new_figure(7, 4.2)
    axis = axes[0, 0]
    axis.fill_between(table["threshold"], table["f1_low"], table["f1_high"], color=BLUE, alpha=0.2,
                      linewidth=0)  # fmt: skip
    for name, colour, width, label in (
        ("precision", ORANGE, 1.2, "precision"),
        ("recall", GREEN, 1.2, "recall"),
        ("f1", BLUE, 2.2, "F1 with interval"),
    ):
        axis.plot(table["threshold"], table[name], color=colour, linewidth=width, label=label)
    axis.axvline(threshold, color=GREY, linestyle="--", linewidth=1,
                 label=f"chosen by validation: {threshold:.3f}")  # fmt: skip
    axis.plot([threshold], [f1], "o", color=BLUE, label=f"F1 there: {f1:.3f}")
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="threshold: least score of a box that counts")
    axis.legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axis.set_title("All classes together at IoU .5, on the test split")
    note(figure, "precision is drawn as 0 where no box counts")
    return to_png(figure)


@own_style()
def errors_figure(errors: pd.DataFrame) -> bytes:
    """How many errors there are of each kind, and what mending them is worth.

    Args:
        errors: of :func:`sftcore.tasks.detection.tables.errors_table`.
    """
    table = errors.set_index("kind").loc[list(ERROR_WORDS)[::-1]]
    figure, axes = new_figure(9, 3.6, 1, 2)
    place = np.arange(len(table))
    for axis, name, colour, title in (
        (axes[0, 0], "per_picture", BLUE, "errors a picture, at the threshold"),
        (axes[0, 1], "gain", ORANGE, "gain in AP at IoU .5 if mended alone"),
    ):
        values = table[name].to_numpy(dtype=float)
        axis.barh(place, values, 0.62, color=colour)
        axis.hlines(place, table[f"{name}_low"], table[f"{name}_high"], color="black", linewidth=1)
        axis.axvline(0, color=GREY, linewidth=0.8)
        axis.set_title(title, fontsize=11)
        axis.set_yticks(place, [])
        axis.grid(visible=False)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    rows = zip(table.index, table["count"], strict=True)
    axes[0, 0].set_yticks(place, [f"{ERROR_WORDS[kind]}  (n={n})" for kind, n in rows])
    figure.suptitle("Kinds of errors on the test split")
    note(figure, report_figures.covers())
    return to_png(figure)


@own_style()
def reliability_figure(table: pd.DataFrame, title: str) -> bytes:
    """How often boxes are right at IoU .5 against their score.

    Args:
        table: of :func:`sftcore.metrics.binned_calibration.reliability_curve`.
        title: above it.
    """
    figure, axes = new_figure(5.5, 6, 2, 1)
    upper, lower = axes[:, 0]
    report_figures.draw_reliability((upper, lower), table, title, _OF_BOXES)
    upper.legend(fontsize=9, loc="upper left", edgecolor="none")
    report_figures.count_by_powers(lower)
    figure.suptitle("Reliability on the test split, all given boxes")
    return to_png(figure)


def gap_figure(gap: pd.DataFrame) -> bytes:
    """Average precision and F1 on train, val and test.

    Args:
        gap: columns split, num_pictures, and both numbers with _low and _high.
    """
    title = "Average precision and F1 by split; their difference is the generalisation gap"
    return report_figures.gap_figure(gap, _PANELS, title)


def baselines_figure(table: pd.DataFrame) -> bytes:
    """The fine-tuned model and the rows to beat on test.

    Args:
        table: of :func:`sftcore.tasks.report_numbers.compare`.
    """
    return report_figures.baselines_figure(table, _PANELS)
