"""Sets, abstention and distance against independent computations and simulations."""

import numpy as np
import pytest
import torch
from scipy import stats

from sftcore.metrics.intervals import proportion_interval
from sftcore.metrics.selective import (
    answer_threshold,
    conformal_threshold,
    coverage_range,
    label_sets,
    risk_coverage,
)
from sftcore.metrics.unlike import known_directions, neighbour_distance


def draw(stream: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of four classes and labels that follow others: a miscalibrated model."""
    logits = stream.normal(size=(count, 4)) * 2
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    claimed = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    return claimed, np.array([stream.choice(4, p=row) for row in true])


def test_sets_cover_as_promised_though_the_model_is_overconfident() -> None:
    stream = np.random.default_rng(0)
    pool, pool_labels = draw(stream, 20_000)
    found = []
    for _ in range(200):
        chosen = stream.integers(0, 10_000, 99)  # n of calibration
        threshold = conformal_threshold(pool[chosen, pool_labels[chosen]], 0.9)
        inside = pool[10_000:] >= threshold  # without the rule of the most probable label
        found.append(inside[np.arange(10_000), pool_labels[10_000:]].mean())
    low, high = coverage_range(99, 0.9, 0.95)
    assert abs(np.mean(found) - 0.9) < 0.01
    is_expected = (np.array(found) >= low) & (np.array(found) <= high)
    assert 0.89 <= is_expected.mean() <= 0.99  # 95 % wanted, of 200 draws
    assert label_sets(pool[:100], 2.0).sum(axis=1).tolist() == [1] * 100


def test_too_few_pictures_let_every_class_in() -> None:
    assert conformal_threshold(np.array([0.9] * 8), 0.9) == 0
    assert conformal_threshold(np.array([0.9] * 9), 0.9) == 0.9
    assert coverage_range(8, 0.9, 0.95) == (1, 1)


def test_equal_confidences_are_answered_together() -> None:
    confidence = np.array([0.9, 0.8, 0.8, 0.5])
    is_right = np.array([True, True, False, True])
    curve = risk_coverage(confidence, is_right)
    assert curve["num_answered"].tolist() == [1, 3, 4]
    assert curve["accuracy"].tolist() == pytest.approx([1, 2 / 3, 3 / 4])
    assert answer_threshold(confidence, is_right, 0.75) == 0.5  # most of them, not the first
    assert answer_threshold(confidence, is_right, 0.8) == 0.9
    assert answer_threshold(confidence, ~is_right, 0.9) is None


def test_the_interval_counts_groups() -> None:
    is_true = np.array([True] * 9 + [False])
    alone = np.arange(10)
    found = stats.binomtest(9, 10).proportion_ci(0.95, "exact")
    assert proportion_interval(is_true, alone, 0.95) == pytest.approx((found.low, found.high))
    low, high = proportion_interval(np.ones(20, bool), np.arange(20) // 2, 0.95)
    assert (low, high) == pytest.approx((0.025 ** (1 / 10), 1))
    assert proportion_interval(np.ones(0, bool), np.arange(0), 0.95) == (0, 1)


def test_distance_is_that_of_the_kth_neighbour() -> None:
    stream = torch.Generator().manual_seed(0)
    known, features = (torch.randn(n, 7, generator=stream) for n in (50, 41))
    directions = known_directions(known, 1000)
    cosine = torch.nn.functional.cosine_similarity(features[:, None], known[None], dim=2)
    expected = 1 - cosine.sort(dim=1, descending=True).values[:, 4]
    found = neighbour_distance(features, directions, 5)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for row in (0, 40):  # to the bit, whatever is beside it
        assert neighbour_distance(features[row : row + 1], directions, 5) == found[row]
    assert known_directions(known, 10).shape == (10, 7)
    assert neighbour_distance(features, directions[:3], 5).shape == (41,)
