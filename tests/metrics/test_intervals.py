"""Intervals, bounds and power against simulations that know the truth."""

import numpy as np
import pytest
from scipy import integrate, stats

from sftcore.metrics.intervals import (
    bootstrap_weights,
    failure_bound,
    grouped_bootstrap_weights,
    paired_interval,
    resampled_interval,
    smallest_visible_effect,
)


def split_means(stream: np.random.Generator, num_splits: int) -> list[float]:
    """Mean effects on random judge pictures, 30 of the same 100, of pictures with mean 0.2."""
    effects = stream.normal(0.2, 1, 100)
    return [float(stream.permutation(effects)[:30].mean()) for _ in range(num_splits)]


@pytest.mark.parametrize("num_splits", [3, 10])
def test_splits_of_the_same_pictures_cover_what_they_claim(num_splits: int) -> None:
    stream = np.random.default_rng(0)
    inside, inside_plain = 0, 0
    for _ in range(600):
        means = split_means(stream, num_splits)
        found, plain = resampled_interval(means, 30 / 70, 0.9), paired_interval(means, 0.9)
        inside += found.low <= 0.2 <= found.high
        inside_plain += plain.low <= 0.2 <= plain.high
    assert inside / 600 == pytest.approx(0.9, abs=0.035)
    assert inside_plain / 600 < 0.8


def test_without_a_ratio_it_is_the_paired_t() -> None:
    values = np.random.default_rng(1).normal(size=6).tolist()
    assert resampled_interval(values, 0.0, 0.95) == paired_interval(values, 0.95)
    found = resampled_interval(values, 0.25, 0.95)
    expected = np.std(values, ddof=1) * (1 / 6 + 0.25) ** 0.5
    assert found.standard_error == pytest.approx(expected)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(np.mean(values)) / expected, 5))
    assert (found.num, found.num_pairs) == (6, 6)


def test_equal_steps_of_an_accuracy_are_no_proof() -> None:
    step = 1 / 154
    found = paired_interval([step, step], 0.95, resolution=step)
    assert found.low < 0 < found.high
    assert found.p_value > 0.2
    assert found.standard_error == pytest.approx(step / 2**0.5)
    wide = [0.1, 0.3, -0.2]  # a spread above the step is left alone
    assert paired_interval(wide, 0.95, resolution=step) == paired_interval(wide, 0.95)
    assert resampled_interval([0.0, 0.0], 0.2, 0.95, resolution=step).p_value == 1.0


def test_a_single_replicate_has_no_bounds() -> None:
    found = resampled_interval([0.3], 0.2, 0.95, resolution=0.01)
    assert found.mean == 0.3
    assert np.isnan([found.low, found.high, found.p_value, found.standard_error]).all()


def exact_power(noncentrality: float, num: int, confidence: float) -> float:
    """By integration over the estimated spread, with no formula of the noncentral t."""
    freedom = num - 1
    bound = stats.t.ppf((1 + confidence) / 2, freedom)

    def found_at(spread: float) -> float:
        reach = bound * spread
        found = stats.norm.sf(reach - noncentrality) + stats.norm.cdf(-reach - noncentrality)
        return float(found * stats.chi.pdf(spread * freedom**0.5, freedom) * freedom**0.5)

    return float(integrate.quad(found_at, 0, 12, points=[0.01, 0.1, 1.0], limit=200)[0])


@pytest.mark.parametrize("num", [2, 3, 5, 10])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.995])
def test_the_smallest_visible_effect_has_the_power(num: int, confidence: float) -> None:
    effect = smallest_visible_effect(1.0, num, confidence)
    assert exact_power(effect, num, confidence) == pytest.approx(0.8, abs=1e-4)
    assert smallest_visible_effect(0.02, num, confidence) == pytest.approx(0.02 * effect)


def test_the_smallest_visible_effect_is_found_as_often_as_promised() -> None:
    stream = np.random.default_rng(0)
    effect = smallest_visible_effect(0.5 / 5**0.5, 5, 0.95, power=0.8)
    samples = stream.normal(effect, 0.5, (2000, 5)).tolist()
    found = [paired_interval(sample, 0.95) for sample in samples]
    assert np.mean([f.low > 0 or f.high < 0 for f in found]) == pytest.approx(0.8, abs=0.03)
    assert np.isnan(smallest_visible_effect(0.1, 1, 0.95))
    assert np.isnan(smallest_visible_effect(float("nan"), 5, 0.95))
    assert smallest_visible_effect(0.0, 5, 0.95) == 0.0


def test_failure_bounds() -> None:
    assert failure_bound(0, 5, 0.95) == pytest.approx(1 - 0.05 ** (1 / 5))
    assert failure_bound(5, 5, 0.95) == failure_bound(0, 0, 0.95) == 1.0
    # It is the rate at which so few failures would have had a probability of 5 %.
    assert stats.binom.cdf(2, 9, failure_bound(2, 9, 0.95)) == pytest.approx(0.05)
    failed = np.random.default_rng(0).binomial(8, 0.3, 2000)
    bounds = {k: failure_bound(k, 8, 0.9) for k in range(9)}
    assert np.mean([bounds[int(k)] >= 0.3 for k in failed]) >= 0.89


def test_groups_are_drawn_whole() -> None:
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    counts = np.concatenate(list(grouped_bootstrap_weights(groups, 40, 0, "test")))
    assert counts.shape == (40, 6)
    for name in "abc":
        own = counts[:, groups == name]
        assert (own == own[:, :1]).all()
    per_group = counts[:, [1, 0, 3]]
    assert (per_group.sum(axis=1) == 3).all()
    again = np.concatenate(list(grouped_bootstrap_weights(groups, 40, 0, "test")))
    np.testing.assert_array_equal(counts, again)


def test_groups_of_one_row_are_the_plain_bootstrap() -> None:
    ours = np.concatenate(list(grouped_bootstrap_weights(np.arange(30)[::-1], 20, 0, "test")))
    np.testing.assert_array_equal(ours, np.concatenate(list(bootstrap_weights(30, 20, 0, "test"))))


def test_intervals_of_near_duplicates_cover_only_by_group() -> None:
    stream = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 3)
    inside = {"rows": 0, "groups": 0}
    for trial in range(500):
        values = stream.normal(size=60).repeat(3) + stream.normal(size=180) * 0.1
        for name, weights in (
            ("rows", bootstrap_weights(180, 300, trial, "test")),
            ("groups", grouped_bootstrap_weights(groups, 300, trial, "test")),
        ):
            means = np.concatenate([w @ values / w.sum(axis=1) for w in weights])
            low, high = np.quantile(means, [0.05, 0.95])
            inside[name] += int(low <= 0 <= high)
    assert inside["groups"] / 500 == pytest.approx(0.9, abs=0.035)
    assert inside["rows"] / 500 < 0.75
