"""Metrics of masks against loops over pixels, scikit-learn, repeated pictures, and empty cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from sftcore.foundations.masks import IGNORED
from sftcore.metrics.segmentation import (
    SCALARS,
    SegmentationMetrics,
    confusion_counts,
    segmentation_metrics,
    segmentation_scores,
)

N, K = 6, 4
EXACT = {"rtol": 0, "atol": 1e-12}
seeds = st.integers(0, 2**32 - 1)


def made(seed: int, num_pictures: int = N) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Masks of different sizes, some of few classes, some wholly ignored; predictions near them."""
    stream = np.random.default_rng(seed)
    truths, predictions = [], []
    for _ in range(num_pictures):
        shape = stream.integers(1, 9, 2)
        truth = stream.choice(stream.permutation(K)[: stream.integers(1, K + 1)], shape)
        prediction = np.where(stream.random(shape) < 0.6, truth, stream.integers(0, K, shape))
        truth = np.where(stream.random(shape) < stream.choice([0, 0.2, 1]), IGNORED, truth)
        truths.append(truth.astype(np.uint8))
        predictions.append(prediction.astype(np.uint8))
    return truths, predictions


def in_loops(
    masks: tuple[list[np.ndarray], list[np.ndarray]], weights: np.ndarray
) -> dict[str, list[float] | float]:
    """From sets of pixels, pixel by pixel."""
    hits, true, found = [0.0] * K, [0.0] * K, [0.0] * K
    for truth, prediction, weight in zip(*masks, weights.tolist(), strict=True):
        for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
            if t != IGNORED:
                true[t] += weight
                found[p] += weight
                hits[t] += weight * (t == p)
    nan = float("nan")
    occurs = [k for k in range(K) if true[k] + found[k]]
    iou = [hits[k] / (true[k] + found[k] - hits[k]) if k in occurs else 0.0 for k in range(K)]
    dice = [2 * hits[k] / (true[k] + found[k]) if k in occurs else 0.0 for k in range(K)]
    accuracy = [hits[k] / true[k] if true[k] else 0.0 for k in range(K)]
    are_true = [k for k in range(K) if true[k]]

    def mean(values: list[float], of: list[int]) -> float:
        return sum(values[k] for k in of) / len(of) if of else nan

    total = sum(true)
    return {
        "pixel_accuracy": sum(hits) / total if total else nan,
        "mean_iou": mean(iou, occurs),
        "mean_dice": mean(dice, occurs),
        "frequency_iou": sum(true[k] * iou[k] for k in range(K)) / total if total else nan,
        "mean_class_accuracy": mean(accuracy, are_true),
        "iou": iou,
        "dice": dice,
        "class_accuracy": accuracy,
        "occurs": [float(k in occurs) for k in range(K)],
        "is_true": [float(k in are_true) for k in range(K)],
    }


@settings(deadline=None, max_examples=60)
@given(seed=seeds)
def test_it_is_the_definition_pixel_by_pixel(seed: int) -> None:
    masks = made(seed)
    weights = np.random.default_rng(seed).choice([0.0, 1.0, 2.0, 0.5], (3, N))
    ours = segmentation_metrics(confusion_counts(*masks, K), weights)
    for row, of in enumerate(weights):
        for name, value in in_loops(masks, of).items():
            np.testing.assert_allclose(getattr(ours, name)[row], value, err_msg=name, **EXACT)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_scikit_learn(seed: int) -> None:
    stream = np.random.default_rng(seed)
    truth, prediction = stream.integers(0, K, (2, 20, 30))
    truth[stream.random(truth.shape) < 0.2] = IGNORED
    ours = segmentation_metrics(confusion_counts([truth], [prediction], K), np.ones((1, 1)))
    pair = truth[truth != IGNORED], prediction[truth != IGNORED]
    np.testing.assert_allclose(ours.iou[0], reference.jaccard_score(*pair, average=None))
    np.testing.assert_allclose(ours.dice[0], reference.f1_score(*pair, average=None))
    np.testing.assert_allclose(
        ours.frequency_iou[0], reference.jaccard_score(*pair, average="weighted")
    )
    np.testing.assert_allclose(
        ours.mean_class_accuracy[0], reference.balanced_accuracy_score(*pair)
    )


def assert_same(one: SegmentationMetrics, other: SegmentationMetrics) -> None:
    for name in vars(one):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), err_msg=name, **EXACT)


@settings(deadline=None, max_examples=30)
@given(seed=seeds)
def test_weights_are_repeated_pictures_and_their_order_changes_nothing(seed: int) -> None:
    stream = np.random.default_rng(seed)
    counts = confusion_counts(*made(seed), K)
    times = stream.integers(0, 3, N)
    rows = stream.permutation(np.repeat(np.arange(N), times))
    repeated = segmentation_metrics(counts[rows], np.ones((1, len(rows))))
    assert_same(segmentation_metrics(counts, times[None].astype(float)), repeated)


def test_rare_and_absent_classes_by_hand() -> None:
    truth = np.array([[0, 0, 1, IGNORED]], dtype=np.uint8)
    prediction = np.array([[0, 2, 1, 3]], dtype=np.uint8)
    ours = segmentation_metrics(confusion_counts([truth], [prediction], 4), np.ones((1, 1)))
    np.testing.assert_array_equal(ours.iou[0], [1 / 2, 1, 0, 0])
    np.testing.assert_array_equal(ours.occurs[0], [True, True, True, False])
    assert ours.mean_iou[0] == pytest.approx((1 / 2 + 1 + 0) / 3)  # one that is only predicted is 0
    assert ours.mean_class_accuracy[0] == pytest.approx((1 / 2 + 1) / 2)
    assert ours.frequency_iou[0] == pytest.approx((2 * 1 / 2 + 1 * 1) / 3)
    assert ours.pixel_accuracy[0] == pytest.approx(2 / 3)


def test_only_ignored_pixels_are_no_number_and_no_warning() -> None:
    ignored = np.full((2, 3), IGNORED, dtype=np.uint8)
    counts = confusion_counts([ignored], [np.zeros_like(ignored)], K)
    assert not counts.any()
    assert all(np.isnan(value) for value in segmentation_scores(counts).values())
    assert set(segmentation_scores(counts)) == set(SCALARS)
    assert confusion_counts([], [], K).shape == (0, K, K)
    assert np.isnan(segmentation_scores(confusion_counts([], [], K))["mean_iou"])


def test_ignored_pixels_may_be_predicted_as_anything() -> None:
    truth = np.array([[0, IGNORED]], dtype=np.uint8)
    for value in (0, 1, 200, 255):
        prediction = np.array([[0, value]], dtype=np.uint8)
        assert confusion_counts([truth], [prediction], 2).tolist() == [[[1, 0], [0, 0]]]


@pytest.mark.parametrize(
    ("truth", "prediction", "num_classes", "message"),
    [
        ([[0, 2]], [[0, 1]], 2, "a true mask holds 2"),
        ([[0, 1]], [[0, 3]], 2, "a predicted mask holds 3"),
        ([[0, -1]], [[0, 1]], 2, "a true mask holds -1"),
        ([[0, 1]], [[0, IGNORED]], 2, "a predicted mask holds 255"),
        ([[0, 1]], [[0], [1]], 2, "the predicted one"),
        ([[0, 1]], [[0, 1]], 256, "at most 255"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    truth: list, prediction: list, num_classes: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        confusion_counts([np.array(truth)], [np.array(prediction)], num_classes)
