"""Figures of the rules, as PNG bytes."""

import numpy as np
import pandas as pd

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
from sftcore.use.decision import AbstentionRule


@own_style()
def coverage_figure(table: pd.DataFrame, wanted: float, examples: str = "pictures") -> bytes:
    """Coverage on test against the one that was wanted, and the size of the sets.

    Args:
        table: see :func:`sftcore.use.parts.coverage_table`.
        wanted: the coverage of the rule.
        examples: what examples are called.
    """
    figure, axes = new_figure(8, 3.6, 1, 2)
    left, right = axes[0]
    below, above = (
        (table["test_coverage"] - table["test_low"]).clip(lower=0),
        (table["test_high"] - table["test_coverage"]).clip(lower=0),
    )
    left.plot([0.45, 1], [0.45, 1], color=GREY, linewidth=1, linestyle="--", label="as wanted")
    left.errorbar(
        table["coverage"], table["test_coverage"], yerr=np.stack([below, above]),
        color=BLUE, marker="o", capsize=3, linewidth=1, label=f"test {examples}",
    )  # fmt: skip
    left.axvline(wanted, color=ORANGE, linewidth=1, label="the rule")
    left.set(xlabel="coverage wanted", ylabel="sets that hold the label", title="Coverage")
    left.legend(frameon=False, loc="upper left")
    right.plot(table["coverage"], table["mean_labels"], color=BLUE, marker="o", linewidth=1)
    right.axvline(wanted, color=ORANGE, linewidth=1)
    right.set(xlabel="coverage wanted", ylabel="labels in a set, mean", title="What it costs")
    note(figure, f"bars: intervals over new test {examples}, for this one model and threshold")
    return to_png(figure)


@own_style()
def abstention_figure(table: pd.DataFrame, rule: AbstentionRule) -> bytes:
    """Accuracy of the answers by the share that is answered.

    Args:
        table: see :func:`sftcore.use.parts.abstention_table`.
        rule: whose place on both curves is marked.
    """
    figure, axes = new_figure(6.5, 4)
    axis = axes[0, 0]
    for split, part in table.groupby("split", sort=False):
        colour = SPLIT_COLOURS[str(split)]
        axis.plot(part["answered_fraction"], part["accuracy"], color=colour, label=split)
    axis.axhline(rule.wanted, color=GREY, linewidth=1, linestyle="--", label="wanted")
    if rule.least_probability is not None:
        for split, answered, accuracy in (
            ("val", rule.val_answered, rule.val_accuracy),
            ("test", rule.test_answered, rule.test_accuracy),
        ):
            axis.plot(answered.value, accuracy.value, "o", color=SPLIT_COLOURS[split])
    axis.set(xlim=(0, 1.02), ylim=(None, 1.02), xlabel="share answered", ylabel="right",
             title="Answers by share answered; dots: the rule")  # fmt: skip
    axis.legend(frameon=False, loc="lower left")
    return to_png(figure)


@own_style()
def unlike_figure(table: pd.DataFrame, most_distance: float, examples: str = "pictures") -> bytes:
    """Share of examples up to each distance from the training examples.

    Args:
        table: see :func:`sftcore.use.unlike_part.unlike_table`.
        most_distance: the threshold.
        examples: what examples are called.
    """
    figure, axes = new_figure(6.5, 3.6)
    axis = axes[0, 0]
    for split in ("val", "test"):
        distance = np.sort(table["distance"][table["split"] == split].to_numpy())
        part = np.arange(1, len(distance) + 1) / max(1, len(distance))
        axis.step(distance, part, where="post", color=SPLIT_COLOURS[split], label=split)
    axis.axvline(most_distance, color=GREY, linewidth=1, linestyle="--", label="threshold")
    axis.set(xlabel=f"distance to the training {examples}", ylabel=f"share of {examples}",
             title=f"Unlike the training {examples}")  # fmt: skip
    axis.legend(frameon=False, loc="upper left")
    return to_png(figure)
