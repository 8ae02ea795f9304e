"""Which found boxes are right: COCO's matching of detections to truths, done once for all metrics.

(Lin et al., 2014, Microsoft COCO: common objects in context; pycocotools' ``COCOeval``, version
2.0, which the tests compare with.) In each picture and class the surest detection chooses first,
at most 100 of them. It takes, of the truths that are free and overlap enough, the one that overlaps
most; one that must be found before one that need not. Of equal scores the earlier row chooses
first, of equal overlaps the later truth is taken.

In a range of areas, truths outside of it need not be found, and detections outside of it that found
nothing are neither right nor wrong.
"""

from dataclasses import dataclass

import numpy as np

from sftcore.metrics.detection_records import (
    Detections,
    Truths,
    box_areas,
    box_overlaps,
    check_boxes,
    shared_groups,
)

OVERLAPS = np.linspace(0.5, 0.95, 10)  # T thresholds of IoU
AREAS = ("all", "small", "medium", "large")
AREA_BOUNDS = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]])  # px², inclusive
MAX_DETECTIONS = 100  # of a class in a picture

RIGHT, WRONG, IGNORED = 1, 0, -1


@dataclass(frozen=True)
class Matches:
    """What became of each detection, and how many truths there were.

    Rows are ordered by picture, class and rank. Records of batches are put together by
    :func:`sftcore.metrics.records.joined_numbered`.

    Attributes:
        picture: number of the picture, int64 [D].
        label: class index, int64 [D].
        rank: 0 for the surest of its picture and class, int64 [D].
        score: [D].
        outcome: ``RIGHT``, ``WRONG`` or ``IGNORED``, in each range of :data:`AREAS` and at each
            threshold of :data:`OVERLAPS`, int8 [D, A, T].
        num_truths: that must be found, of each picture, class and range of areas, int64 [N, K, A].
    """

    picture: np.ndarray
    label: np.ndarray
    rank: np.ndarray
    score: np.ndarray
    outcome: np.ndarray
    num_truths: np.ndarray


def match_detections(
    detections: Detections, truths: Truths, num_pictures: int, num_classes: int
) -> Matches:
    """The record of all pictures.

    Args:
        detections: of all pictures.
        truths: of all pictures.
        num_pictures: N.
        num_classes: K.

    Raises:
        ValueError: see :func:`sftcore.metrics.detection_records.check_boxes`.
    """
    check_boxes(detections, truths, num_pictures, num_classes)
    kept, rank = ranked_detections(detections)
    is_free = _outside(truths.area) | truths.is_free[:, None]  # [G, A]
    areas = box_areas(kept.box)
    outcome = np.where(_outside(areas), IGNORED, WRONG).astype(np.int8)
    outcome = np.repeat(outcome[:, :, None], len(OVERLAPS), axis=2)
    keys = [table.picture * num_classes + table.label for table in (kept, truths)]
    for found, true in shared_groups(*keys):
        overlaps = box_overlaps(kept.box[found], truths.box[true], truths.is_crowd[true])
        chosen = choose_truths(overlaps, is_free[true], truths.is_crowd[true], OVERLAPS)
        ranges = np.arange(len(AREAS))[:, None]
        fate = np.where(is_free[true][chosen, ranges], IGNORED, RIGHT)
        outcome[found] = np.where(chosen >= 0, fate, outcome[found])
    size = num_pictures * num_classes
    num_truths = [np.bincount(keys[1][~free], minlength=size) for free in is_free.T]
    return Matches(
        picture=kept.picture,
        label=kept.label,
        rank=rank,
        score=kept.score.astype(float),
        outcome=outcome,
        num_truths=np.stack(num_truths, axis=1).reshape(num_pictures, num_classes, len(AREAS)),
    )


def ranked_detections(detections: Detections) -> tuple[Detections, np.ndarray]:
    """The detections that count, ordered by picture, class and falling score, and their ranks.

    Args:
        detections: in any order; of equal scores the earlier row ranks first.

    Returns:
        At most :data:`MAX_DETECTIONS` of a class in a picture, and int64 [D].
    """
    order = np.lexsort((-detections.score, detections.label, detections.picture))
    picture, label = detections.picture[order], detections.label[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (np.diff(picture) != 0) | (np.diff(label) != 0)
    place = np.arange(len(order))
    rank = place - np.maximum.accumulate(np.where(begins, place, 0))
    kept = order[rank < MAX_DETECTIONS]
    columns = {name: column[kept] for name, column in vars(detections).items()}
    return Detections(**columns), rank[rank < MAX_DETECTIONS]


def choose_truths(
    overlaps: np.ndarray, is_free: np.ndarray, is_crowd: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Which truth each detection of one picture and class takes.

    Args:
        overlaps: of detections by falling score with truths, [D, G].
        is_free: whether the truth need not be found in each range of areas, bool [G, A].
        is_crowd: such a truth can be taken any number of times, bool [G].
        thresholds: least overlaps [T].

    Returns:
        Number of the truth, or −1, int64 [D, A, T].
    """
    num_found, num_true = overlaps.shape
    shape = is_free.shape[1], len(thresholds)
    chosen = np.full((num_found, *shape), -1)
    by_overlap = np.argsort(np.argsort(overlaps, axis=1, kind="stable"), axis=1)
    # Those that must be found come first, then the larger overlap, then the later row.
    preference = by_overlap[:, None] + num_true * ~is_free.T[None]  # [D, A, G]
    is_open = np.ones((*shape, num_true), dtype=bool)
    for row in np.flatnonzero(overlaps.max(axis=1) >= thresholds.min()):
        may_take = is_open & (overlaps[row] >= thresholds[:, None])
        best = np.where(may_take, preference[row][:, None], -1).argmax(axis=2)
        chosen[row] = np.where(may_take.any(axis=2), best, -1)
        taken = (*np.nonzero(chosen[row] >= 0), chosen[row][chosen[row] >= 0])
        is_open[taken] = is_crowd[taken[2]]
    return chosen


def _outside(areas: np.ndarray) -> np.ndarray:
    """Whether areas [M] lie outside of each range, bool [M, A]."""
    return (areas[:, None] < AREA_BOUNDS[:, 0]) | (areas[:, None] > AREA_BOUNDS[:, 1])
