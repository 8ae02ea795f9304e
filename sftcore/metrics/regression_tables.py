"""Where predicted numbers go wrong: by number, and along the range of the predictions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sftcore.metrics.intervals import percentile_interval
from sftcore.metrics.regression import RegressionMetrics, check_numbers
from sftcore.metrics.weighted import interval_where

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NUM_BINS = 10


def per_number_table(
    names: Sequence[str],
    scale: np.ndarray,
    itself: RegressionMetrics,
    many: RegressionMetrics,
    confidence: float,
) -> pd.DataFrame:
    """A row for each number, in their order.

    Args:
        names: of the numbers, K.
        scale: standard deviations of the training targets [K].
        itself: metrics of the rows, of a single weighting.
        many: of their resamples, see :func:`sftcore.metrics.weighted.measure_resamples`.
        confidence: of the intervals.

    Returns:
        Columns number, train_std, and rmse, mae, median_absolute_error, bias and r2 each with
        ``_low`` and ``_high``; R² is NaN where the targets do not vary.
    """
    table = pd.DataFrame({"number": list(names), "train_std": scale})
    for name in ("rmse", "mae", "median_absolute_error", "bias"):
        low, high = percentile_interval(getattr(many, name), confidence)
        table[name], table[f"{name}_low"] = getattr(itself, name)[0], low
        table[f"{name}_high"] = high
    low, high = interval_where(many.r2, many.varies, confidence)
    return table.assign(r2=itself.r2[0], r2_low=low, r2_high=high)


def predicted_against_actual(
    prediction: np.ndarray, target: np.ndarray, names: Sequence[str], num_bins: int = NUM_BINS
) -> pd.DataFrame:
    """Mean target against mean prediction, along the range of the predictions.

    The mean target of calibrated predictions is their mean prediction in every bin; one that
    changes less says that the predictions are too far apart.

    Args:
        prediction: [N, K], N at least 1.
        target: [N, K].
        names: of the numbers, K.
        num_bins: of about as many rows each; equal predictions share a bin.

    Returns:
        A row for each number and bin that is not empty: number, bin (from 1), num_rows, predicted,
        actual (means) and actual_std (0 of a single row), in the number's unit.

    Raises:
        ValueError: see :func:`sftcore.metrics.regression.check_numbers`.
    """
    binned = _by_bin(prediction, target, names, num_bins)
    return pd.DataFrame(
        {
            "num_rows": binned.size(),
            "predicted": binned["prediction"].mean(),
            "actual": binned["target"].mean(),
            "actual_std": binned["target"].std(ddof=0),
        }
    ).reset_index()


def residual_quantiles(
    prediction: np.ndarray, target: np.ndarray, names: Sequence[str], num_bins: int = NUM_BINS
) -> pd.DataFrame:
    """Quantiles of target minus prediction, along the range of the predictions.

    Unequal spreads say that one width of interval does not fit all predictions.

    Args:
        prediction: [N, K], N at least 1.
        target: [N, K].
        names: of the numbers, K.
        num_bins: of about as many rows each; equal predictions share a bin.

    Returns:
        A row for each number and bin that is not empty: number, bin (from 1), num_rows, predicted
        (mean), and q05, q25, q50, q75 and q95 of the residual, in the number's unit.

    Raises:
        ValueError: see :func:`sftcore.metrics.regression.check_numbers`.
    """
    binned = _by_bin(prediction, target, names, num_bins)
    columns = {"num_rows": binned.size(), "predicted": binned["prediction"].mean()}
    for quantile in QUANTILES:
        columns[f"q{round(100 * quantile):02d}"] = binned["residual"].quantile(quantile)
    return pd.DataFrame(columns).reset_index()


def _by_bin(
    prediction: np.ndarray, target: np.ndarray, names: Sequence[str], num_bins: int
) -> pd.api.typing.DataFrameGroupBy:
    check_numbers(prediction, target)
    parts = np.arange(1, num_bins) / num_bins
    tables = []
    for name, predicted, actual in zip(names, prediction.T, target.T, strict=True):
        edges = np.quantile(predicted, parts, method="inverted_cdf")
        table = pd.DataFrame(
            {
                "number": name,
                "bin": np.searchsorted(edges, predicted, side="left") + 1,
                "prediction": predicted.astype(float),
                "target": actual.astype(float),
            }
        )
        tables.append(table.sort_values("bin", kind="stable"))
    joined = pd.concat(tables)
    joined["residual"] = joined["target"] - joined["prediction"]
    return joined.groupby(["number", "bin"], sort=False)
