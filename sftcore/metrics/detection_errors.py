"""Why detections are wrong, and what mending each kind of error would be worth in AP50.

(Bolya et al., 2020, TIDE: a general toolbox for identifying object detection errors, ECCV, sections
2.2 and 2.3.) With an IoU of .5 a truth is met, and below .1 a detection lies on background. A
detection that found no truth of its class is the first of these that holds, in the order of the
authors' program; own truths are those of its class in the picture, that must be found:

- *localisation*: its largest IoU with an own truth is at least .1 and below .5;
- *classification*: IoU of at least .5 with a truth of another class;
- *duplicate*: IoU of at least .5 with an own truth, which a surer detection has found;
- *background*: IoU below .1 with every truth;
- *both*: what is left, an IoU of at least .1 and below .5 with a truth of another class.

A truth that was not found is *missed*, unless it is the truth that a localisation or classification
error overlaps most.

**Mending.** Each kind is mended alone. A localisation or classification error becomes right (in the
class of the truth), where its truth was not found otherwise and it is the surest error of this kind
there, and else it is taken away, as are the errors of the other kinds; missed truths are no longer
asked for. A class whose truths were all missed then leaves the mean. Gains do not add up to 1 − AP,
and a gain can be below 0 by the 101 levels of recall; the authors' program shows 0 there, and lets
errors of both kinds compete for one truth.
"""

from dataclasses import dataclass

import numpy as np

from sftcore.metrics.detection_matching import choose_truths, ranked_detections
from sftcore.metrics.detection_records import (
    Detections,
    Truths,
    box_overlaps,
    check_boxes,
    shared_groups,
)
from sftcore.metrics.ranked_precision import average_precision, pieces
from sftcore.metrics.weighted import mean_where, measure_resamples

KINDS = ("localisation", "classification", "duplicate", "background", "both", "missed")
LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND, BOTH, MISSED = range(len(KINDS))
RIGHT, IGNORED = -1, -2

FOREGROUND_OVERLAP = 0.5
BACKGROUND_OVERLAP = 0.1


@dataclass(frozen=True)
class DetectionErrors:
    """What is wrong with each detection, and how many truths there are.

    Rows are ordered by picture, class and rank.

    Attributes:
        picture: number of the picture, int64 [D].
        label: class index, int64 [D].
        score: [D].
        kind: index in :data:`KINDS`, ``RIGHT`` or ``IGNORED``, int8 [D].
        mended_label: the class in which the detection is right once its error is mended, or −1
            where it is then taken away or has no error, int64 [D].
        num_truths: that must be found, of each picture and class, int64 [N, K].
        num_missed: those of them that are missed, int64 [N, K].
    """

    picture: np.ndarray
    label: np.ndarray
    score: np.ndarray
    kind: np.ndarray
    mended_label: np.ndarray
    num_truths: np.ndarray
    num_missed: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Errors of each picture and kind, int64 [N, 6], in the order of :data:`KINDS`."""
        num_pictures, num_kinds = len(self.num_truths), len(KINDS)
        is_error = self.kind >= 0
        place = self.picture[is_error] * num_kinds + self.kind[is_error]
        found = np.bincount(place, minlength=num_pictures * num_kinds)
        found = found.reshape(num_pictures, num_kinds)
        found[:, MISSED] = self.num_missed.sum(axis=1)
        return found


@dataclass(frozen=True)
class ErrorGains:
    """Values per weighting.

    Attributes:
        ap50: as it is, mean over the classes with a truth, [W]; NaN without any.
        gain: by how much AP50 grows where a kind is mended, dAP, [W, 6], in the order of
            :data:`KINDS`; NaN where no truth is left.
        count: number of errors of each kind, [W, 6].
    """

    ap50: np.ndarray
    gain: np.ndarray
    count: np.ndarray


def detection_errors(
    detections: Detections, truths: Truths, num_pictures: int, num_classes: int
) -> DetectionErrors:
    """The record of all pictures, with the matching of COCO at IoU .5.

    Args:
        detections: of all pictures.
        truths: of all pictures. Those that need not be found explain no error.
        num_pictures: N.
        num_classes: K.

    Raises:
        ValueError: see :func:`sftcore.metrics.detection_records.check_boxes`.
    """
    check_boxes(detections, truths, num_pictures, num_classes)
    kept, _ = ranked_detections(detections)
    keys = [table.picture * num_classes + table.label for table in (kept, truths)]
    kind, is_found = _matched(kept, truths, keys)
    mended = np.full(len(kind), -1)
    is_missed = ~is_found & ~truths.is_free
    asked = np.flatnonzero(~truths.is_free)
    failed = np.flatnonzero(kind == BACKGROUND)
    for found, true in shared_groups(kept.picture[failed], truths.picture[asked]):
        rows, targets = failed[found], asked[true]
        none = np.zeros(len(targets), dtype=bool)
        overlaps = box_overlaps(kept.box[rows], truths.box[targets], none)
        is_own = kept.label[rows][:, None] == truths.label[targets]
        kind[rows], chosen = _explained(overlaps, is_own)
        for of in (LOCALISATION, CLASSIFICATION):
            these = np.flatnonzero(kind[rows] == of)
            these = these[np.argsort(-kept.score[rows[these]], kind="stable")]
            wanted, first = np.unique(targets[chosen[these]], return_index=True)
            is_missed[wanted] = False
            open_ = ~is_found[wanted]
            mended[rows[these[first[open_]]]] = truths.label[wanted[open_]]
    size = (num_pictures, num_classes)
    num = [
        np.bincount(keys[1][rows], minlength=num_pictures * num_classes).reshape(size)
        for rows in (~truths.is_free, is_missed)
    ]
    return DetectionErrors(
        kept.picture, kept.label, kept.score.astype(float), kind, mended, num[0], num[1]
    )
