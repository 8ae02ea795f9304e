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
    kind, is_found = match_at_half(kept, truths, num_classes)
    mended, is_missed = np.full(len(kind), -1), ~is_found & ~truths.is_free
    failed, asked = np.flatnonzero(kind == BACKGROUND), np.flatnonzero(~truths.is_free)
    for found, true in shared_groups(kept.picture[failed], truths.picture[asked]):
        rows, targets = failed[found], asked[true]
        kind[rows], chosen = _explained(kept, truths, rows, targets)
        for of_kind in (LOCALISATION, CLASSIFICATION):
            errors = np.flatnonzero(kind[rows] == of_kind)
            errors = errors[np.argsort(-kept.score[rows[errors]], kind="stable")]
            wanted, surest = np.unique(chosen[errors], return_index=True)
            is_missed[wanted] = False
            is_open = ~is_found[wanted]
            mended[rows[errors[surest[is_open]]]] = truths.label[wanted[is_open]]
    size = num_pictures * num_classes
    num_truths, num_missed = (
        np.bincount(keys[1][counted], minlength=size).reshape(num_pictures, num_classes)
        for counted in (~truths.is_free, is_missed)
    )
    score = kept.score.astype(float)
    return DetectionErrors(kept.picture, kept.label, score, kind, mended, num_truths, num_missed)


def match_at_half(
    kept: Detections, truths: Truths, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """What becomes of detections and truths at IoU .5.

    Args:
        kept: of :func:`sftcore.metrics.detection_matching.ranked_detections`.
        truths: of all pictures.
        num_classes: K.

    Returns:
        ``RIGHT``, ``IGNORED`` or, of all that found no truth, background, int8 [D]; and whether
        each truth is found, bool [G].
    """
    keys = [table.picture * num_classes + table.label for table in (kept, truths)]
    kind = np.full(len(kept.score), BACKGROUND, dtype=np.int8)
    is_found = np.zeros(len(truths.area), dtype=bool)
    for found, true in shared_groups(*keys):
        overlaps = box_overlaps(kept.box[found], truths.box[true], truths.is_crowd[true])
        threshold, is_free = np.array([FOREGROUND_OVERLAP]), truths.is_free[true]
        chosen = choose_truths(overlaps, is_free[:, None], truths.is_crowd[true], threshold)
        has, target = chosen[:, 0, 0] >= 0, chosen[:, 0, 0]
        kind[found[has]] = np.where(is_free[target[has]], IGNORED, RIGHT)
        is_found[true[target[has]]] = True
    return kind, is_found


def error_gains(errors: DetectionErrors, weights: np.ndarray) -> ErrorGains:
    """What mending each kind is worth, for every weighting of the pictures.

    Args:
        errors: of the pictures.
        weights: picture counts [W, N], see :mod:`sftcore.metrics.ranked_precision`.
    """
    longest = int(np.bincount(errors.label, minlength=1).max())

    def measured(piece: np.ndarray) -> ErrorGains:
        ap50 = _ap50(errors, None, piece)
        mended = [_ap50(errors, kind, piece) for kind in range(len(KINDS))]
        return ErrorGains(ap50, np.stack(mended, axis=1) - ap50[:, None], piece @ errors.counts)

    return measure_resamples(measured, pieces(weights, longest))


def _explained(
    kept: Detections, truths: Truths, rows: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The kind of each wrong detection of a picture, and the truth that it wanted.

    Args:
        kept: detections of all pictures.
        truths: of all pictures.
        rows: the wrong detections of the picture [E].
        targets: its truths that must be found [F], at least one.

    Returns:
        int [E], and rows of the truths [E], which mean something where the kind is localisation or
        classification.
    """
    no_crowd = np.zeros(len(targets), dtype=bool)
    overlaps = box_overlaps(kept.box[rows], truths.box[targets], no_crowd)
    is_own = kept.label[rows][:, None] == truths.label[targets]
    own, other = np.where(is_own, overlaps, 0.0), np.where(is_own, 0.0, overlaps)
    of_own, of_other = own.max(axis=1), other.max(axis=1)
    conditions = {
        LOCALISATION: (of_own >= BACKGROUND_OVERLAP) & (of_own < FOREGROUND_OVERLAP),
        CLASSIFICATION: of_other >= FOREGROUND_OVERLAP,
        DUPLICATE: of_own >= FOREGROUND_OVERLAP,
        BACKGROUND: np.maximum(of_own, of_other) < BACKGROUND_OVERLAP,
    }
    kind = np.select(list(conditions.values()), list(conditions), BOTH)
    wanted = np.where(kind == LOCALISATION, own.argmax(axis=1), other.argmax(axis=1))
    return kind, targets[wanted]


def _ap50(errors: DetectionErrors, mended: int | None, weights: np.ndarray) -> np.ndarray:
    """AP at IoU .5, mean over classes, with all errors of one kind mended, [W]."""
    is_mended = errors.kind == mended
    is_right = (errors.kind == RIGHT) | (is_mended & (errors.mended_label >= 0))
    label = np.where(is_mended, errors.mended_label, errors.label)
    label = np.where(errors.kind == IGNORED, -1, label)
    num_truths = errors.num_truths - (errors.num_missed if mended == MISSED else 0)
    truths = weights @ num_truths
    columns = []
    for k in range(truths.shape[1]):
        rows = np.flatnonzero(label == k)
        rows = rows[np.argsort(-errors.score[rows], kind="stable")]
        found = average_precision(
            errors.picture[rows], is_right[rows][:, None], truths[:, k], weights
        )
        columns.append(found[:, 0])
    return mean_where(np.stack(columns, axis=1), truths > 0)
