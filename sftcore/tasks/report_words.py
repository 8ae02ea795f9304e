"""Numbers with their intervals, as sentences of a report have them."""

import math
from collections.abc import Mapping

from sftcore.metrics.paired_test import smallest_difference
from sftcore.reporting.numbers import difference


def interval(numbers: Mapping[str, float], name: str) -> str:
    """``0.642 [0.560, 0.723]``."""
    return f"{numbers[name]:.3f} [{numbers[f'{name}_low']:.3f}, {numbers[f'{name}_high']:.3f}]"


def signed(numbers: Mapping[str, float], name: str) -> str:
    """``+0.012 [-0.005, +0.031]``, of a difference."""
    low, high = numbers[f"{name}_low"], numbers[f"{name}_high"]
    return difference(numbers[name], low, high)


def in_unit(numbers: Mapping[str, float], name: str) -> str:
    """``12.3 [11, 13.9]``: three significant digits, of a number in a unit of its own."""
    low, high = numbers[f"{name}_low"], numbers[f"{name}_high"]
    return f"{numbers[name]:.3g} [{low:.3g}, {high:.3g}]"


def covers(confidence: float, examples: str = "pictures") -> str:
    """What the intervals of a report speak of."""
    return (
        f"Intervals ({confidence:.0%}) speak of new test {examples} for this one model: a "
        "bootstrap by groups of near-duplicates."
    )


def paired_line(
    paired: Mapping[str, float], right: str = "right", examples: str = "pictures"
) -> list[str]:
    """Where model and logistic regression differ, and what such a test split can show of it.

    Args:
        paired: see :func:`sftcore.tasks.classification.comparison.paired_counts`; or nothing.
        right: what the one is that the other is not.
        examples: what examples are called.
    """
    if not paired:
        return []
    better, worse = int(paired["num_better"]), int(paired["num_worse"])
    count = int(paired[f"num_{examples}"])
    visible = smallest_difference(count, (better + worse) / count)
    shown = "no difference" if math.isnan(visible) else f"differences from {visible:.3f}"
    return [
        f"only fine-tuned {right} on {better}, only logistic regression on {worse} (p "
        f"{paired['p_value']:.2g}); so many {examples} show {shown}"
    ]
