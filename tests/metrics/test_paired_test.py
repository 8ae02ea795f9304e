"""The exact paired test and its power against simulation, published values and the old formula."""

import math

import numpy as np
import pytest
from scipy import stats

from sftcore.metrics.paired_test import (
    num_independent,
    num_pictures_for,
    paired_power,
    paired_test,
    smallest_difference,
)


def by_formula(difference: float, discordance: float, power: float = 0.8) -> int:
    """Sample size for large samples (Connor, 1987, eq. 1)."""
    level, found = stats.norm.ppf([0.975, power])
    root = level * discordance**0.5 + found * (discordance - difference**2) ** 0.5
    return math.ceil((root / difference) ** 2)


def simulated_power(n: int, discordance: float, difference: float, times: int = 20_000) -> float:
    better, worse = (discordance + difference) / 2, (discordance - difference) / 2
    drawn = np.random.default_rng(1).multinomial(n, [better, worse, 1 - discordance], size=times)
    pairs, of_pair = np.unique(drawn[:, :2], axis=0, return_inverse=True)
    found = [
        wins > losses and stats.binomtest(int(wins), int(wins + losses)).pvalue <= 0.05
        for wins, losses in pairs
    ]
    return float(np.array(found)[of_pair.ravel()].mean())


@pytest.mark.parametrize(
    ("n", "discordance", "difference"),
    [(12, 0.9, 0.6), (40, 0.3, 0.2), (118, 0.1, 0.08), (118, 0.2, 0.12), (500, 0.25, 0.05),
     (50, 1.0, 0.4), (30, 0.2, 0.2)],
)  # fmt: skip
def test_power_is_how_often_simulated_models_are_told_apart(
    n: int, discordance: float, difference: float
) -> None:
    exact = paired_power(n, discordance, difference)
    assert exact == pytest.approx(simulated_power(n, discordance, difference), abs=0.012)


def test_power_of_a_published_example() -> None:
    """O'Brien, 2002, of McNemar's test: .08 against .32 in 50 pairs, one-sided 5 %: .839."""
    assert paired_power(50, 0.40, 0.24, level=0.10) == pytest.approx(0.839, abs=0.0005)


# Discordant parts .45 and .05, and .30 and .15: the sizes that published calculators print by
# Connor's formula.
@pytest.mark.parametrize(("difference", "discordance", "size"), [(0.4, 0.5, 23), (0.15, 0.45, 155)])
def test_the_exact_test_needs_a_little_more_than_published_sizes(
    difference: float, discordance: float, size: int
) -> None:
    assert by_formula(difference, discordance) == size
    exact = num_pictures_for(difference, discordance)
    assert size < exact < 1.2 * size + 8


@pytest.mark.parametrize("discordance", [0.05, 0.1, 0.2, 0.5])
def test_large_samples_agree_with_the_formula(discordance: float) -> None:
    exact, formula = num_pictures_for(0.01, discordance), by_formula(0.01, discordance)
    assert formula <= exact < 1.06 * formula


@pytest.mark.parametrize("n", [60, 118, 400, 3000])
@pytest.mark.parametrize("discordance", [0.1, 0.2, 0.4])
def test_the_smallest_difference_has_the_promised_power(n: int, discordance: float) -> None:
    difference = smallest_difference(n, discordance)
    if math.isnan(difference):
        assert paired_power(n, discordance, discordance) < 0.8
        return
    assert paired_power(n, discordance, difference) == pytest.approx(0.8, abs=1e-3)
    assert paired_power(n, discordance, 0.9 * difference) < 0.8
    assert num_pictures_for(difference, discordance) == pytest.approx(n, rel=0.06)


def test_few_pictures_show_nothing_and_no_discordance_shows_nothing() -> None:
    assert math.isnan(smallest_difference(20, 0.1))
    assert math.isnan(smallest_difference(1, 1.0))
    assert math.isnan(smallest_difference(1000, 0.0))
    assert smallest_difference(100_000, 0.2) == pytest.approx(0.004, abs=0.0005)


def test_equal_models_are_told_apart_no_more_often_than_the_level() -> None:
    for n in (5, 20, 118, 1000):
        for discordance in (0.1, 0.3, 1.0):
            assert 2 * paired_power(n, discordance, 0.0) <= 0.05 + 1e-9


def test_a_difference_beyond_the_discordance_is_refused() -> None:
    for difference in (0.0, 0.3):
        with pytest.raises(ValueError, match="no difference"):
            num_pictures_for(difference, 0.2)


def test_two_models_on_the_same_pictures() -> None:
    first = np.array([True] * 12 + [False] * 3 + [True] * 40 + [False] * 5)
    second = np.array([False] * 12 + [True] * 3 + [True] * 40 + [False] * 5)
    test = paired_test(first, second)
    assert (test.num_pictures, test.num_better, test.num_worse) == (60, 12, 3)
    assert test.discordance == pytest.approx(0.25)
    # Of 15 fair coins at most 3 show heads: (1 + 15 + 105 + 455) / 2^15, twice.
    assert test.p_value == pytest.approx(2 * 576 / 2**15)
    assert test.smallest_difference == smallest_difference(60, 0.25)
    same = paired_test(first, first)
    assert (same.p_value, same.discordance) == (1.0, 0.0)
    assert math.isnan(same.smallest_difference)


def test_near_duplicates_count_as_the_independent_pictures_that_vary_as_much() -> None:
    assert num_independent([1] * 134) == 134
    assert num_independent([5] * 20) == 20
    assert num_independent([]) == 0
    sizes = np.array([1] * 122 + [2] * 3 + [3] * 2)
    assert num_independent(sizes.tolist()) == 118
    right = np.random.default_rng(0).random((40_000, len(sizes))) < 0.5
    variance = ((right * sizes).sum(axis=1) / sizes.sum()).var()
    assert 0.25 / variance == pytest.approx(134**2 / 152, rel=0.03)
