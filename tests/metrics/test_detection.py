"""COCO's metrics against pycocotools, weights against repeated pictures, and by hand."""

import numpy as np
import pytest

from sftcore.metrics.detection import (
    SCALARS,
    DetectionMetrics,
    detection_metrics,
    detection_scores,
)
from sftcore.metrics.detection_matching import (
    IGNORED,
    RIGHT,
    WRONG,
    Matches,
    match_detections,
)
from sftcore.metrics.detection_records import Detections, Truths, box_overlaps, plain_truths
from sftcore.metrics.ranked_precision import average_precision, pieces, precision_at_recalls
from sftcore.metrics.records import joined_numbered
from tests.metrics.detection_cases import apart_within_pictures, coco, made, subset

EXACT = {"rtol": 0, "atol": 1e-9}


def matched(
    sets: tuple[Detections, Truths], num_pictures: int = 4, num_classes: int = 3
) -> Matches:
    return match_detections(*sets, num_pictures, num_classes)


def assert_is_coco(ours: DetectionMetrics, row: int, theirs: object) -> None:
    stats = np.where(theirs.stats == -1, np.nan, theirs.stats)  # type: ignore[attr-defined]
    found = np.array([getattr(ours, name)[row] for name in SCALARS])
    np.testing.assert_allclose(found, stats, **EXACT)
    precision = theirs.eval["precision"][:, :, :, 0, 2]  # type: ignore[attr-defined]
    per_class = precision.mean(axis=(0, 1))
    np.testing.assert_array_equal(ours.occurs[row], per_class > -1)
    defined = ours.occurs[row]
    np.testing.assert_allclose(ours.class_ap[row][defined], per_class[defined], **EXACT)
    half = precision[0].mean(axis=0)
    np.testing.assert_allclose(ours.class_ap50[row][defined], half[defined], **EXACT)
    recall = theirs.eval["recall"][:, :, 0, 2].mean(axis=0)  # type: ignore[attr-defined]
    np.testing.assert_allclose(ours.class_recall[row][defined], recall[defined], **EXACT)


@pytest.mark.parametrize("block", range(10))
def test_it_is_pycocotools(block: int) -> None:
    for seed in range(40 * block, 40 * block + 40):
        sets = made(seed)
        ones = np.ones(4, dtype=int)
        assert_is_coco(detection_metrics(matched(sets), ones[None]), 0, coco(*sets, ones, 3))


def test_it_is_pycocotools_in_a_crowded_picture() -> None:
    sets = made(1, num_pictures=3, num_classes=2, most=120)
    assert np.bincount(sets[0].picture * 2 + sets[0].label).max() > 100
    ours = detection_metrics(matched(sets, 3, 2), np.ones((1, 3)))
    assert_is_coco(ours, 0, coco(*sets, np.ones(3, dtype=int), 2))


@pytest.mark.parametrize("block", range(5))
def test_weights_are_repeated_pictures_to_pycocotools(block: int) -> None:
    for seed in range(1000 + 12 * block, 1012 + 12 * block):
        sets = apart_within_pictures(*made(seed, num_pictures=5), seed)
        counts = np.random.default_rng(seed).integers(0, 4, (3, 5))
        counts[:, 0] += counts.sum(axis=1) == 0
        ours = detection_metrics(matched(sets, 5), counts.astype(float))
        for row, of in enumerate(counts):
            assert_is_coco(ours, row, coco(*sets, of, 3))


def test_ties_in_one_picture_are_not_taken_in_turns() -> None:
    """The documented difference: copies of a right and a wrong box of one score would alternate."""
    box = np.array([[0, 0, 10, 10], [50, 50, 60, 60]])
    sets = (
        Detections(np.zeros(2, int), np.zeros(2, int), box, np.full(2, 0.5)),
        plain_truths(np.zeros(1, int), np.zeros(1, int), box[:1]),
    )
    ours = detection_metrics(matched(sets, 1, 1), np.array([[2.0]]))
    theirs = coco(*sets, np.array([2]), 1)
    assert ours.ap50[0] == pytest.approx(1)
    assert theirs.stats[1] == pytest.approx((51 + 50 * 2 / 3) / 101)


def assert_same(one: DetectionMetrics, other: DetectionMetrics) -> None:
    for name in vars(one):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), err_msg=name, **EXACT)


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_pictures_and_rows_changes_nothing(seed: int) -> None:
    sets = made(seed, ties=False, num_pictures=6)
    stream = np.random.default_rng(seed)
    order = stream.permutation(6)
    weights = stream.integers(0, 3, (4, 6)).astype(float)
    mixed = matched(subset(*sets, order), 6)
    assert_same(
        detection_metrics(matched(sets, 6), weights), detection_metrics(mixed, weights[:, order])
    )


@pytest.mark.parametrize("seed", range(10))
def test_batches_are_joined(seed: int) -> None:
    sets = made(seed, num_pictures=6)
    whole = matched(sets, 6)
    parts = [matched(subset(*sets, np.array(part)), len(part)) for part in ([0, 1], [2], [3, 4, 5])]
    together = joined_numbered(parts)
    for name in vars(whole):
        np.testing.assert_array_equal(getattr(whole, name), getattr(together, name), err_msg=name)
        assert getattr(whole, name).dtype == getattr(together, name).dtype


