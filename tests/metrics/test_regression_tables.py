"""Tables along the range of the predictions, row by row."""

import numpy as np
import pytest

from sftcore.metrics.intervals import bootstrap_weights
from sftcore.metrics.regression import RegressionMetrics, regression_metrics
from sftcore.metrics.regression_tables import (
    per_number_table,
    predicted_against_actual,
    residual_quantiles,
)
from sftcore.metrics.weighted import measure_resamples

N = 100
NAMES = ["b", "a"]
STREAM = np.random.default_rng(0)
PREDICTION = STREAM.permuted(np.tile(np.arange(N, dtype=float)[:, None], (1, 2)), axis=0)
TARGET = PREDICTION * [1.0, 0.5] + STREAM.normal(size=(N, 2))


def test_bins_hold_a_tenth_of_the_rows_each() -> None:
    table = predicted_against_actual(PREDICTION, TARGET, NAMES)
    assert table["number"].tolist() == ["b"] * 10 + ["a"] * 10
    assert table["bin"].tolist() == [*range(1, 11)] * 2
    assert (table["num_rows"] == 10).all()
    for k, name in enumerate(NAMES):
        order = np.argsort(PREDICTION[:, k]).reshape(10, 10)
        of_number = table[table["number"] == name]
        actual = TARGET[order, k]
        np.testing.assert_allclose(of_number["predicted"], PREDICTION[order, k].mean(axis=1))
        np.testing.assert_allclose(of_number["actual"], actual.mean(axis=1))
        np.testing.assert_allclose(of_number["actual_std"], actual.std(axis=1))


def test_residuals_by_bin_are_numpys_quantiles() -> None:
    table = residual_quantiles(PREDICTION, TARGET, NAMES, num_bins=4)
    order = np.argsort(PREDICTION[:, 1]).reshape(4, 25)
    residual = (TARGET - PREDICTION)[order, 1]
    found = table[table["number"] == "a"][["q05", "q25", "q50", "q75", "q95"]].to_numpy()
    expected = np.quantile(residual, [0.05, 0.25, 0.5, 0.75, 0.95], axis=1).T
    np.testing.assert_allclose(found, expected)
    assert table.columns[:4].tolist() == ["number", "bin", "num_rows", "predicted"]


def test_equal_predictions_share_a_bin() -> None:
    constant = np.zeros((7, 1))
    table = predicted_against_actual(constant, np.arange(7.0)[:, None], ["n"])
    assert table[["bin", "num_rows", "actual"]].to_numpy().tolist() == [[1, 7, 3]]
    few = predicted_against_actual(np.array([[1.0], [1.0], [2.0]]), np.zeros((3, 1)), ["n"], 3)
    assert few["num_rows"].tolist() == [2, 1]
    assert few["predicted"].tolist() == [1.0, 2.0]
    one = residual_quantiles(np.zeros((1, 1)), np.ones((1, 1)), ["n"])
    assert one[["q05", "q95"]].to_numpy().tolist() == [[1.0, 1.0]]


def test_order_of_the_rows_does_not_matter() -> None:
    order = STREAM.permutation(N)
    for function in (predicted_against_actual, residual_quantiles):
        one = function(PREDICTION, TARGET, NAMES)
        other = function(PREDICTION[order], TARGET[order], NAMES)
        np.testing.assert_allclose(
            one.drop(columns="number").to_numpy(), other.drop(columns="number").to_numpy()
        )


def test_a_row_for_each_number() -> None:
    scale = TARGET.std(axis=0)

    def measure(weights: np.ndarray) -> RegressionMetrics:
        return regression_metrics(PREDICTION, TARGET, weights, scale)

    many = measure_resamples(measure, bootstrap_weights(N, 200, 0, "test"))
    table = per_number_table(NAMES, scale, measure(np.ones((1, N))), many, 0.9)
    assert table["number"].tolist() == NAMES
    measured = ["rmse", "mae", "median_absolute_error", "bias", "r2"]
    bounds = [f"{name}{end}" for name in measured for end in ("", "_low", "_high")]
    assert table.columns.tolist() == ["number", "train_std", *bounds]
    for name in measured:
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()
    low, high = np.quantile(many.mae[:, 1], [0.05, 0.95])
    assert table.loc[1, ["mae_low", "mae_high"]].tolist() == pytest.approx([low, high])
    low, high = np.quantile(many.r2[:, 0], [0.05, 0.95])
    assert table.loc[0, ["r2_low", "r2_high"]].tolist() == pytest.approx([low, high])


def test_names_must_be_as_many_as_numbers() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        predicted_against_actual(PREDICTION, TARGET, ["b"])
    with pytest.raises(ValueError, match="must both be"):
        residual_quantiles(PREDICTION[:, :1], TARGET, NAMES)
