import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as reference

from sftcore.metrics.calibration import reliability_table
from sftcore.metrics.classification import (
    classification_metrics,
    confidence_bins,
    confusion_matrix,
    resolution,
    scores,
)
from sftcore.metrics.intervals import (
    bonferroni,
    bootstrap_weights,
    holm,
    paired_interval,
    percentile_interval,
)
from sftcore.tasks.classification.loss import balanced_scores, measure


@pytest.fixture
def example() -> tuple[np.ndarray, np.ndarray]:
    stream = np.random.default_rng(0)
    labels = stream.integers(0, 5, 200)
    logits = stream.normal(size=(200, 5)) + 1.5 * np.eye(5)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_metrics_agree_with_scikit_learn(example: tuple[np.ndarray, np.ndarray]) -> None:
    labels, p = example
    predicted = p.argmax(axis=1)
    ours = classification_metrics(labels, p, np.ones((1, 200)), 15)
    assert ours.accuracy[0] == pytest.approx(reference.accuracy_score(labels, predicted))
    balanced = reference.balanced_accuracy_score(labels, predicted)
    assert ours.balanced_accuracy[0] == pytest.approx(balanced)
    assert ours.nll[0] == pytest.approx(reference.log_loss(labels, p))
    precision, recall, f1, _ = reference.precision_recall_fscore_support(labels, predicted)
    np.testing.assert_allclose(ours.precision[0], precision)
    np.testing.assert_allclose(ours.recall[0], recall)
    np.testing.assert_allclose(ours.f1[0], f1)
    assert ours.macro_f1[0] == pytest.approx(f1.mean())
    assert ours.brier[0] == pytest.approx(np.square(p - np.eye(5)[labels]).sum(axis=1).mean())
    np.testing.assert_array_equal(
        confusion_matrix(labels, predicted, 5), reference.confusion_matrix(labels, predicted)
    )


def test_mcc_agrees_with_scikit_learn_under_every_weighting(
    example: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, p = example
    weights = np.random.default_rng(1).integers(0, 4, (6, 200))
    weights[0] = 1
    found = classification_metrics(labels, p, weights, 15).mcc
    expected = [
        reference.matthews_corrcoef(labels, p.argmax(axis=1), sample_weight=row) for row in weights
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_one_class_alone_is_correlated_with_nothing() -> None:
    labels, always = np.array([0, 1, 2, 1]), np.tile([[0.1, 0.8, 0.1]], (4, 1))
    weights = np.array([[1, 1, 1, 1], [0, 1, 0, 3]])
    np.testing.assert_array_equal(classification_metrics(labels, always, weights, 15).mcc, [0, 0])


@pytest.mark.parametrize("classes", [(0, 1, 2, 3, 4), (0, 3)])
def test_scores_agree_with_those_of_the_training(
    example: tuple[np.ndarray, np.ndarray], classes: tuple[int, ...]
) -> None:
    labels, p = example
    labels, p = labels[np.isin(labels, classes)], p[np.isin(labels, classes)]
    found = scores(np.log(p), labels)
    itself = classification_metrics(labels, p, np.ones((1, len(labels))), 15)
    for name, expected in (("loss", itself.nll), ("brier", itself.brier)):
        assert found[name] == pytest.approx(expected[0])
    logits, targets = torch.from_numpy(np.log(p)), torch.from_numpy(labels)
    loss, accuracy = measure(logits, targets)
    assert (found["loss"], found["accuracy"]) == pytest.approx((loss, accuracy))
    pair = balanced_scores(logits, targets)
    assert pair == pytest.approx((found["balanced_accuracy"], found["macro_f1"]))
    assert pair == pytest.approx((itself.balanced_accuracy[0], itself.macro_f1[0]))
    if len(classes) == 5:
        predicted = p.argmax(axis=1)
        assert pair[0] == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
        assert pair[1] == pytest.approx(reference.f1_score(labels, predicted, average="macro"))


def test_scores_of_nothing_and_of_no_numbers() -> None:
    assert all(np.isnan(list(scores(np.zeros((0, 3)), np.zeros(0, dtype=int)).values())))
    assert all(np.isnan(list(scores(np.array([[np.nan, 1.0]]), np.array([1])).values())))
    assert np.isnan(balanced_scores(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))).all()
    assert scores(np.array([[0.0, 1000.0]]), np.array([0]))["loss"] == 1000.0


def test_the_resolution_is_the_mean_step_of_one_picture() -> None:
    labels = np.array([0] * 40 + [1] * 15 + [2] * 5)
    predicted = np.roll(labels, 7)
    steps: dict[str, list[float]] = {"accuracy": [], "balanced_accuracy": [], "macro_f1": []}
    before = scores(50 * np.eye(3)[predicted], labels)
    wrong = np.flatnonzero(predicted != labels)
    for row in range(60):  # an error put right, or a hit spoilt
        changed = predicted.copy()
        changed[row] = labels[row] if row in wrong else (labels[row] + 1) % 3
        after = scores(50 * np.eye(3)[changed], labels)
        for name, found in steps.items():
            found.append(abs(after[name] - before[name]))
    for name in ("accuracy", "balanced_accuracy"):
        assert np.mean(steps[name]) == pytest.approx(resolution(f"val_{name}", 60))
    assert np.mean(steps["macro_f1"]) == pytest.approx(resolution("macro_f1", 60), rel=0.5)
    assert resolution("val_loss", 60) == resolution("nll", 60) == resolution("brier", 60) == 0
    with pytest.raises(ValueError, match="unknown metric 'gap'"):
        resolution("gap", 60)


def test_weights_are_repeated_rows(example: tuple[np.ndarray, np.ndarray]) -> None:
    labels, p = example
    weights = next(bootstrap_weights(200, 3, 0, "test"))
    assert (weights.sum(axis=1) == 200).all()
    many = classification_metrics(labels, p, weights, 15)
    for i in range(3):
        rows = np.repeat(np.arange(200), weights[i].astype(int))
        one = classification_metrics(labels[rows], p[rows], np.ones((1, 200)), 15)
        for name in vars(one):
            np.testing.assert_allclose(getattr(many, name)[i], getattr(one, name)[0], err_msg=name)


def test_a_class_that_is_missing_counts_nowhere() -> None:
    p = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    ours = classification_metrics(np.array([0, 1]), p, np.ones((1, 2)), 10)
    assert ours.balanced_accuracy[0] == ours.macro_f1[0] == 1.0
    assert (ours.precision[0, 2], ours.recall[0, 2], ours.f1[0, 2]) == (0.0, 0.0, 0.0)


def test_calibration_error_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.55, 0.45]])
    labels = np.array([0, 1, 0, 0])
    # bins (0.8, 1]: 0.9 right; (0.6, 0.8]: 0.8 wrong; (0.4, 0.6]: 0.6 and 0.55 right
    expected = (abs(1 - 0.9) + abs(0 - 0.8) + abs(2 - 1.15)) / 4
    assert classification_metrics(labels, p, np.ones((1, 4)), 5).ece[0] == pytest.approx(expected)
    table = reliability_table(labels, p, 5)
    assert table["num_pictures"].tolist() == [2, 1, 1]
    assert table["low"].tolist() == pytest.approx([0.4, 0.6, 0.8])
    assert table["accuracy"].tolist() == [1.0, 0.0, 1.0]


