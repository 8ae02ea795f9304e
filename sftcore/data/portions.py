"""Parts of the data: replicates that draw new examples, and nested subsets for a learning curve.

Both keep near-duplicates together and classes, or other strata, in proportion. The test split takes
no part.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sftcore.data.splits import assign_splits
from sftcore.data.targets.strata import merge_small
from sftcore.foundations.randomness import derive_seed, numpy_stream

SHIPPED = -1  # the replicate that is the data's own split


@dataclass(frozen=True)
class Portion:
    """Which examples a training gets.

    Attributes:
        replicate: number of the draw; :data:`SHIPPED` keeps the data's own splits.
        judge_fraction: part of the train and validation examples that judges a replicate.
        choose_fraction: part of them that chooses in it: the epoch, an average, the head's
            strength.
        fraction: of the training examples that are left.
    """

    replicate: int = SHIPPED
    judge_fraction: float = 0.0
    choose_fraction: float = 0.0
    fraction: float = 1.0

    @property
    def title(self) -> str:
        """In words, empty for the whole."""
        parts = [
            f"replicate {self.replicate}" if self.replicate != SHIPPED else "",
            f"{self.fraction:.0%} of the pictures" if self.fraction < 1 else "",
        ]
        return ", ".join(part for part in parts if part)


WHOLE = Portion()


@dataclass(frozen=True)
class Parts:
    """Rows of the store by what they do, ascending.

    Attributes:
        train: are learnt from.
        val: choose.
        judge: had no say in anything; empty without replicates.
    """

    train: np.ndarray
    val: np.ndarray
    judge: np.ndarray


def take_portion(samples: pd.DataFrame, portion: Portion, seed: int) -> Parts:
    """The rows of a portion.

    A replicate is drawn as the data's own split is: stratified, groups of near-duplicates together,
    from the train and validation examples at once.

    Args:
        samples: columns row, split, group, and stratum or, for classes, label, of the train and
            validation splits.
        portion: which part.
        seed: draws the subset; equal seeds give nested subsets. Replicates are drawn by their
            number alone, so that all methods of one see the same examples.

    Raises:
        DataError: a class has too few groups for the three parts.
    """
    samples = samples[samples["split"].isin(["train", "val"])]
    names = samples["split"]
    if portion.replicate != SHIPPED:
        names = pd.Series(_draw(samples, portion), index=samples.index)
    train, val, judge = (samples[names == name] for name in ("train", "val", "test"))
    rows = train["row"].to_numpy(dtype=np.int64, copy=True)
    if portion.fraction < 1:
        rows = _take_subset(train, portion.fraction, seed)
    return Parts(rows, *(part["row"].to_numpy(dtype=np.int64, copy=True) for part in (val, judge)))


def _draw(samples: pd.DataFrame, portion: Portion) -> list[str]:
    return assign_splits(
        _strata(samples),
        samples["group"].tolist(),
        [""] * len(samples),
        seed=derive_seed(0, "replicate", portion.replicate),
        val_fraction=portion.choose_fraction,
        test_fraction=portion.judge_fraction,
    )


def _strata(samples: pd.DataFrame) -> list[str]:
    """Of each row what it is balanced by; small strata of labels and numbers are joined."""
    if "stratum" not in samples:
        return list(samples["label"])
    return merge_small(samples["stratum"].tolist(), samples["group"].tolist())


def _take_subset(train: pd.DataFrame, fraction: float, seed: int) -> np.ndarray:
    """The first groups of each stratum in an order drawn once, until it has its part."""
    groups = np.unique(train["group"].to_numpy())
    place = dict(zip(groups, numpy_stream(seed, "subset").permutation(len(groups)), strict=True))
    rows: list[int] = []
    by = "stratum" if "stratum" in train else "label"
    for _, members in train.groupby(by, sort=True):
        order = members["group"].map(place).to_numpy()
        wanted = max(1, round(fraction * len(members)))
        # The group that reaches the wanted number is taken whole.
        last = np.sort(order)[wanted - 1]
        rows += members["row"][order <= last].tolist()
    return np.sort(np.array(rows, dtype=np.int64))
