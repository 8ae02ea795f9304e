"""Figures of a finished model's labels, as PNG bytes."""

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

_PANELS = (
    Panel("mean_average_precision", "mean average precision", (0, 1)),
    Panel("nll", "loss (nats per label)"),
)
_OF_DECISIONS = report_figures.Reliability(
    ("frequency", "probability", "num_decisions"), "present", "at mean probability",
    ("part present", "probability", "decisions"),
)  # fmt: skip


@own_style()
def per_label_figure(per_label: pd.DataFrame) -> bytes:
    """Average precision and F1 of every label with their intervals, the best on top.

    Args:
        per_label: of :func:`sftcore.metrics.multilabel_tables.per_label_table`.
    """
    table = per_label.sort_values(["average_precision", "label"], na_position="first")
    height = float(np.clip(1.4 + 0.27 * len(table), 3, 20))
    figure, axes = new_figure(9, height, 1, 2)
    place = np.arange(len(table))
    for axis, name, colour, title in (
        (axes[0, 0], "average_precision", BLUE, "average precision"),
        (axes[0, 1], "f1", ORANGE, "F1 at the label's threshold"),
    ):
        axis.hlines(place, table[f"{name}_low"], table[f"{name}_high"], color=colour, linewidth=2,
                    alpha=0.5)  # fmt: skip
        axis.plot(table[name], place, "o", color=colour, markersize=5)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.6, len(table) - 0.4), title=title)
        axis.set_yticks(place, [])
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    rows = zip(table["label"], table["support"], strict=True)
    names = [f"{plain_label(name)}  (n={n})" for name, n in rows]
    axes[0, 0].set_yticks(place, names, fontsize=9 if len(table) <= 40 else 6)
    figure.suptitle("Labels, on the test split")
    note(figure, report_figures.covers())
    return to_png(figure)


@own_style()
def reliability_figure(table: pd.DataFrame, title: str) -> bytes:
    """How often labels are present against their probability, over the decisions of all labels.

    Args:
        table: of :func:`sftcore.metrics.multilabel_tables.pooled_reliability_table`.
        title: above it.
    """
    figure, axes = new_figure(5.5, 6, 2, 1)
    upper, lower = axes[:, 0]
    report_figures.draw_reliability((upper, lower), table, title, _OF_DECISIONS)
    upper.legend(fontsize=9, loc="upper left", edgecolor="none")
    report_figures.count_by_powers(lower)
    figure.suptitle("Reliability on the test split, all labels together")
    return to_png(figure)


def gap_figure(gap: pd.DataFrame) -> bytes:
    """Mean average precision and loss on train, val and test.

    Args:
        gap: columns split, num_pictures, and both numbers with _low and _high.
    """
    title = "Mean average precision and loss by split; their difference is the generalisation gap"
    return report_figures.gap_figure(gap, _PANELS, title)


def baselines_figure(table: pd.DataFrame) -> bytes:
    """The fine-tuned model and the rows to beat on test.

    Args:
        table: of :func:`sftcore.tasks.report_numbers.compare`.
    """
    return report_figures.baselines_figure(table, _PANELS)


def most_wrong_figure(
    wrong: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], images: np.ndarray
) -> bytes:
    """The test pictures with the greatest loss, with the labels that are missing or too many.

    Args:
        wrong: of each picture, the labels that it misses and those that it adds.
        images: uint8 [K, S, S, 3], in the same order.
    """
    titles = [f"− {_shown(missed)}\n+ {_shown(added)}" for missed, added in wrong]
    title = "Most wrong on the test split: − labels that it misses, + labels that it adds"
    return report_figures.pictures_figure(titles, images, title)


def _shown(names: tuple[str, ...]) -> str:
    if not names:
        return "none"
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    return plain_label(names[0]) + more
