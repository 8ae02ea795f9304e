"""Metrics of many labels against scikit-learn, by hand, and what must change nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from sftcore.metrics.intervals import bootstrap_weights
from sftcore.metrics.multilabel import (
    SCALARS,
    MultilabelMetrics,
    multilabel_metrics,
    multilabel_scores,
)
from sftcore.metrics.weighted import mean_where, measure_resamples

N, K = 60, 4
EXACT = {"rtol": 1e-9, "atol": 1e-12}
seeds = st.integers(0, 2**32 - 1)


def made(seed: int, num_rows: int = N) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels that all occur and are all absent somewhere, probabilities with ties, thresholds."""
    stream = np.random.default_rng(seed)
    labels = (stream.random((num_rows, K)) < [0.5, 0.3, 0.15, 0.1]).astype(int)
    labels[0], labels[1] = 1, 0
    logits = stream.normal(size=labels.shape) + 1.5 * labels - 0.5
    probability = np.round(1 / (1 + np.exp(-logits)), 2).clip(0.01, 0.99)
    return labels, probability, stream.uniform(0.3, 0.7, K)


def measured(seed: int, weights: np.ndarray) -> MultilabelMetrics:
    labels, probability, thresholds = made(seed, weights.shape[1])
    return multilabel_metrics(labels, probability, weights, thresholds, 10)


def assert_same(one: MultilabelMetrics, other: MultilabelMetrics) -> None:
    for name in vars(one):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), err_msg=name, **EXACT)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["unit", "count", "real"])
def test_it_is_scikit_learn_under_any_weights(seed: int, kind: str) -> None:
    labels, probability, thresholds = made(seed)
    stream = np.random.default_rng(seed)
    drawn = {"unit": np.ones(N), "count": stream.integers(0, 4, N), "real": stream.random(N)}
    weights = drawn[kind].astype(float)
    weights[:2] = 1  # every label occurs, and is absent somewhere
    ours = measured(seed, weights[None])
    predicted = (probability >= thresholds).astype(int)
    ranked = reference.average_precision_score(
        labels, probability, average=None, sample_weight=weights
    )
    np.testing.assert_allclose(ours.average_precision[0], ranked, **EXACT)
    np.testing.assert_allclose(ours.mean_average_precision[0], ranked.mean(), **EXACT)
    found = reference.precision_recall_fscore_support(
        labels, predicted, sample_weight=weights, zero_division=0
    )
    for name, theirs in zip(("precision", "recall", "f1"), found, strict=False):
        np.testing.assert_allclose(getattr(ours, name)[0], theirs, **EXACT)
    for name in ("macro", "micro"):
        theirs = reference.f1_score(labels, predicted, average=name, sample_weight=weights)
        np.testing.assert_allclose(getattr(ours, f"{name}_f1")[0], theirs, **EXACT)
    exact = reference.accuracy_score(labels, predicted, sample_weight=weights)
    hamming = reference.hamming_loss(labels, predicted, sample_weight=weights)
    np.testing.assert_allclose(ours.exact_match[0], exact, **EXACT)
    np.testing.assert_allclose(ours.hamming_loss[0], hamming, **EXACT)
    nll = [
        reference.log_loss(labels[:, k], probability[:, k], sample_weight=weights) for k in range(K)
    ]
    np.testing.assert_allclose(ours.label_nll[0], nll, **EXACT)
    np.testing.assert_allclose(ours.nll[0], np.mean(nll), **EXACT)
    np.testing.assert_allclose(ours.nll_per_row[0], np.sum(nll), **EXACT)


@pytest.mark.parametrize("seed", range(3))
def test_calibration_errors_bin_by_bin(seed: int) -> None:
    labels, probability, _ = made(seed)
    weights = np.random.default_rng(seed).random(N)
    ours = measured(seed, weights[None])

    def error(label: np.ndarray, p: np.ndarray, weight: np.ndarray) -> float:
        total = 0.0
        for number in range(10):
            inside = (p > number / 10 + 1e-12) & (p <= (number + 1) / 10 + 1e-12)
            share = weight[inside].sum()
            if share:
                frequency = np.average(label[inside], weights=weight[inside])
                total += share * abs(frequency - np.average(p[inside], weights=weight[inside]))
        return total / weight.sum()

    by_label = [error(labels[:, k], probability[:, k], weights) for k in range(K)]
    np.testing.assert_allclose(ours.label_ece[0], by_label, **EXACT)
    pooled = error(labels.ravel(), probability.ravel(), weights.repeat(K))
    np.testing.assert_allclose(ours.ece[0], pooled, **EXACT)
    assert pooled < np.mean(by_label)  # errors of several labels cancel in a bin


def test_average_precision_by_hand() -> None:
    labels = np.array([[1], [0], [1], [0]])
    probability = np.array([[0.9], [0.8], [0.8], [0.1]])
    ours = multilabel_metrics(labels, probability, np.ones((1, 4)), np.array([0.5]), 5)
    # 0.9: recall 1/2 at precision 1; 0.8, a tie: recall 1 at precision 2/3
    assert ours.average_precision[0, 0] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, num_rows=st.integers(3, 12))
