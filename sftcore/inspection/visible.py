"""How small a difference between two models the test split can show, before there is a model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sftcore.metrics.paired_test import num_independent, num_pictures_for, smallest_difference
from sftcore.reporting.drawing import BLUE, GREY, ORANGE, new_figure, own_style, to_png

# Parts of the examples on which exactly one of two models is right; unknown before they are
# measured, so two are assumed: of models that are much alike, and of less alike ones.
ASSUMED_DISCORDANCE = (0.1, 0.2)
WANTED_DIFFERENCE = 0.02
_LEAST, _MOST = 20, 10_000  # examples on the axis
_NUM_POINTS = 40


@dataclass(frozen=True)
class SplitSize:
    """The test split as evidence.

    Attributes:
        num_pictures: or other examples that it holds.
        num_independent: as how many independent ones they count at least, see
            :func:`sftcore.metrics.paired_test.num_independent`.
    """

    num_pictures: int
    num_independent: int

    @classmethod
    def of_groups(cls, sizes: Sequence[int]) -> "SplitSize":
        """From the number of examples of each group of near-duplicates."""
        return cls(sum(sizes), num_independent(sizes))


@dataclass(frozen=True)
class Comparison:
    """What two models are compared by: a score that counts right examples.

    Attributes:
        score: its name.
        right: when an example counts for it.
        noun: what an example is called.
    """

    score: str = "accuracy"
    right: str = "right"
    noun: str = "picture"

    @property
    def plural(self) -> str:
        """What examples are called."""
        return f"{self.noun}s"


OF_CLASSES = Comparison()


def size_sentences(split: SplitSize, noun: str, score: str) -> list[str]:
    """What is known of a comparison by a score that is a number: the size of the test split.

    Args:
        split: the test split.
        noun: what an example is called.
        score: that two models are compared by.
    """
    if not split.num_pictures:
        return [_nothing(noun)]
    return [
        _size(split, noun),
        f"How small a difference in {score} between two models it shows depends on how {score} "
        "varies, which nobody knows before both are measured.",
    ]


def _nothing(noun: str) -> str:
    return f"Test split: no {noun}, so nothing can be shown with it."


def _size(split: SplitSize, noun: str) -> str:
    worth = (
        ""
        if split.num_independent == split.num_pictures
        else f", worth at least {split.num_independent:,} independent ones, as groups go together"
    )
    return f"Test split: {split.num_pictures:,} {noun}s{worth}."


def visible_sentences(split: SplitSize, compared: Comparison = OF_CLASSES) -> list[str]:
    """What a comparison of two models on the test split can find.

    Args:
        split: the test split.
        compared: what they are compared by.
    """
    if not split.num_pictures:
        return [_nothing(compared.noun)]
    found = ", ".join(
        f"{_points(smallest_difference(split.num_independent, share))} at {share:.0%}"
        for share in ASSUMED_DISCORDANCE
    )
    needed = ", ".join(
        f"{_rounded_up(num_pictures_for(WANTED_DIFFERENCE, share)):,} at {share:.0%}"
        for share in ASSUMED_DISCORDANCE
    )
    return [
        _size(split, compared.noun),
        f"Smallest difference in {compared.score} between two models that it shows, if exactly one "
        f"of them is {compared.right} on a share of the {compared.plural}: {found}.",
        f"To show {_points(WANTED_DIFFERENCE)} takes about so many independent test "
        f"{compared.plural}: {needed}.",
        "Shown means: by the exact McNemar test at a two-sided level of 5 %, in 4 of 5 such "
        "splits. The shares are assumed; nobody knows them before both models are measured.",
    ]


def visible_table(split: SplitSize) -> pd.DataFrame:
    """The smallest visible difference against the number of independent test examples.

    Args:
        split: whose own size is a row too.

    Returns:
        Columns num_pictures, discordance, smallest_difference (NaN where none is visible),
        is_this_split.
    """
    most = max(_MOST, 2 * split.num_independent)
    sizes = np.geomspace(_LEAST, most, _NUM_POINTS).round().astype(int).tolist()
    sizes = sorted({*sizes, split.num_independent})
    return pd.DataFrame(
        {
            "num_pictures": size,
            "discordance": share,
            "smallest_difference": smallest_difference(size, share),
            "is_this_split": size == split.num_independent,
        }
        for share in ASSUMED_DISCORDANCE
        for size in sizes
    )


@own_style()
def visible_figure(table: pd.DataFrame, compared: Comparison = OF_CLASSES) -> bytes:
    """Draw :func:`visible_table`.

    Args:
        table: as that function returns it.
        compared: what the models are compared by.

    Returns:
        A PNG.
    """
    figure, axes = new_figure(7.0, 3.6)
    axis = axes[0, 0]
    for (share, part), colour in zip(table.groupby("discordance"), (BLUE, ORANGE), strict=True):
        points = 100 * part["smallest_difference"]
        label = f"models that differ on {share:.0%} of the {compared.plural}"
        axis.plot(part["num_pictures"], points, color=colour, label=label)
        here = part["is_this_split"]
        axis.plot(part["num_pictures"][here], points[here], "o", color=colour)
    own = int(table["num_pictures"][table["is_this_split"]].iloc[0])
    axis.axvline(own, color=GREY, linewidth=0.8, linestyle="--")
    wanted = 100 * WANTED_DIFFERENCE
    axis.axhline(wanted, color=GREY, linewidth=0.8, linestyle=":")
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel(f"independent test {compared.plural} (dashed: this split)")
    axis.set_ylabel(
        f"smallest visible difference\nin {compared.score}, points (dotted: {wanted:.0f})"
    )
    axis.legend(frameon=False)
    return to_png(figure)


def _points(difference: float) -> str:
    if math.isnan(difference):
        return "none"
    return f"{100 * difference:.1f} points".replace(".0 points", " points")


def _rounded_up(count: int) -> int:
    """To two digits, as nobody knows the discordance any better."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit
