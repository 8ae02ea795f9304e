"""Boundary F1 against loops over pairs of pixels, and by hand."""

import math

import numpy as np
import pytest

from sftcore.foundations.masks import IGNORED
from sftcore.metrics.boundary import boundary_counts, boundary_metrics

K = 3


def made(seed: int, num_pictures: int = 4) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Masks of a few rectangles, moved a little; some of one class, some wholly ignored."""
    stream = np.random.default_rng(seed)
    truths, predictions = [], []
    for _ in range(num_pictures):
        height, width = stream.integers(3, 14, 2)
        truth = np.zeros((height, width), dtype=np.uint8)
        for _ in range(stream.integers(0, 4)):
            top, left = stream.integers(0, height), stream.integers(0, width)
            truth[top : top + 5, left : left + 4] = stream.integers(0, K)
        prediction = np.roll(truth, stream.integers(-2, 3, 2), (0, 1))
        prediction[stream.random(truth.shape) < 0.05] = stream.integers(0, K)
        if stream.random() < 0.5:
            top = stream.integers(0, height)
            truth[top : top + stream.integers(1, 9)] = IGNORED
        truths.append(truth)
        predictions.append(prediction)
    return truths, predictions


def boundary_in_loops(mask: np.ndarray, truth: np.ndarray, k: int) -> list[tuple[int, int]]:
    height, width = mask.shape
    pixels = []
    for y in range(height):
        for x in range(width):
            if mask[y, x] != k or truth[y, x] == IGNORED:
                continue
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= v < height and 0 <= u < width
                if inside and truth[v, u] != IGNORED and mask[v, u] != k:
                    pixels.append((y, x))
                    break
    return pixels


def near_in_loops(
    pixels: list[tuple[int, int]], others: list[tuple[int, int]], tolerance: float
) -> int:
    return sum(any(math.dist(one, other) < tolerance for other in others) for one in pixels)


@pytest.mark.parametrize("fraction", [0.0075, 0.12, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(12))
def test_counts_are_those_of_all_pairs_of_pixels(seed: int, fraction: float) -> None:
    masks = made(seed)
    ours = boundary_counts(*masks, K, fraction)
    for row, (truth, prediction) in enumerate(zip(*masks, strict=True)):
        tolerance = fraction * math.hypot(*truth.shape)
        for k in range(K):
            found = boundary_in_loops(prediction, truth, k)
            true = boundary_in_loops(truth, truth, k)
            wanted = [
                len(found),
                near_in_loops(found, true, tolerance),
                len(true),
                near_in_loops(true, found, tolerance),
            ]
            assert ours[row, k].tolist() == wanted


@pytest.mark.parametrize("seed", range(12))
def test_metrics_are_the_definition(seed: int) -> None:
    counts = boundary_counts(*made(seed), K, 0.15)
    weights = np.random.default_rng(seed).choice([0.0, 1.0, 2.0], (3, len(counts)))
    ours = boundary_metrics(counts, weights)

    def f1(of: np.ndarray) -> float | None:
        found, right, true, recalled = of.tolist()
        if not found + true:
            return None
        precision, recall = right / found if found else 0, recalled / true if true else 0
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def mean(values: list[float | None], times: list[float] | None = None) -> float:
        pairs = zip(values, times or [1.0] * len(values), strict=True)
        kept = [(value, weight) for value, weight in pairs if value is not None and weight]
        total = sum(weight for _, weight in kept)
        return sum(v * w for v, w in kept) / total if kept else float("nan")

    pictures = [[f1(of) for of in picture] for picture in counts]
    per_picture = [mean(of) if any(v is not None for v in of) else None for of in pictures]
    for row, of in enumerate(weights):
        pooled = [f1(np.tensordot(of, counts[:, k], 1)) for k in range(K)]
        np.testing.assert_allclose(ours.f1[row], [value or 0 for value in pooled])
        np.testing.assert_array_equal(ours.occurs[row], [value is not None for value in pooled])
        np.testing.assert_allclose(ours.mean_f1[row], mean(pooled))
        np.testing.assert_allclose(ours.picture_f1[row], mean(per_picture, of.tolist()))


@pytest.mark.parametrize("seed", range(6))
def test_weights_are_repeated_pictures_and_their_order_changes_nothing(seed: int) -> None:
    stream = np.random.default_rng(seed)
    counts = boundary_counts(*made(seed), K, 0.1)
    times = stream.integers(0, 3, len(counts))
    rows = stream.permutation(np.repeat(np.arange(len(counts)), times))
    one = boundary_metrics(counts, times[None].astype(float))
    other = boundary_metrics(counts[rows], np.ones((1, len(rows))))
    for name in vars(one):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), err_msg=name)


def test_a_shifted_edge_by_hand() -> None:
    truth, prediction = np.zeros((2, 10, 10), dtype=np.uint8)
    truth[:, 5:], prediction[:, 7:] = 1, 1
    diagonal = math.hypot(10, 10)
    near = boundary_counts([truth], [prediction], 2, 2.001 / diagonal)
    assert near[0].tolist() == [[10, 10, 10, 10]] * 2
    far = boundary_counts([truth], [prediction], 2, 1.999 / diagonal)
    assert far[0].tolist() == [[10, 0, 10, 0]] * 2
    assert boundary_metrics(near, np.ones((1, 1))).mean_f1[0] == 1
    assert boundary_metrics(far, np.ones((1, 1))).picture_f1[0] == 0


def test_the_tolerance_itself_is_too_far() -> None:
    truth, prediction = np.zeros((2, 30, 40), dtype=np.uint8)  # diagonal 50
    truth[:, 20:], prediction[:, 25:] = 1, 1
    assert boundary_counts([truth], [prediction], 2, 0.1)[0, 1].tolist() == [30, 0, 30, 0]


def test_neither_the_edge_of_the_picture_nor_of_ignored_pixels_is_a_boundary() -> None:
    prediction = np.zeros((6, 6), dtype=np.uint8)
    truth = prediction.copy()
    truth[2:4] = IGNORED
    prediction[2:4] = 1
    counts = boundary_counts([truth], [prediction], 2)
    assert not counts.any()
    found = boundary_metrics(counts, np.ones((1, 1)))
    assert np.isnan([found.mean_f1[0], found.picture_f1[0]]).all()


def test_a_boundary_in_one_mask_alone_is_zero() -> None:
    flat, cut = np.zeros((2, 6, 6), dtype=np.uint8)
    cut[:, 3:] = 1
    for pair in ((flat, cut), (cut, flat)):
        found = boundary_metrics(boundary_counts([pair[0]], [pair[1]], 2), np.ones((1, 1)))
        assert (found.mean_f1[0], found.picture_f1[0]) == (0, 0)
        assert found.occurs[0].all()


def test_pictures_without_boundary_are_left_out() -> None:
    flat, cut = np.zeros((2, 6, 6), dtype=np.uint8)
    cut[:, 3:] = 1
    counts = boundary_counts([flat, cut], [flat, cut], 2)
    found = boundary_metrics(counts, np.array([[1.0, 1.0], [5.0, 1.0], [1.0, 0.0]]))
    np.testing.assert_array_equal(found.picture_f1, [1, 1, np.nan])


@pytest.mark.parametrize("fraction", [0.0, -1.0, float("nan")])
def test_a_tolerance_that_finds_nothing_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        boundary_counts([], [], 2, fraction)