def test_repeated_rows_are_weights(seed: int, num_rows: int) -> None:
    labels, probability, thresholds = made(seed, num_rows)
    counts = np.random.default_rng(seed).integers(0, 4, num_rows)
    counts[0] += 1
    rows = np.repeat(np.arange(num_rows), counts)
    one = multilabel_metrics(
        labels[rows], probability[rows], np.ones((1, len(rows))), thresholds, 10
    )
    assert_same(measured(seed, counts[None].astype(float)), one)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, num_rows=st.integers(3, 12), factor=st.floats(0.1, 10))
def test_order_unit_of_weight_and_company_change_nothing(
    seed: int, num_rows: int, factor: float
) -> None:
    labels, probability, thresholds = made(seed, num_rows)
    stream = np.random.default_rng(seed)
    weights = stream.random((3, num_rows)) + 0.1
    many, order = measured(seed, weights), stream.permutation(num_rows)
    turned = multilabel_metrics(
        labels[order], probability[order], factor * weights[:, order], thresholds, 10
    )
    assert_same(many, turned)
    alone = measured(seed, weights[1:2])
    for name in vars(many):
        np.testing.assert_allclose(getattr(many, name)[1], getattr(alone, name)[0], **EXACT)


def test_labels_that_do_not_occur_count_nowhere() -> None:
    labels = np.array([[1, 0], [0, 0]])
    probability = np.array([[0.9, 0.2], [0.1, 0.8]])
    both, nothing = np.ones(2), np.array([0.0, 1.0])
    ours = multilabel_metrics(labels, probability, np.stack([both, nothing]), np.full(2, 0.5), 5)
    assert ours.occurs.tolist() == [[True, False], [False, False]]
    assert ours.is_predicted.tolist() == [[True, True], [False, True]]
    assert (ours.mean_average_precision[0], ours.macro_f1[0]) == (1.0, 1.0)
    assert np.isnan([ours.mean_average_precision[1], ours.macro_f1[1]]).all()
    assert ours.average_precision[:, 1].tolist() == [0.0, 0.0]
    assert ours.micro_f1.tolist() == pytest.approx([2 / 3, 0.0])
    assert mean_where(np.array([[3.0, 5.0]]), np.array([[False, True]])).tolist() == [5.0]


def test_a_label_is_predicted_from_its_threshold_on() -> None:
    ours = multilabel_metrics(
        np.ones((1, 1)), np.array([[0.4]]), np.ones((1, 1)), np.array([0.4]), 5
    )
    assert ours.exact_match[0] == 1


def test_scores_are_those_of_the_probabilities() -> None:
    labels, probability, _ = made(0)
    found = multilabel_scores(np.log(probability / (1 - probability)), labels)
    expected = multilabel_metrics(labels, probability, np.ones((1, N)), np.full(K, 0.5), 1)
    assert set(found) == {"loss", *SCALARS} - {"nll"}
    assert found.pop("loss") == pytest.approx(expected.nll[0])
    for name, value in found.items():
        assert value == pytest.approx(getattr(expected, name)[0]), name


def test_scores_of_nothing_of_no_numbers_and_of_large_ones() -> None:
    assert np.isnan(list(multilabel_scores(np.zeros((0, 2)), np.zeros((0, 2))).values())).all()
    bad = multilabel_scores(np.array([[np.nan, 1.0]]), np.array([[0, 1]]))
    assert np.isnan(list(bad.values())).all()
    assert multilabel_scores(np.array([[1000.0, 0.0]]), np.array([[0, 1]]))["loss"] == (
        pytest.approx((1000 + np.log(2)) / 2)
    )


@pytest.mark.parametrize(
    ("labels", "probability", "words"),
    [
        (np.zeros((3, 2)), np.zeros((3, 3)), "must both be"),
        (np.full((3, 2), 0.5), np.zeros((3, 2)), "labels must be 0 or 1"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), "labels must be 0 or 1"),
        (np.zeros((3, 2)), np.full((3, 2), 1.1), r"in \[0, 1\]"),
        (np.zeros((3, 2)), np.full((3, 2), np.nan), r"in \[0, 1\]"),
    ],
)
def test_what_is_no_decision_is_refused(
    labels: np.ndarray, probability: np.ndarray, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        multilabel_metrics(labels, probability, np.ones((1, 3)), np.full(2, 0.5), 5)


def test_the_bootstrap_of_average_precision_is_biased_upwards() -> None:
    labels = np.tile([[1], [0], [0], [0]], (10, 1))
    biases = []
    for seed in range(40):
        score = np.random.default_rng(seed).random((40, 1))

        def measure(weights: np.ndarray, score: np.ndarray = score) -> MultilabelMetrics:
            return multilabel_metrics(labels, score, weights, np.array([0.5]), 5)

        many = measure_resamples(measure, bootstrap_weights(40, 200, seed, "test"))
        biases.append(many.average_precision.mean() - measure(np.ones((1, 40))).average_precision)
    assert np.mean(biases) > 3 * np.std(biases) / len(biases) ** 0.5
