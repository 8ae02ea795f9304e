"""What metrics under many weightings share: ratios, medians, means of what is defined, resamples.

Weights are [W, N], a row of them for each weighting of the N rows; unit weights are the sample.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from sftcore.metrics.intervals import percentile_interval

M = TypeVar("M")


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, and 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0)


def mean_where(values: np.ndarray, is_defined: np.ndarray) -> np.ndarray:
    """Mean over the last axis of the values that mean something; NaN where none does.

    Args:
        values: [W, K].
        is_defined: bool [W, K].

    Returns:
        [W].
    """
    count = is_defined.sum(axis=1)
    total = np.where(is_defined, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The value with half of the weight on either side.

    Where the weight up to a value is exactly one half, it is the mean of this value and the next,
    so that unit weights give the usual median (averaged inverse of the distribution function,
    definition 2 of Hyndman and Fan, 1996, Sample quantiles in statistical packages).

    Args:
        values: [N].
        weights: [W, N], not negative, each weighting with a positive sum.

    Returns:
        [W].
    """
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    reached = np.cumsum(weights[:, order], axis=1)
    half = reached[:, -1:] / 2
    low, high = (reached >= half).argmax(axis=1), (reached > half).argmax(axis=1)
    return (ranked[low] + ranked[high]) / 2


def measure_resamples(measure: Callable[[np.ndarray], M], resamples: Iterable[np.ndarray]) -> M:
    """Metrics of every resample as one object.

    Args:
        measure: metrics under weights [W, N]: a dataclass of arrays [W, ...].
        resamples: pieces [W, N], see
            :func:`sftcore.metrics.intervals.grouped_bootstrap_weights`.
    """
    pieces = [measure(weights) for weights in resamples]
    names = vars(pieces[0])
    kind: Any = type(pieces[0])
    return kind(
        **{name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names}
    )


def interval_where(
    values: np.ndarray, is_defined: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile intervals over the resamples in which a value means something.

    Args:
        values: of each resample [R, K].
        is_defined: bool [R, K].
        confidence: of the intervals.

    Returns:
        Low and high [K]; NaN where no resample has a value.
    """
    low, high = np.full((2, values.shape[1]), np.nan)
    for k in np.flatnonzero(is_defined.any(axis=0)):
        low[k], high[k] = percentile_interval(values[is_defined[:, k], k], confidence)
    return low, high
