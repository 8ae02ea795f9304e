"""Metrics of predicted numbers, for many weightings of the rows at once.

As in :mod:`sftcore.metrics.classification`, weights [W, N] give one value per weighting, so that
one bootstrap serves all metrics. Numbers of different units are only averaged after each has been
divided by the standard deviation of its training targets: 1 is then the error of knowing nothing.
"""

from dataclasses import dataclass

import numpy as np

from sftcore.metrics.weighted import mean_where, weighted_median

# What a bootstrap gives an interval to.
SCALARS = ("mean_rmse", "mean_mae", "mean_median_absolute_error", "mean_r2")


@dataclass(frozen=True)
class RegressionMetrics:
    """Values per weighting.

    Attributes:
        mean_rmse: mean over the numbers, in standard deviations of the training targets, [W].
        mean_mae: likewise, [W].
        mean_median_absolute_error: likewise, [W].
        mean_r2: mean over the numbers that vary, [W]; NaN where none does.
        rmse: root of the mean squared error, in the number's unit, [W, K].
        mae: mean absolute error, in the number's unit, [W, K].
        median_absolute_error: in the number's unit, [W, K].
        bias: mean of prediction minus target, in the number's unit, [W, K].
        r2: ``1 − Σ(y − ŷ)² / Σ(y − ȳ)²`` with ȳ the mean of the measured rows, [W, K]; NaN where
            they do not vary.
        varies: whether the measured targets vary, so that R² means something, [W, K].
    """

    mean_rmse: np.ndarray
    mean_mae: np.ndarray
    mean_median_absolute_error: np.ndarray
    mean_r2: np.ndarray
    rmse: np.ndarray
    mae: np.ndarray
    median_absolute_error: np.ndarray
    bias: np.ndarray
    r2: np.ndarray
    varies: np.ndarray


def regression_metrics(
    prediction: np.ndarray, target: np.ndarray, weights: np.ndarray, scale: np.ndarray
) -> RegressionMetrics:
    """Every metric for every weighting of the rows.

    Args:
        prediction: [N, K], in the unit of the targets.
        target: [N, K].
        weights: row counts [W, N], each row with a positive sum.
        scale: standard deviations of the training targets [K].

    Raises:
        ValueError: see :func:`check_numbers`.
    """
    check_numbers(prediction, target)
    error = prediction.astype(float) - target
    total = weights.sum(axis=1)[:, None]
    squared = weights @ np.square(error) / total
    rmse, mae = np.sqrt(squared), weights @ np.abs(error) / total
    columns = range(error.shape[1])
    median = np.stack([weighted_median(np.abs(error[:, k]), weights) for k in columns], axis=1)
    variance = np.stack([_variance(target[:, k], weights) for k in columns], axis=1)
    varies = variance > 0
    unexplained = np.divide(squared, variance, out=np.full(rmse.shape, np.nan), where=varies)
    return RegressionMetrics(
        mean_rmse=(rmse / scale).mean(axis=1),
        mean_mae=(mae / scale).mean(axis=1),
        mean_median_absolute_error=(median / scale).mean(axis=1),
        mean_r2=mean_where(1 - unexplained, varies),
        rmse=rmse,
        mae=mae,
        median_absolute_error=median,
        bias=weights @ error / total,
        r2=1 - unexplained,
        varies=varies,
    )


def regression_scores(
    prediction: np.ndarray, target: np.ndarray, scale: np.ndarray
) -> dict[str, float]:
    """The numbers that trainings are compared by, of one set of rows.

    Args:
        prediction: [N, K], in the unit of the targets.
        target: [N, K].
        scale: standard deviations of the training targets [K].

    Returns:
        :data:`SCALARS`; all NaN without rows or where a prediction is not finite, since such a
        network predicts nothing.
    """
    if not len(target) or not np.isfinite(prediction).all():
        return dict.fromkeys(SCALARS, float("nan"))
    found = regression_metrics(prediction, target, np.ones((1, len(target))), scale)
    return {name: float(getattr(found, name)[0]) for name in SCALARS}


def check_numbers(prediction: np.ndarray, target: np.ndarray) -> None:
    """Refuse what cannot be measured.

    Args:
        prediction: [N, K].
        target: [N, K].

    Raises:
        ValueError: the shapes differ, or a number is not finite.
    """
    if prediction.shape != target.shape or target.ndim != 2:
        raise ValueError(
            f"predictions {prediction.shape} and targets {target.shape} must both be [N, K]"
        )
    for name, values in (("predictions", prediction), ("targets", target)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite: take the rows with missing numbers out")


def _variance(target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of the targets [N] around their mean under each weighting, [W]; exactly 0 where all agree."""
    mean = weights @ target / weights.sum(axis=1)
    squares = np.square(target[None] - mean[:, None])
    variance = (weights * squares).sum(axis=1) / weights.sum(axis=1)
    counts = weights > 0
    least = np.where(counts, target, np.inf).min(axis=1)
    most = np.where(counts, target, -np.inf).max(axis=1)
    return np.where(least < most, variance, 0.0)
