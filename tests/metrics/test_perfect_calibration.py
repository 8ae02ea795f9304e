"""What a calibration error means beside that of a perfectly calibrated model."""

import numpy as np
import pytest

from sftcore.metrics.calibration import (
    PerfectCalibration,
    perfect_calibration,
    squared_calibration_error,
)
from sftcore.metrics.classification import classification_metrics

NUM_BINS, NUM_PICTURES = 15, 131


def drawn(
    stream: np.random.Generator, overconfidence: float, count: int = NUM_PICTURES
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities [N, 5] that claim so much more than is true."""
    truth = stream.uniform(0.3, 0.75, count)
    is_right = stream.random(count) < truth
    claimed = truth + overconfidence
    return np.where(is_right, 0, 1), np.stack([claimed, *[(1 - claimed) / 4] * 4], axis=1)


def ece(labels: np.ndarray, p: np.ndarray) -> float:
    weights = np.ones((1, len(labels)))
    return float(classification_metrics(labels, p, weights, NUM_BINS).ece[0])


def chance_of(
    p: np.ndarray, groups: np.ndarray, seed: int, num_resamples: int = 2000
) -> PerfectCalibration:
    return perfect_calibration(
        p, groups, num_bins=NUM_BINS, num_resamples=num_resamples, confidence=0.95, seed=seed,
        purpose="test",
    )  # fmt: skip


def is_flagged(labels: np.ndarray, p: np.ndarray, groups: np.ndarray, seed: int) -> bool:
    return ece(labels, p) > chance_of(p, groups, seed, 400).high


@pytest.mark.parametrize(("overconfidence", "low", "high"), [(0.0, 0.02, 0.08), (0.2, 0.9, 1.0)])
def test_a_perfect_model_is_rarely_flagged_and_a_bad_one_is(
    overconfidence: float, low: float, high: float
) -> None:
    stream = np.random.default_rng(0)
    alone = np.arange(NUM_PICTURES)
    found = [is_flagged(*drawn(stream, overconfidence), alone, i) for i in range(300)]
    assert low <= np.mean(found) <= high


def test_the_floor_is_far_from_zero_and_the_band_is_a_function_of_the_seed() -> None:
    _, p = drawn(np.random.default_rng(0), 0.0)
    alone = np.arange(NUM_PICTURES)
    first = chance_of(p, alone, 0)
    assert 0.05 < first.mean < first.high
    assert first == chance_of(p, alone, 0)
    assert first != chance_of(p, alone, 1)
    pairs = chance_of(p, alone // 2, 0)
    assert pairs.high > first.high  # half as much evidence


def test_the_debiased_estimate_is_zero_for_a_perfect_model_and_right_for_others() -> None:
    stream = np.random.default_rng(0)
    alone = np.arange(NUM_PICTURES)
    perfect = [squared_calibration_error(*drawn(stream, 0.0), alone, NUM_BINS) for _ in range(400)]
    error = np.std(perfect) / 20
    assert abs(np.mean(perfect)) < 3 * error
    assert error < 0.0005
    biased = [squared_calibration_error(*drawn(stream, 0.2), alone, NUM_BINS) for _ in range(400)]
    assert np.mean(biased) == pytest.approx(0.2**2, abs=0.003)


def test_near_duplicates_are_no_pairs() -> None:
    stream = np.random.default_rng(0)
    groups = np.arange(60).repeat(2)
    found = {"rows": [], "groups": []}  # type: dict[str, list[float]]
    for _ in range(400):
        labels, p = drawn(stream, 0.0, 60)
        labels, p = labels.repeat(2), p.repeat(2, axis=0)
        found["groups"].append(squared_calibration_error(labels, p, groups, NUM_BINS))
        found["rows"].append(squared_calibration_error(labels, p, np.arange(120), NUM_BINS))
    assert abs(np.mean(found["groups"])) < 3 * np.std(found["groups"]) / 20
    assert np.mean(found["rows"]) > 5 * np.std(found["rows"]) / 20


def test_the_squared_error_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    labels = np.array([0, 0, 1, 1])
    r = np.array([0.1, 0.1, -0.9])  # the last bin holds one picture and says nothing
    pairs = 2 * (r[0] * r[1] + r[0] * r[2] + r[1] * r[2]) / 6
    found = squared_calibration_error(labels, p, np.arange(4), 5)
    assert found == pytest.approx(pairs * 3 / 4)
    assert squared_calibration_error(labels[:1], p[:1], np.arange(1), 5) == 0


def test_the_words_say_on_which_side_it_lies() -> None:
    chance = PerfectCalibration(mean=0.103, high=0.15)
    assert chance.words(0.098) == "within what a perfectly calibrated model shows (to 0.150)"
    assert chance.words(0.151).startswith("beyond what")
