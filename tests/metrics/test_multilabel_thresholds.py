"""Thresholds against a search of all of them, and what ties and rare labels get."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from sftcore.metrics.multilabel_thresholds import choose_shared_threshold, choose_thresholds


def f1(labels: np.ndarray, probability: np.ndarray, threshold: float) -> float:
    predicted = probability >= threshold
    return float(2 * (predicted & (labels == 1)).sum() / (predicted.sum() + labels.sum()))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), num_rows=st.integers(1, 12))
def test_no_threshold_is_better_and_no_middle_as_good_is_nearer(seed: int, num_rows: int) -> None:
    stream = np.random.default_rng(seed)
    labels = stream.integers(0, 2, (num_rows, 1))
    labels[0] = 1
    probability = np.round(stream.random((num_rows, 1)), 1)
    (chosen,) = choose_thresholds(labels, probability)
    fine = np.linspace(0, 1, 401)
    reached = [f1(labels, probability, threshold) for threshold in fine]
    assert f1(labels, probability, chosen) == pytest.approx(max(reached))
    edges = np.concatenate([[0.0], np.unique(probability)])
    middles = [*((edges[1:] + edges[:-1]) / 2), 0.5]
    for middle in middles:
        if f1(labels, probability, middle) == pytest.approx(max(reached)):
            assert abs(chosen - 0.5) <= abs(middle - 0.5) + 1e-12


def chosen(labels: list[int], probability: list[float]) -> float:
    return float(choose_thresholds(np.array([labels]).T, np.array([probability]).T)[0])


def test_half_is_kept_where_it_is_as_good_as_any() -> None:
    assert chosen([1, 1, 0, 0], [0.9, 0.6, 0.4, 0.1]) == 0.5
    assert chosen([0, 0, 0], [0.9, 0.6, 0.4]) == 0.5  # nothing to go by
    assert chosen([1], [0.8]) == 0.5


def test_a_threshold_lies_in_the_middle() -> None:
    assert chosen([1, 0, 0], [0.9, 0.7, 0.6]) == pytest.approx(0.8)
    assert chosen([1, 0, 0], [0.3, 0.2, 0.1]) == pytest.approx(0.25)
    assert chosen([1, 1], [0.4, 0.2]) == pytest.approx(0.1)  # the least has 0 below it
    assert chosen([1, 1], [0.4, 0.0]) == 0.0


def test_of_two_that_are_as_near_the_lower_is_taken() -> None:
    labels, probability = [1, 0, 0, 1, 0], [1.0, 0.5, 0.5, 0.375, 0.125]
    reached = [f1(np.array(labels), np.array(probability), t) for t in (0.25, 0.5, 0.75)]
    assert reached == pytest.approx([2 / 3, 2 / 5, 2 / 3])
    assert chosen(labels, probability) == 0.25


def test_neighbouring_floats_are_told_apart() -> None:
    low = 0.7
    high = float(np.nextafter(low, 1))
    assert chosen([1, 0], [high, low]) == high


def test_every_label_gets_its_own_and_one_can_serve_all() -> None:
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]])
    probability = np.array([[0.3, 0.2, 0.9], [0.1, 0.9, 0.8], [0.1, 0.8, 0.7], [0.1, 0.1, 0.6]])
    assert choose_thresholds(labels, probability).tolist() == pytest.approx([0.2, 0.85, 0.5])
    shared = choose_shared_threshold(labels, probability)
    flat = [f1(labels.ravel(), probability.ravel(), t) for t in np.linspace(0, 1, 201)]
    assert f1(labels.ravel(), probability.ravel(), shared) == pytest.approx(max(flat))


def test_few_positives_over_fit_their_threshold_and_a_shared_one_less() -> None:
    stream = np.random.default_rng(0)
    gaps: dict[str, list[float]] = {"own": [], "shared": []}
    for _ in range(60):
        labels = (stream.random((2, 60, 8)) < 0.05).astype(int)
        labels[:, 0] = 1
        logits = stream.normal(size=labels.shape) + 1.2 * labels - 1
        val, test = 1 / (1 + np.exp(-logits))
        own = choose_thresholds(labels[0], val)
        shared = np.full(8, choose_shared_threshold(labels[0], val))
        for name, thresholds in (("own", own), ("shared", shared)):
            seen, new = (
                f1_score(of, p >= thresholds, average="macro")
                for of, p in zip(labels, (val, test), strict=True)
            )
            gaps[name].append(seen - new)
    assert np.mean(gaps["own"]) > 0.1
    assert np.mean(gaps["shared"]) < np.mean(gaps["own"]) / 2