def test_pieces_of_weightings_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    matches = matched(made(11))
    weights = np.random.default_rng(0).integers(0, 3, (9, 4)).astype(float)
    whole = detection_metrics(matches, weights)
    monkeypatch.setattr("sftcore.metrics.ranked_precision._CHUNK_ELEMENTS", 30)
    assert len(list(pieces(weights, 10))) == 3
    assert_same(detection_metrics(matches, weights), whole)


def test_average_precision_by_hand() -> None:
    picture = np.array([0, 1, 0, 1])
    is_right = np.array([[True], [False], [True], [False]])
    weights = np.array([[1.0, 1.0], [1.0, 2.0], [0.0, 1.0]])
    truths = weights @ [2.0, 2.0]
    # right at precision 1 up to recall 1/4 (26 levels), then at 2/3 up to 1/2 (25 more)
    one = (26 * 1 + 25 * 2 / 3) / 101
    # the second picture twice: truths 6, right at 1 up to 1/6 (17 levels), 2/4 up to 1/3 (17 more)
    two = (17 * 1 + 17 * 1 / 2) / 101
    found = average_precision(picture, is_right, truths, weights)
    np.testing.assert_allclose(found[:, 0], [one, two, 0])
    curve = precision_at_recalls(picture, is_right[:, 0], truths, weights)
    np.testing.assert_allclose(curve.mean(axis=1), [one, two, 0])
    np.testing.assert_allclose(curve[0], [1.0] * 26 + [2 / 3] * 25 + [0.0] * 50)


def test_a_crowd_takes_in_any_number_and_is_no_loss() -> None:
    box = np.array([[0, 0, 100, 100], [200, 0, 210, 10]])
    truths = Truths(
        np.zeros(2, int),
        np.zeros(2, int),
        box,
        np.array([1e4, 100.0]),
        np.array([True, False]),
        np.zeros(2, bool),
    )
    inside = np.array([[0, 0, 9, 9], [50, 50, 60, 60], [95, 95, 105, 105], [200, 0, 210, 10]])
    detections = Detections(
        np.zeros(4, int), np.zeros(4, int), inside, np.array([0.9, 0.8, 0.7, 0.1])
    )
    matches = match_detections(detections, truths, 1, 1)
    # the third lies to a quarter inside of the crowd
    np.testing.assert_array_equal(matches.outcome[:, 0, 0], [IGNORED, IGNORED, WRONG, RIGHT])
    np.testing.assert_array_equal(matches.num_truths[0, 0], [1, 1, 0, 0])


def test_of_equal_overlaps_the_later_truth_is_taken() -> None:
    zero = np.zeros(2, int)
    truths = plain_truths(zero, zero, np.array([[0, 0, 12, 10], [4, 0, 16, 10]]))
    box = np.array([[2, 0, 14, 10], [4, 0, 16, 10]])  # the second is left with the first truth
    sets = Detections(zero, zero, box, np.array([0.9, 0.8])), truths
    matches = matched(sets, 1, 1)
    np.testing.assert_array_equal(matches.outcome[:, 0, 0], [RIGHT, RIGHT])
    assert (matches.outcome[1, 0, 1:5] == WRONG).all()
    ours = detection_metrics(matches, np.ones((1, 1)))
    assert_is_coco(ours, 0, coco(*sets, np.ones(1, dtype=int), 1))


def test_overlaps_are_of_continuous_coordinates() -> None:
    one = np.array([[0, 0, 2, 2]])
    others = np.array([[1, 1, 3, 3], [2, 0, 4, 2], [0, 0, 2, 2], [0, 0, 8, 8], [5, 5, 5, 5]])
    crowd = np.array([False, False, False, True, False])
    np.testing.assert_allclose(box_overlaps(one, others, crowd), [[1 / 7, 0, 1, 1, 0]])
    point = np.array([[1, 1, 1, 1]])
    np.testing.assert_array_equal(box_overlaps(point, others, crowd), np.zeros((1, 5)))


def test_nothing_at_all() -> None:
    nothing = (
        Detections(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0)),
        plain_truths(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4))),
    )
    assert all(np.isnan(value) for value in detection_scores(matched(nothing)).values())
    found, true = made(0)
    missed = detection_scores(matched((nothing[0], true)))
    assert (missed["average_precision"], missed["ar_100"]) == (0, 0)
    assert np.isnan(detection_scores(matched((found, nothing[1])))["average_precision"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": np.array([3])}, "none of 3"),
        ({"picture": np.array([-1])}, "none of 4"),
        ({"score": np.array([np.nan])}, "finite"),
        ({"box": np.array([[0, 0, np.inf, 1]])}, "finite"),
        ({"box": np.array([[2, 0, 1, 1]])}, "before it begins"),
        ({"box": np.zeros((1, 5))}, r"not \[M, 4\]"),
        ({"score": np.zeros(2)}, "length"),
    ],
)
def test_what_cannot_be_matched_is_refused(change: dict, message: str) -> None:
    zero = np.zeros(1, int)
    plain = {"picture": zero, "label": zero, "box": np.array([[0, 0, 1, 1]]), "score": np.ones(1)}
    truths = plain_truths(zero, zero, np.array([[0, 0, 1, 1]]))
    matched((Detections(**plain), truths))
    with pytest.raises(ValueError, match=message):
        matched((Detections(**plain | change), truths))
