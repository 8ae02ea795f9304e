"""Every kind of error of detections by hand, and what must change nothing."""

import numpy as np
import pytest

from sftcore.metrics.detection import detection_metrics
from sftcore.metrics.detection_errors import (
    BACKGROUND,
    BOTH,
    CLASSIFICATION,
    DUPLICATE,
    IGNORED,
    LOCALISATION,
    MISSED,
    RIGHT,
    detection_errors,
    error_gains,
)
from sftcore.metrics.detection_matching import match_detections
from sftcore.metrics.detection_records import Detections, Truths, plain_truths
from sftcore.metrics.records import joined_numbered
from tests.metrics.detection_cases import made, subset

THERE = (0, 0, 10, 10)
AWAY = (100, 100, 110, 110)
SHIFTED = (0, 0, 10, 30)  # IoU 1/3 with THERE
AT_HALF = (0, 0, 10, 20)  # IoU exactly 1/2
AT_TENTH = (0, 0, 10, 100)  # IoU exactly 1/10
BELOW_TENTH = (0, 0, 10, 101)


def found(*rows: tuple[int, tuple[float, ...], float], picture: int = 0) -> Detections:
    label, box, score = zip(*rows, strict=True)
    where = np.full(len(rows), picture)
    return Detections(where, np.array(label), np.array(box, dtype=float), np.array(score))


def true(*rows: tuple[int, tuple[float, ...]]) -> Truths:
    label, box = zip(*rows, strict=True)
    return plain_truths(np.zeros(len(rows), int), np.array(label), np.array(box, dtype=float))


def kinds(detections: Detections, truths: Truths) -> list[int]:
    """In the order of falling scores."""
    errors = detection_errors(detections, truths, 1, 3)
    return errors.kind[np.argsort(-errors.score)].tolist()


@pytest.mark.parametrize(
    ("label", "box", "kind"),
    [
        (0, SHIFTED, LOCALISATION),
        (0, AT_TENTH, LOCALISATION),
        (0, BELOW_TENTH, BACKGROUND),
        (0, AT_HALF, RIGHT),
        (1, THERE, CLASSIFICATION),
        (1, AT_HALF, CLASSIFICATION),
        (1, SHIFTED, BOTH),
        (1, AT_TENTH, BOTH),
        (1, BELOW_TENTH, BACKGROUND),
        (2, AWAY, BACKGROUND),
    ],
)
def test_one_detection_of_one_truth(label: int, box: tuple[float, ...], kind: int) -> None:
    errors = detection_errors(found((label, box, 0.5)), true((0, THERE)), 1, 3)
    assert errors.kind.tolist() == [kind]
    is_missed = kind in (BOTH, BACKGROUND)
    assert errors.num_missed.tolist() == [[int(is_missed), 0, 0]]
    counts = np.zeros(6, int)
    counts[[kind] * (kind != RIGHT) + [MISSED] * is_missed] = 1
    assert errors.counts.tolist() == [counts.tolist()]
    gains = error_gains(errors, np.ones((1, 1)))
    mends = [LOCALISATION, CLASSIFICATION] if kind in (LOCALISATION, CLASSIFICATION) else []
    for of in range(6):
        if of == MISSED and is_missed:
            assert np.isnan(gains.gain[0, of])  # no truth is left
        else:
            assert gains.gain[0, of] == pytest.approx(float(of == kind and of in mends))
    assert gains.ap50[0] == float(kind == RIGHT)


def test_a_duplicate_is_worth_what_stands_before_a_hit() -> None:
    detections = found((0, THERE, 0.9), (0, AT_HALF, 0.8), (0, AWAY, 0.7))
    truths = true((0, THERE), (0, AWAY))
    assert kinds(detections, truths) == [RIGHT, DUPLICATE, RIGHT]
    gains = error_gains(detection_errors(detections, truths, 1, 1), np.ones((1, 1)))
    before = (51 + 50 * 2 / 3) / 101
    assert gains.ap50[0] == pytest.approx(before)
    np.testing.assert_allclose(gains.gain[0], [0, 0, 1 - before, 0, 0, 0], atol=1e-12)
    assert gains.count[0].tolist() == [0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("label", "box", "kind"), [(0, (50, 50, 60, 60), BACKGROUND), (0, (90, 0, 100, 30), BOTH)]
)
def test_what_is_taken_away_is_worth_what_stands_before_a_hit(
    label: int, box: tuple[float, ...], kind: int
) -> None:
    detections = found((label, box, 0.9), (0, THERE, 0.8), (1, (90, 0, 100, 10), 0.7))
    truths = true((0, THERE), (1, (90, 0, 100, 10)))
    errors = detection_errors(detections, truths, 1, 2)
    gains = error_gains(errors, np.ones((1, 1)))
    assert gains.ap50[0] == pytest.approx((1 / 2 + 1) / 2)
    wanted = [0.25 if of == kind else 0 for of in range(6)]
    np.testing.assert_allclose(gains.gain[0], wanted, atol=1e-12)


