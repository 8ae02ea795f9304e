"""Intervals around predicted numbers that hold the true one as often as wanted."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sftcore.metrics.intervals import proportion_interval
from sftcore.metrics.regression import check_numbers
from sftcore.metrics.selective import conformal_rank, coverage_range

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def conformal_radius(residual: np.ndarray, coverage: float) -> np.ndarray:
    """Half the width of intervals ``ŷ ± q`` that hold the true number as often as wanted.

    q is the ``ceil((n + 1) · coverage)``-th smallest absolute residual of n calibration rows (split
    conformal: Lei et al., 2018, Distribution-free predictive inference for regression, algorithm 2;
    Vovk et al., 2005, Algorithmic learning in a random world, section 4.2.2). If those rows and a
    new one are exchangeable, its interval holds its number with at least this probability: for
    each number by itself, not for all K of a row at once, and over all rows, not at every value.

    Args:
        residual: target minus prediction of rows that were not trained on [n, K].
        coverage: wanted, between 0 and 1.

    Returns:
        [K], in the number's unit; infinite where n is too small for this coverage.

    Raises:
        ValueError: a residual is not finite.
    """
    if not np.isfinite(residual).all():
        raise ValueError("residuals must be finite: take the rows with missing numbers out")
    rank = conformal_rank(len(residual), coverage)
    if rank > len(residual):
        return np.full(residual.shape[1], np.inf)
    return np.sort(np.abs(residual.astype(float)), axis=0)[rank - 1]


def interval_coverage(
    prediction: np.ndarray, target: np.ndarray, radius: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The part of the rows whose number lies in ``ŷ ± q``, ends included.

    Args:
        prediction: [N, K].
        target: [N, K].
        radius: q [K].
        weights: row counts [W, N].

    Returns:
        [W, K].

    Raises:
        ValueError: see :func:`sftcore.metrics.regression.check_numbers`.
    """
    is_inside = _is_inside(prediction, target, radius)
    return weights @ is_inside.astype(float) / weights.sum(axis=1)[:, None]


def interval_table(
    val: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    test_groups: np.ndarray,
    names: Sequence[str],
    confidence: float,
    levels: Sequence[float] = LEVELS,
) -> pd.DataFrame:
    """What intervals of several levels, fixed on validation, hold on the test rows.

    Args:
        val: predictions and targets of the calibration rows, both [V, K].
        test: likewise [T, K].
        test_groups: name of each test row's group of near-duplicates [T].
        names: of the numbers, K.
        confidence: of the bounds of the measured coverage, and of where it is expected.
        levels: wanted coverages.

    Returns:
        A row for each number and level: number, level, radius and width in the number's unit,
        coverage on the test rows with exact bounds coverage_low and coverage_high, and
        expected_low and expected_high, between which the coverage of new rows lies for this many
        calibration rows.

    Raises:
        ValueError: see :func:`sftcore.metrics.regression.check_numbers`.
    """
    check_numbers(*val)
    radii = [conformal_radius(val[1] - val[0].astype(float), level) for level in levels]
    inside = [_is_inside(*test, radius) for radius in radii]
    lines = []
    for k, name in zip(range(val[0].shape[1]), names, strict=True):
        for level, radius, is_inside in zip(levels, radii, inside, strict=True):
            hits = is_inside[:, k]
            measured = (hits.mean(), *proportion_interval(hits, test_groups, confidence))
            expected = coverage_range(len(val[0]), level, confidence)
            lines.append((name, level, radius[k], 2 * radius[k], *measured, *expected))
    columns = ["number", "level", "radius", "width", "coverage", "coverage_low", "coverage_high"]
    return pd.DataFrame(lines, columns=[*columns, "expected_low", "expected_high"])


def _is_inside(prediction: np.ndarray, target: np.ndarray, radius: np.ndarray) -> np.ndarray:
    check_numbers(prediction, target)
    return np.abs(target - prediction.astype(float)) <= radius
