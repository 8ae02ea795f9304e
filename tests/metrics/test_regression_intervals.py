"""Conformal intervals: by hand, by counting, and in simulation."""

import numpy as np
import pandas as pd
import pytest

from sftcore.metrics.intervals import proportion_interval
from sftcore.metrics.regression_intervals import (
    LEVELS,
    conformal_radius,
    interval_coverage,
    interval_table,
)
from sftcore.metrics.selective import coverage_range


def test_the_radius_by_hand() -> None:
    residual = np.array([[-0.1, 5.0], [0.4, -1.0], [-0.3, 2.0], [0.2, 4.0]])
    assert conformal_radius(residual, 0.8).tolist() == [0.4, 5.0]  # ceil(5 · .8) = 4th
    assert conformal_radius(residual, 0.6).tolist() == [0.3, 4.0]
    assert conformal_radius(residual, 0.61).tolist() == [0.4, 5.0]
    assert np.isinf(conformal_radius(residual, 0.81)).all()  # the 5th of four
    assert np.isinf(conformal_radius(np.zeros((0, 2)), 0.5)).tolist() == [True, True]


@pytest.mark.parametrize("num_rows", [9, 19, 50, 99])
def test_the_radius_is_numpys_quantile_of_n_plus_one(num_rows: int) -> None:
    residual = np.random.default_rng(num_rows).normal(size=(num_rows, 1))
    for level in (0.5, 0.8, 0.9):
        with_new_one = np.append(np.abs(residual), np.inf)  # the row to come may be the largest
        expected = np.quantile(with_new_one, level, method="inverted_cdf")
        assert conformal_radius(residual, level)[0] == pytest.approx(expected)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_new_rows_are_covered_as_promised_whatever_the_distribution(level: float) -> None:
    stream = np.random.default_rng(1)
    inside = []
    for _ in range(4000):
        residual = stream.standard_cauchy((31, 1))
        radius = conformal_radius(residual[:30], level)
        inside.append(interval_coverage(np.zeros((1, 1)), residual[30:], radius, np.ones((1, 1))))
    promised = np.ceil(31 * level - 1e-9) / 31
    assert np.mean(inside) == pytest.approx(promised, abs=0.025)
    assert promised >= level


def test_coverage_under_weights() -> None:
    target = np.array([[0.0, 1.0], [0.5, 2.0], [-2.0, 3.0]])
    weights = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 3.0]])
    found = interval_coverage(np.zeros((3, 2)), target, np.array([0.5, 2.0]), weights)
    np.testing.assert_allclose(found, [[2 / 3, 2 / 3], [1 / 4, 1 / 4]])  # ends are inside


def made(num_val: int) -> pd.DataFrame:
    stream = np.random.default_rng(0)
    val, test = (
        (np.zeros((n, 2)), stream.normal(size=(n, 2)) * [1.0, 10.0]) for n in (num_val, 400)
    )
    return interval_table(val, test, np.repeat(np.arange(200), 2), ["far", "apart"], 0.9)


def test_the_table_line_by_line() -> None:
    table = made(99)
    assert table["number"].tolist() == ["far"] * len(LEVELS) + ["apart"] * len(LEVELS)
    assert table["level"].tolist() == [*LEVELS, *LEVELS]
    stream = np.random.default_rng(0)
    val = stream.normal(size=(99, 2)) * [1.0, 10.0]
    test = stream.normal(size=(400, 2)) * [1.0, 10.0]
    line = table[(table["number"] == "apart") & (table["level"] == 0.9)].iloc[0]
    radius = np.sort(np.abs(val[:, 1]))[89]
    is_inside = np.abs(test[:, 1]) <= radius
    assert (line["radius"], line["width"]) == pytest.approx((radius, 2 * radius))
    assert line["coverage"] == pytest.approx(is_inside.mean())
    bounds = proportion_interval(is_inside, np.repeat(np.arange(200), 2), 0.9)
    assert (line["coverage_low"], line["coverage_high"]) == pytest.approx(bounds)
    expected = coverage_range(99, 0.9, 0.9)
    assert (line["expected_low"], line["expected_high"]) == pytest.approx(expected)
    for _, of_number in table.groupby("number"):
        assert of_number["width"].is_monotonic_increasing
        assert of_number["coverage"].is_monotonic_increasing


def test_too_few_rows_give_intervals_without_end() -> None:
    table = made(9)
    is_wide = table["level"] > 0.9
    assert np.isinf(table["width"]).tolist() == is_wide.tolist()
    assert (table.loc[is_wide, "coverage"] == 1).all()


def test_residuals_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="residuals must be finite"):
        conformal_radius(np.array([[0.1], [np.nan]]), 0.5)


def test_names_must_be_as_many_as_numbers() -> None:
    pair = (np.zeros((3, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        interval_table(pair, pair, np.arange(3), ["one"], 0.9)
    with pytest.raises(ValueError, match="must be finite"):
        interval_table((pair[0], pair[1] + np.nan), pair, np.arange(3), ["one", "two"], 0.9)
