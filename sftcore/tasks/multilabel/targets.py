"""What is known of the labels of the training rows before a training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sftcore.foundations.errors import DataError
from sftcore.regularization.imbalance import class_weights


@dataclass(frozen=True)
class LabelCounts:
    """How often each label is present in training.

    Attributes:
        present: rows with the label, K numbers.
        num_rows: N.
    """

    present: tuple[int, ...]
    num_rows: int

    @property
    def frequencies(self) -> np.ndarray:
        """``(n_k + 1/2)/(N + 1)``: one row more, that is half present and half absent, [K].

        Without it a label that is in no row would cost an infinite loss where it occurs.
        """
        return (np.array(self.present) + 0.5) / (self.num_rows + 1)


def count_labels(labels: np.ndarray) -> LabelCounts:
    """Count the labels of the training rows.

    Args:
        labels: 0 or 1 [N, K].

    Raises:
        DataError: there is no row or no label, or a value is neither 0 nor 1.
    """
    if labels.ndim != 2 or not labels.size:
        raise DataError(f"labels of shape {labels.shape}: there must be rows, and labels for them")
    if not np.isin(labels, (0, 1)).all():
        raise DataError("labels must be 0 (absent) or 1 (present): fill in or take out the others")
    return LabelCounts(tuple(labels.sum(axis=0).astype(int).tolist()), len(labels))


def refuse_constant_labels(counts: LabelCounts, names: Sequence[str]) -> None:
    """Refuse labels that there is nothing to learn of.

    Args:
        counts: of the training rows.
        names: of the labels, K.

    Raises:
        DataError: a label is present in no training row, or in all of them.
    """
    for name, present in zip(names, counts.present, strict=True):
        if present in (0, counts.num_rows):
            where = "no training row" if present == 0 else "every training row"
            raise DataError(
                f"the label {name!r} is present in {where}: add rows "
                f"{'with' if present == 0 else 'without'} it, or take the label out"
            )


def decision_weights(counts: LabelCounts, power: float) -> np.ndarray:
    """Weights of absence and presence of each label: ``∝ n^(−p)`` of the two counts.

    They are those of :func:`sftcore.regularization.imbalance.class_weights` for two classes, so
    their mean over the training rows is one for each label, at any p. At p = 1 the rows with a
    label weigh as much as those without it. A label that is present in no row, or in all of them,
    has nothing to be weighed against and keeps weights of one.

    Args:
        counts: of the training rows.
        power: p in [0, 1].

    Returns:
        [2, K]: absence, presence.
    """
    pairs = np.array([(counts.num_rows - present, present) for present in counts.present])
    weights = [class_weights(pair, power) if pair.all() else np.ones(2) for pair in pairs]
    return np.stack(weights, axis=1)
