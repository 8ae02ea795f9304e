"""Metrics of predicted numbers against scikit-learn, by hand, and what must change nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from sftcore.metrics.regression import (
    SCALARS,
    RegressionMetrics,
    regression_metrics,
    regression_scores,
)
from sftcore.metrics.weighted import weighted_median

N, K = 50, 3
SCALE = np.array([1.0, 20.0, 0.3])
EXACT = {"rtol": 1e-9, "atol": 1e-12}
seeds = st.integers(0, 2**32 - 1)


def made(seed: int, num_rows: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Predictions that go with targets of unlike units."""
    stream = np.random.default_rng(seed)
    target = stream.normal(size=(num_rows, K)) * SCALE + [0.0, 100.0, -5.0]
    error = stream.standard_t(3, size=(num_rows, K)) * SCALE * [0.3, 0.6, 1.5]
    return target + error + 0.1 * SCALE, target


def measured(seed: int, weights: np.ndarray) -> RegressionMetrics:
    return regression_metrics(*made(seed, weights.shape[1]), weights, SCALE)


def assert_same(one: RegressionMetrics, other: RegressionMetrics) -> None:
    for name in vars(one):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), err_msg=name, **EXACT)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["unit", "count", "real"])
def test_it_is_scikit_learn_under_any_weights(seed: int, kind: str) -> None:
    prediction, target = made(seed)
    stream = np.random.default_rng(seed)
    drawn = {"unit": np.ones(N), "count": stream.integers(0, 4, N), "real": stream.random(N)}
    weights = drawn[kind].astype(float)
    ours = measured(seed, weights[None])
    theirs = {
        "rmse": reference.root_mean_squared_error,
        "mae": reference.mean_absolute_error,
        "median_absolute_error": reference.median_absolute_error,
        "r2": reference.r2_score,
    }
    for name, function in theirs.items():
        values = function(target, prediction, sample_weight=weights, multioutput="raw_values")
        np.testing.assert_allclose(getattr(ours, name)[0], values, err_msg=name, **EXACT)
        mean = (values / (1 if name == "r2" else SCALE)).mean()
        np.testing.assert_allclose(getattr(ours, f"mean_{name}")[0], mean, **EXACT)
    bias = np.average(prediction - target, axis=0, weights=weights)
    np.testing.assert_allclose(ours.bias[0], bias, **EXACT)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, num_rows=st.integers(2, 9))
def test_repeated_rows_are_weights(seed: int, num_rows: int) -> None:
    prediction, target = made(seed, num_rows)
    counts = np.random.default_rng(seed).integers(0, 4, num_rows)
    counts[:2] += 1
    rows = np.repeat(np.arange(num_rows), counts)
    one = regression_metrics(prediction[rows], target[rows], np.ones((1, len(rows))), SCALE)
    assert_same(measured(seed, counts[None].astype(float)), one)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, num_rows=st.integers(2, 9), factor=st.sampled_from([0.25, 8.0]))
def test_order_unit_of_weight_and_company_change_nothing(
    seed: int, num_rows: int, factor: float
) -> None:
    prediction, target = made(seed, num_rows)
    stream = np.random.default_rng(seed)
    weights = stream.random((3, num_rows)) + 0.1
    many, order = measured(seed, weights), stream.permutation(num_rows)
    turned = regression_metrics(prediction[order], target[order], factor * weights[:, order], SCALE)
    assert_same(many, turned)
    alone = measured(seed, weights[1:2])
    for name in vars(many):
        np.testing.assert_allclose(getattr(many, name)[1], getattr(alone, name)[0], **EXACT)


@given(
    values=st.lists(st.integers(-5, 5), min_size=1, max_size=9),
    counts=st.lists(st.integers(0, 3), min_size=9, max_size=9),
)
def test_the_weighted_median_is_that_of_the_repeated_values(
    values: list[int], counts: list[int]
) -> None:
    weights = np.array(counts[: len(values)], dtype=float)
    weights[0] += 1
    repeated = np.repeat(values, weights.astype(int))
    unit = np.ones(len(values))
    found = weighted_median(np.array(values, dtype=float), np.stack([weights, unit]))
    assert found.tolist() == [np.median(repeated), np.median(values)]


@pytest.mark.parametrize("level", [0.0, 0.1, 1e9])
def test_r2_of_targets_that_do_not_vary_is_unknown(level: float) -> None:
    target = np.stack([np.full(3, level), [level, level, level + 1]], axis=1)
    weights = np.array([[1.0, 1.0, 1.0], [0.3, 0.4, 0.0]])
    ours = regression_metrics(target + 0.5, target, weights, np.ones(2))
    assert ours.varies.tolist() == [[False, True], [False, False]]
    assert np.isnan(ours.r2).tolist() == [[True, False], [True, True]]
    assert ours.mean_r2[0] == ours.r2[0, 1] == pytest.approx(1 - 0.25 / (2 / 9))
    assert np.isnan(ours.mean_r2[1])
    assert ours.rmse == pytest.approx(0.5)


def test_means_have_no_unit() -> None:
    prediction, target = made(0)
    unit = np.array([1000.0, 0.01, 7.0])
    one = regression_metrics(prediction, target, np.ones((1, N)), SCALE)
    other = regression_metrics(prediction * unit, target * unit, np.ones((1, N)), SCALE * unit)
    for name in SCALARS:
        assert getattr(other, name) == pytest.approx(getattr(one, name))
    np.testing.assert_allclose(other.mae, one.mae * unit)


def test_knowing_nothing_but_the_mean_has_an_error_of_one() -> None:
    _, target = made(1)
    mean = np.tile(target.mean(axis=0), (N, 1))
    ours = regression_metrics(mean, target, np.ones((1, N)), target.std(axis=0))
    assert ours.mean_rmse[0] == pytest.approx(1)
    assert ours.mean_r2[0] == pytest.approx(0)
    assert ours.bias[0] == pytest.approx(np.zeros(K), abs=1e-9)


def test_scores() -> None:
    found = regression_scores(*made(2), SCALE)
    expected = measured(2, np.ones((1, N)))
    assert found == {name: pytest.approx(getattr(expected, name)[0]) for name in SCALARS}
    assert np.isnan(list(regression_scores(*np.zeros((2, 0, 3)), SCALE).values())).all()
    bad = np.full((2, 3), np.inf)
    assert np.isnan(list(regression_scores(bad, np.zeros((2, 3)), SCALE).values())).all()


def test_what_cannot_be_measured_is_refused() -> None:
    right, missing = np.zeros((2, 1)), np.array([[0.0], [np.nan]])
    with pytest.raises(ValueError, match="must both be"):
        regression_metrics(np.zeros((2, 2)), right, np.ones((1, 2)), np.ones(1))
    with pytest.raises(ValueError, match="predictions must be finite"):
        regression_metrics(missing, right, np.ones((1, 2)), np.ones(1))
    with pytest.raises(ValueError, match="targets must be finite"):
        regression_metrics(right, missing, np.ones((1, 2)), np.ones(1))
