"""Calibration of pixels against the metrics of rows, and histograms bin by bin."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from sftcore.foundations.masks import IGNORED
from sftcore.metrics.binned_calibration import (
    binned_calibration,
    confidence_histograms,
    reliability_curve,
)
from sftcore.metrics.calibration import fit_temperature, reliability_table
from sftcore.metrics.classification import classification_metrics
from sftcore.metrics.pixel_calibration import pixel_calibration, pixel_nll, pixel_sample
from sftcore.metrics.records import joined

K, B = 3, 7


def made(seed: int, num_pictures: int = 4) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Logits and masks of different sizes; the last picture is wholly ignored."""
    stream = np.random.default_rng(seed)
    logits, truths = [], []
    for row in range(num_pictures):
        shape = tuple(stream.integers(2, 7, 2))
        logits.append(2 * stream.normal(size=(K, *shape)).astype(np.float32))
        ignored = stream.random(shape) < (1 if row == num_pictures - 1 else 0.3)
        truths.append(np.where(ignored, IGNORED, stream.integers(0, K, shape)))
    return logits, truths


def pixels(
    logits: list[np.ndarray], truths: list[np.ndarray], times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rows, labels = [], []
    for of, truth, count in zip(logits, truths, times.tolist(), strict=True):
        for y, x in zip(*np.nonzero(truth != IGNORED), strict=True):
            rows += [of[:, y, x]] * count
            labels += [truth[y, x]] * count
    return np.array(rows).reshape(-1, K), np.array(labels, dtype=int)


@pytest.mark.parametrize("seed", range(8))
def test_weighted_pictures_are_repeated_pixels(seed: int) -> None:
    logits, truths = made(seed)
    times = np.random.default_rng(seed).integers(0, 3, (3, 4)) + np.array([1, 0, 0, 0])
    record = pixel_calibration(logits, truths, B)
    ours = binned_calibration(record.histogram, times.astype(float))
    nll = pixel_nll(record, times.astype(float))
    for row, of in enumerate(times):
        scores, labels = pixels(logits, truths, of)
        probability = softmax(scores.astype(float), axis=1)
        theirs = classification_metrics(labels, probability, np.ones((1, len(labels))), B)
        np.testing.assert_allclose(ours.ece[row], theirs.ece[0], atol=1e-12)
        np.testing.assert_allclose(nll[row], theirs.nll[0], atol=1e-12)
        table = reliability_table(labels, probability, B)
        filled = ours.is_filled[row]
        np.testing.assert_allclose(ours.confidence[row][filled], table.confidence)
        np.testing.assert_allclose(ours.frequency[row][filled], table.accuracy)
    assert record.num_pixels.tolist() == [int((truth != IGNORED).sum()) for truth in truths]


def test_the_curve_is_that_of_all_pixels() -> None:
    logits, truths = made(1)
    curve = reliability_curve(pixel_calibration(logits, truths, B).histogram)
    scores, labels = pixels(logits, truths, np.ones(4, dtype=int))
    table = reliability_table(labels, softmax(scores.astype(float), axis=1), B)
    for ours, theirs in (
        ("low", "low"),
        ("high", "high"),
        ("count", "num_pictures"),
        ("confidence", "confidence"),
        ("frequency", "accuracy"),
    ):
        np.testing.assert_allclose(curve[ours], table[theirs], err_msg=ours)


def test_histograms_by_hand() -> None:
    ours = confidence_histograms(
        np.array([0, 0, 2, 2]),
        np.array([0.5, 0.4, 0.9, 1.0]),
        np.array([True, False, True, False]),
        3,
        2,
    )
    np.testing.assert_allclose(ours[0], [[2, 1, 0.9], [0, 0, 0]])
    assert not ours[1].any()
    np.testing.assert_allclose(ours[2], [[0, 0, 0], [2, 1, 1.9]])
    found = binned_calibration(ours, np.array([[1.0, 1, 1], [0, 1, 0], [1, 0, 2]]))
    np.testing.assert_allclose(found.ece, [(0.1 + 0.9) / 4, np.nan, (0.1 + 1.8) / 6])


def test_batches_are_joined() -> None:
    logits, truths = made(2)
    whole = pixel_calibration(logits, truths, B)
    parts = [pixel_calibration(logits[of], truths[of], B) for of in (slice(0, 1), slice(1, 4))]
    for name, values in vars(joined(parts)).items():
        np.testing.assert_array_equal(values, getattr(whole, name))
    with pytest.raises(ValueError, match="at least one"):
        joined([])


def test_no_pixel_is_no_number_and_no_warning() -> None:
    logits, truths = made(3)
    record = pixel_calibration(logits[-1:], truths[-1:], B)
    assert record.nll_sum.tolist() == [0.0]
    assert np.isnan(pixel_nll(record, np.ones((1, 1)))).all()
    assert np.isnan(binned_calibration(record.histogram, np.ones((1, 1))).ece).all()
    assert len(reliability_curve(record.histogram)) == 0
    assert pixel_calibration([], [], B).histogram.shape == (0, B, 3)
    assert pixel_sample(logits[-1], truths[-1], 5, seed=0, row=0)[0].shape == (0, K)


def test_log_probabilities_serve_as_logits_and_small_ones_are_finite() -> None:
    logits, truths = made(4)
    logits[0] = logits[0] * 1000
    record = pixel_calibration(logits, truths, B)
    again = pixel_calibration([log_softmax(of.astype(float), axis=0) for of in logits], truths, B)
    np.testing.assert_allclose(again.nll_sum, record.nll_sum, rtol=1e-12)
    assert record.nll_sum[0] > 745 * record.num_pixels[0] / 4  # no probability is clipped


def test_a_sample_is_of_judged_pixels_and_depends_on_seed_and_row_alone() -> None:
    stream = np.random.default_rng(0)
    truth = np.where(stream.random((20, 30)) < 0.5, IGNORED, stream.integers(0, K, (20, 30)))
    logits = np.arange(600).reshape(20, 30) + 1000.0 * np.arange(K)[:, None, None]
    rows, labels = pixel_sample(logits, truth, 50, seed=1, row=7)
    place = rows[:, 0].astype(int)
    assert (np.diff(place) > 0).all()
    assert len(labels) == 50
    np.testing.assert_array_equal(truth.ravel()[place], labels)
    np.testing.assert_array_equal(rows, place[:, None] + 1000.0 * np.arange(K))
    again, _ = pixel_sample(logits, truth, 50, seed=1, row=7)
    np.testing.assert_array_equal(again, rows)
    for seed, row in ((2, 7), (1, 8)):
        assert pixel_sample(logits, truth, 50, seed=seed, row=row)[0].tolist() != rows.tolist()
    every, _ = pixel_sample(logits, truth, 10_000, seed=1, row=7)
    assert len(every) == (truth != IGNORED).sum()
    drawn = [pixel_sample(logits, truth, 50, seed=1, row=row)[0][:, 0] for row in range(60)]
    assert len(np.unique(np.concatenate(drawn))) == len(every)  # each pixel has a chance


def test_a_temperature_of_pixels_comes_from_the_code_of_pictures() -> None:
    stream = np.random.default_rng(5)
    logits = stream.normal(size=(K, 60, 60)) * 2
    luck = stream.random((60, 60))
    truth = (softmax(logits, axis=0).cumsum(axis=0) < luck).sum(axis=0).clip(max=K - 1)
    rows, labels = pixel_sample(3 * logits, truth, 3000, seed=0, row=0)
    assert fit_temperature(rows, labels) == pytest.approx(3, rel=0.1)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not \[K, H, W\]"):
        pixel_calibration([np.zeros((2, 3, 4))], [np.zeros((4, 3), dtype=int)], B)
    with pytest.raises(ValueError, match="holds 2"):
        pixel_calibration([np.zeros((2, 1, 1))], [np.full((1, 1), 2)], B)
    with pytest.raises(ValueError, match="not a number"):
        pixel_calibration([np.full((2, 1, 1), np.nan)], [np.zeros((1, 1), dtype=int)], B)
