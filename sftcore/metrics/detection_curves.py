"""Detections by score at IoU .5: precision over recall, F1 at a threshold, calibration.

From the record of :mod:`sftcore.metrics.detection_matching`, under weights [W, N] of its pictures.
A detection that is dropped by a threshold has no say in what surer ones find, so one matching
serves all thresholds. Ignored detections count nowhere.
"""

from dataclasses import dataclass

import numpy as np

from sftcore.metrics.binned_calibration import confidence_histograms
from sftcore.metrics.detection import ranked_by_class
from sftcore.metrics.detection_matching import IGNORED, RIGHT, Matches
from sftcore.metrics.ranked_precision import pieces, precision_at_recalls
from sftcore.metrics.weighted import measure_resamples, ratio

NEUTRAL = 0.5  # the threshold of what has no truth to choose one by


@dataclass(frozen=True)
class PrecisionCurves:
    """Values per weighting.

    Attributes:
        precision: the greatest at this recall or beyond, at the 101 levels of
            :data:`sftcore.metrics.ranked_precision.RECALLS`, [W, K, 101]; its mean is AP50.
        occurs: whether the class has a truth, so that its curve means something, [W, K].
    """

    precision: np.ndarray
    occurs: np.ndarray


@dataclass(frozen=True)
class ThresholdMetrics:
    """Values per weighting, at S sets of thresholds.

    Attributes:
        precision: [W, S, K]; 0 where nothing is found.
        recall: [W, S, K]; 0 where the class has no truth.
        f1: [W, S, K]; 0 where both are 0.
        micro_precision: of the detections of all classes together, [W, S].
        micro_recall: [W, S].
        micro_f1: [W, S]; 0 where nothing is found nor true.
        macro_f1: mean F1 over the classes with a truth, [W, S]; NaN where none has.
        occurs: whether the class has a truth, [W, K].
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    micro_precision: np.ndarray
    micro_recall: np.ndarray
    micro_f1: np.ndarray
    macro_f1: np.ndarray
    occurs: np.ndarray


def precision_curves(matches: Matches, weights: np.ndarray) -> PrecisionCurves:
    """Precision over recall of each class, for every weighting of the pictures.

    Args:
        matches: of the pictures.
        weights: picture counts [W, N], see :mod:`sftcore.metrics.ranked_precision`.
    """
    rows = _counted_by_class(matches)

    def measured(piece: np.ndarray) -> PrecisionCurves:
        truths = piece @ matches.num_truths[:, :, 0]
        curves = [
            precision_at_recalls(matches.picture[of], _is_right(matches)[of], truths[:, k], piece)
            for k, of in enumerate(rows)
        ]
        return PrecisionCurves(np.stack(curves, axis=1), truths > 0)

    return measure_resamples(measured, pieces(weights, _longest(rows)))


def threshold_metrics(
    matches: Matches, weights: np.ndarray, thresholds: np.ndarray
) -> ThresholdMetrics:
    """Precision, recall and F1 of the detections with at least these scores.

    Args:
        matches: of the pictures.
        weights: picture counts [W, N].
        thresholds: S sets, [S, K] for one of each class or [S, 1] for one of all classes.
    """
    rows = _counted_by_class(matches)
    num_classes = matches.num_truths.shape[1]
    least = np.broadcast_to(thresholds, (len(thresholds), num_classes))

    def measured(piece: np.ndarray) -> ThresholdMetrics:
        found = [
            _counts_from(matches, of, piece, least[:, k]) for k, of in enumerate(rows)
        ]  # of each class, hits and all, [2, W, S]
        hits, claimed = np.stack(found, axis=-1)
        return _rates(hits, claimed, piece @ matches.num_truths[:, :, 0].astype(float))

    return measure_resamples(measured, pieces(weights, _longest(rows)))


def choose_thresholds(matches: Matches) -> np.ndarray:
    """The score threshold of each class with the greatest F1, on validation.

    Tried are .5 and the middles between neighbouring scores, of which the least has 0 below it. Of
    equals the nearest to .5 is taken, of two that are as near the lower one. A class without truths
    gets .5. As with labels (:mod:`sftcore.metrics.multilabel_thresholds`), few truths give a
    threshold that fits those few, and the pictures that chose it cannot judge it.

    Args:
        matches: of the validation pictures, with scores in [0, 1].

    Returns:
        float64 [K]; a detection counts from its class's threshold on.
    """
    truths = matches.num_truths[:, :, 0].sum(axis=0)
    return np.array(
        [_best(matches, of, int(truths[k])) for k, of in enumerate(_counted_by_class(matches))]
    )


def choose_shared_threshold(matches: Matches) -> float:
    """One score threshold for all classes, with the greatest micro F1; see above.

    Args:
        matches: of the validation pictures, with scores in [0, 1].
    """
    counted = np.concatenate(_counted_by_class(matches))
    return _best(matches, counted, int(matches.num_truths[:, :, 0].sum()))


def detection_histograms(matches: Matches, num_bins: int) -> np.ndarray:
    """How often detections are right at IoU .5 by their scores, of each picture.

    :func:`sftcore.metrics.binned_calibration.binned_calibration` makes the detection calibration
    error of them, ``Σ_b |D_b|/|D| · |precision(D_b) − confidence(D_b)|`` (D-ECE by confidence
    alone: Küppers et al., 2020, Multivariate confidence calibration for object detection). All
    detections of the record count, so the least score that a detector gives out moves the error:
    many sure nothings make it small.

    Args:
        matches: of the pictures, with scores in [0, 1].
        num_bins: B, of equal width.

    Returns:
        float64 [N, B, 3]: count, number right, sum of the scores.
    """
    counted = matches.outcome[:, 0, 0] != IGNORED
    return confidence_histograms(
        matches.picture[counted],
        matches.score[counted],
        _is_right(matches)[counted],
        len(matches.num_truths),
        num_bins,
    )


def _is_right(matches: Matches) -> np.ndarray:
    return matches.outcome[:, 0, 0] == RIGHT


def _counted_by_class(matches: Matches) -> list[np.ndarray]:
    """The rows of each class that are not ignored, by falling score."""
    counted = matches.outcome[:, 0, 0] != IGNORED
    return [rows[counted[rows]] for rows in ranked_by_class(matches)]


def _longest(rows: list[np.ndarray]) -> int:
    return max((len(of_class) for of_class in rows), default=0)


def _counts_from(
    matches: Matches, rows: np.ndarray, weights: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Weights of the right and of all detections from each threshold on, [2, W, S]."""
    last = np.searchsorted(-matches.score[rows], -thresholds, side="right")
    ranked = weights[:, matches.picture[rows]].astype(float)
    sums = []
    for values in (ranked * _is_right(matches)[rows], ranked):
        from_none = np.zeros((len(weights), 1))
        sums.append(np.append(from_none, np.cumsum(values, axis=1), axis=1)[:, last])
    return np.stack(sums)