def test_bins_hold_their_upper_end() -> None:
    assert confidence_bins(np.array([0.0, 0.2, 0.21, 1.0]), 5).tolist() == [0, 0, 1, 4]


def test_bootstrap_interval_agrees_with_scipy(example: tuple[np.ndarray, np.ndarray]) -> None:
    labels, p = example
    right = (p.argmax(axis=1) == labels).astype(float)
    pieces = [
        classification_metrics(labels, p, weights, 15).accuracy
        for weights in bootstrap_weights(200, 4000, 0, "test")
    ]
    low, high = percentile_interval(np.concatenate(pieces), 0.95)
    theirs = stats.bootstrap((right,), np.mean, method="percentile", n_resamples=4000, rng=0)
    assert (low, high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.01)


def test_bootstrap_is_a_function_of_seed_and_purpose() -> None:
    first = np.concatenate(list(bootstrap_weights(50, 30, 0, "a")))
    assert first.shape == (30, 50)
    np.testing.assert_array_equal(first, np.concatenate(list(bootstrap_weights(50, 30, 0, "a"))))
    assert not np.array_equal(first, np.concatenate(list(bootstrap_weights(50, 30, 0, "b"))))


def test_paired_interval_agrees_with_scipy() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 5))
    ours = paired_interval((a - b).tolist(), 0.95)
    theirs = stats.ttest_rel(a, b)
    bounds = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((bounds.low, bounds.high))
    assert ours.p_value == pytest.approx(theirs.pvalue)


def test_paired_interval_of_few_or_equal_differences() -> None:
    one = paired_interval([0.3], 0.95)
    assert one.mean == 0.3
    assert np.isnan([one.low, one.high, one.p_value]).all()
    assert np.isnan(paired_interval([], 0.95).mean)
    equal = paired_interval([0.5, 0.5, 0.5], 0.95)
    assert (equal.low, equal.high, equal.p_value) == (0.5, 0.5, 0.0)
    assert paired_interval([0.0, 0.0], 0.95).p_value == 1.0
    nearly = paired_interval([0.3 - 0.2, 0.2 - 0.1, 0.7 - 0.6], 0.95)  # equal but for rounding
    assert nearly.low == nearly.high


def test_paired_interval_covers_what_it_claims() -> None:
    stream = np.random.default_rng(0)
    inside = 0
    for _ in range(600):
        found = paired_interval(stream.normal(0.2, 1, 3).tolist(), 0.9)
        inside += found.low <= 0.2 <= found.high
    assert inside / 600 == pytest.approx(0.9, abs=0.035)


def test_holm_by_hand_and_without_the_unknown() -> None:
    adjusted = holm([0.01, 0.04, float("nan"), 0.03])
    assert adjusted[:2] == pytest.approx([0.03, 0.06])
    assert np.isnan(adjusted[2])
    assert adjusted[3] == pytest.approx(0.06)
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert bonferroni(0.95, 5) == pytest.approx(0.99)
    assert bonferroni(0.95, 0) == 0.95
