"""Parts of the data: nested subsets for a learning curve, folds for cross-validation.

Both keep near-duplicates together and classes in proportion. The test split takes no part.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sftcore.errors import ParamsError
from sftcore.randomness import derive_seed, numpy_stream


@dataclass(frozen=True)
class Portion:
    """Which pictures a training gets.

    Attributes:
        fraction: of the training split.
        num_folds: of cross-validation; 0 keeps the train and validation splits as they are.
        fold: the one that is validated on, counted from 0.
    """

    fraction: float = 1.0
    num_folds: int = 0
    fold: int = 0

    @property
    def title(self) -> str:
        """In words, empty for the whole."""
        if self.num_folds:
            return f"fold {self.fold + 1} of {self.num_folds}"
        return f"{self.fraction:.0%} of the pictures" if self.fraction < 1 else ""


def take_portion(
    samples: pd.DataFrame, portion: Portion, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train and to validate on, ascending.

    Args:
        samples: columns row, label, split and group, of the train and validation splits.
        portion: which part.
        seed: draws the subset; equal seeds give nested subsets. Folds depend on the data alone.

    Raises:
        ParamsError: a class has fewer groups than there are folds.
    """
    samples = samples[samples["split"].isin(["train", "val"])]
    if portion.num_folds > 0:
        return _take_fold(samples, portion)
    train, val = (samples[samples["split"] == name] for name in ("train", "val"))
    rows = train["row"].to_numpy(dtype=np.int64, copy=True)
    if portion.fraction < 1:
        rows = _take_subset(train, portion.fraction, seed)
    return rows, val["row"].to_numpy(dtype=np.int64, copy=True)


def _take_subset(train: pd.DataFrame, fraction: float, seed: int) -> np.ndarray:
    """The first groups of each class in an order drawn once, until the class has its part."""
    groups = np.unique(train["group"].to_numpy())
    place = dict(zip(groups, numpy_stream(seed, "subset").permutation(len(groups)), strict=True))
    rows: list[int] = []
    for _, members in train.groupby("label", sort=True):
        order = members["group"].map(place).to_numpy()
        wanted = max(1, round(fraction * len(members)))
        # The group that reaches the wanted number is taken whole.
        last = np.sort(order)[wanted - 1]
        rows += members["row"][order <= last].tolist()
    return np.sort(np.array(rows, dtype=np.int64))


def _take_fold(samples: pd.DataFrame, portion: Portion) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import StratifiedGroupKFold

    num_groups = samples.groupby("label")["group"].nunique()
    if num_groups.min() < portion.num_folds:
        raise ParamsError(
            f"{portion.num_folds} folds are asked for, and class {num_groups.idxmin()!r} has only "
            f"{num_groups.min()} groups of pictures for them: lower cross_validation.num_folds"
        )
    split = StratifiedGroupKFold(
        portion.num_folds, shuffle=True, random_state=derive_seed(0, "folds") % 2**32
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes smaller than the folds
        folds = list(split.split(samples, samples["label"], samples["group"]))
    train, val = folds[portion.fold]
    rows = samples["row"].to_numpy(dtype=np.int64, copy=True)
    return np.sort(rows[train]), np.sort(rows[val])