def _rates(hits: np.ndarray, claimed: np.ndarray, truths: np.ndarray) -> ThresholdMetrics:
    """Of counts [W, S, K] and [W, K]."""
    support = np.broadcast_to(truths[:, None], hits.shape)
    f1, occurs = ratio(2 * hits, claimed + support), truths > 0
    of_all = [counts.sum(axis=2) for counts in (hits, claimed, support)]
    counted = np.where(occurs[:, None], f1, 0.0).sum(axis=2)
    num_occurring = np.broadcast_to(occurs.sum(axis=1)[:, None], counted.shape)
    return ThresholdMetrics(
        precision=ratio(hits, claimed),
        recall=ratio(hits, support),
        f1=f1,
        micro_precision=ratio(of_all[0], of_all[1]),
        micro_recall=ratio(of_all[0], of_all[2]),
        micro_f1=ratio(2 * of_all[0], of_all[1] + of_all[2]),
        macro_f1=np.divide(
            counted, num_occurring, out=np.full(counted.shape, np.nan), where=num_occurring > 0
        ),
        occurs=occurs,
    )


def _best(matches: Matches, rows: np.ndarray, num_truths: int) -> float:
    if not num_truths or not len(rows):
        return NEUTRAL
    values, place = np.unique(matches.score[rows], return_inverse=True)
    below = np.concatenate([[0.0], values[:-1]])
    middles = below + (values - below) / 2
    cuts = np.where(middles > below, middles, values)  # no number lies between the nearest two
    hits, claimed = (
        np.append(np.cumsum(np.bincount(place, counts)[::-1])[::-1], 0)
        for counts in (_is_right(matches)[rows], np.ones(len(rows)))
    )  # from each value on, and at last of none
    f1 = 2 * hits / (claimed + num_truths)
    tried = np.append(cuts, NEUTRAL)
    reached = np.append(f1[:-1], f1[np.searchsorted(values, NEUTRAL)])
    best = np.sort(tried[reached == reached.max()])
    return float(best[np.abs(best - NEUTRAL).argmin()])
