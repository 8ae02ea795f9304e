"""Precision along a ranking, under many weightings: average precision at 101 levels of recall.

(Lin et al., 2014; pycocotools' ``COCOeval.accumulate``.) The precision at a level of recall is the
greatest that is reached at this recall or beyond, and 0 where the recall is never reached.

**Weights are counts of pictures.** A weighting is the data set in which each picture is there so
often. Copies of a picture stand side by side, so equal scores of different pictures keep the order
of the pictures. Of equal scores in one picture, the copies would alternate, and here each row is
taken as often as it counts before the next: only for such ties do the two differ. Fractional
weights are allowed, but rounding may then miss a level that is reached exactly.
"""

from collections.abc import Iterator

import numpy as np

from sftcore.metrics.weighted import ratio

RECALLS = np.linspace(0.0, 1.0, 101)

_CHUNK_ELEMENTS = 1 << 22


def average_precision(
    picture: np.ndarray, is_right: np.ndarray, num_truths: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Mean of the interpolated precision over the levels of recall.

    Args:
        picture: of each detection by falling score, none of them ignored, [D].
        is_right: bool [D, T], for T ways to be right.
        num_truths: that must be found, under each weighting, [W].
        weights: picture counts [W, N].

    Returns:
        [W, T]; 0 without any truth.
    """
    columns = [
        (envelope * num_levels).sum(axis=1) / len(RECALLS)
        for envelope, num_levels in _envelopes(picture, is_right, num_truths, weights)
    ]
    return np.stack(columns, axis=1)


def precision_at_recalls(
    picture: np.ndarray, is_right: np.ndarray, num_truths: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Interpolated precision at each level of recall, whose mean is the average precision.

    Args:
        picture: of each detection by falling score, none of them ignored, [D].
        is_right: bool [D].
        num_truths: that must be found, under each weighting, [W].
        weights: picture counts [W, N].

    Returns:
        [W, 101], at :data:`RECALLS`.
    """
    ((envelope, num_levels),) = _envelopes(picture, is_right[:, None], num_truths, weights)
    never = len(RECALLS) - num_levels.sum(axis=1, keepdims=True)
    values = np.append(envelope, np.zeros_like(envelope, shape=never.shape), axis=1)
    times = np.append(num_levels, never, axis=1)
    return np.repeat(values.ravel(), times.ravel()).reshape(len(weights), len(RECALLS))


def pieces(weights: np.ndarray, num_columns: int) -> Iterator[np.ndarray]:
    """The weightings [W, N] in parts small enough for a matrix [W, num_columns] each."""
    at_once = max(1, _CHUNK_ELEMENTS // max(1, num_columns))
    for start in range(0, len(weights), at_once):
        yield weights[start : start + at_once]


def _envelopes(
    picture: np.ndarray, is_right: np.ndarray, num_truths: np.ndarray, weights: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each way: the precision from each hit on [W, H], and how many levels it reaches first.

    Precision is greatest, and recall rises, at hits alone, so nothing else is looked at.
    """
    claimed = np.cumsum(weights[:, picture], axis=1)
    for way in is_right.T:
        hits = np.flatnonzero(way)
        right = np.cumsum(weights[:, picture[hits]], axis=1)
        precision = ratio(right, claimed[:, hits])
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        reached = np.searchsorted(RECALLS, ratio(right, num_truths[:, None]), side="right")
        yield envelope, np.diff(reached, axis=1, prepend=0)