def test_a_missed_truth_is_no_longer_asked_for() -> None:
    truths = true((0, THERE), (0, AWAY), (1, (50, 0, 60, 10)))
    errors = detection_errors(found((0, THERE, 0.9)), truths, 1, 2)
    assert errors.num_missed.tolist() == [[1, 1]]
    gains = error_gains(errors, np.ones((1, 1)))
    assert gains.ap50[0] == pytest.approx(51 / 101 / 2)
    assert gains.gain[0, MISSED] == pytest.approx(1 - 51 / 101 / 2)  # the second class leaves
    np.testing.assert_array_equal(gains.gain[0, :MISSED], 0)


def test_the_order_of_the_kinds() -> None:
    # IoU 1/3 with its own truth and 1 with another's: the place first, as in the authors' program.
    both_truths = true((0, THERE), (1, SHIFTED))
    assert kinds(found((0, SHIFTED, 0.9)), both_truths) == [LOCALISATION]
    # A second box at a found truth which is a truth of another class too: the class before.
    same_place = true((0, THERE), (1, THERE))
    assert kinds(found((0, THERE, 0.9), (0, THERE, 0.8)), same_place) == [RIGHT, CLASSIFICATION]


def test_the_surest_error_at_a_truth_is_mended_and_others_are_taken_away() -> None:
    truths = true((0, THERE))
    detections = found((1, THERE, 0.6), (2, THERE, 0.9), (0, SHIFTED, 0.5), (0, AT_TENTH, 0.8))
    errors = detection_errors(detections, truths, 1, 3)
    by_score = np.argsort(-errors.score)
    assert errors.score[by_score].tolist() == [0.9, 0.8, 0.6, 0.5]
    assert errors.mended_label[by_score].tolist() == [0, 0, -1, -1]
    assert errors.num_missed.sum() == 0
    # A truth that is found keeps its detection, however sure the other is.
    taken = detection_errors(found((0, THERE, 0.3), (1, THERE, 0.9)), truths, 1, 2)
    assert taken.kind[np.argsort(-taken.score)].tolist() == [CLASSIFICATION, RIGHT]
    assert taken.mended_label.tolist() == [-1, -1]


def test_what_need_not_be_found_explains_nothing() -> None:
    plain = true((0, THERE), (0, AWAY))
    truths = Truths(**vars(plain) | {"is_ignored": np.array([True, False])})
    rows = (0, THERE, 0.9), (0, SHIFTED, 0.8), (1, THERE, 0.7), (0, THERE, 0.6)
    wanted = [IGNORED, BACKGROUND, BACKGROUND, BACKGROUND]
    errors = detection_errors(found(*rows), truths, 1, 2)
    assert errors.kind[np.argsort(-errors.score)].tolist() == wanted
    assert (errors.num_truths.sum(), errors.num_missed.sum()) == (1, 1)
    crowd = Truths(**vars(plain) | {"is_crowd": np.array([True, False])})
    again = detection_errors(found((0, THERE, 0.9), (0, THERE, 0.8)), crowd, 1, 1)
    assert again.kind.tolist() == [IGNORED, IGNORED]


@pytest.mark.parametrize("seed", range(10))
def test_it_starts_from_the_average_precision_of_the_metrics(seed: int) -> None:
    sets = made(seed, num_pictures=6)
    weights = np.random.default_rng(seed).integers(0, 3, (3, 6)).astype(float)
    ours = error_gains(detection_errors(*sets, 6, 3), weights)
    theirs = detection_metrics(match_detections(*sets, 6, 3), weights)
    np.testing.assert_allclose(ours.ap50, theirs.ap50, atol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_batches_are_joined_and_pictures_permuted(seed: int) -> None:
    sets = made(seed, num_pictures=6, ties=False)
    whole = detection_errors(*sets, 6, 3)
    parts = [
        detection_errors(*subset(*sets, np.array(part)), len(part), 3)
        for part in ([0, 1], [2, 3, 4, 5])
    ]
    together = joined_numbered(parts)
    for name in vars(whole):
        np.testing.assert_array_equal(getattr(whole, name), getattr(together, name), err_msg=name)
    order = np.random.default_rng(seed).permutation(6)
    mixed = detection_errors(*subset(*sets, order), 6, 3)
    np.testing.assert_array_equal(mixed.counts, whole.counts[order])
    one, other = (error_gains(of, np.ones((1, 6))) for of in (whole, mixed))
    np.testing.assert_allclose(one.gain, other.gain, atol=1e-12)


def test_nothing_at_all() -> None:
    nothing = (
        Detections(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0)),
        plain_truths(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4))),
    )
    gains = error_gains(detection_errors(*nothing, 2, 2), np.ones((1, 2)))
    assert np.isnan(gains.ap50).all()
    assert np.isnan(gains.gain).all()
    np.testing.assert_array_equal(gains.count, np.zeros((1, 6)))
