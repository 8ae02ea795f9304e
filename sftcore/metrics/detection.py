"""COCO's metrics of object detection, for many weightings of the pictures at once.

All come from the record of :mod:`sftcore.metrics.detection_matching`, which is made once; weights
[W, N] over its pictures give one value per weighting, so that one bootstrap serves all metrics.
Unit weights give the numbers of pycocotools, whose −1 for what does not exist is NaN here.

**A percentile bootstrap of average precision is biased upwards**: pictures that are drawn twice are
ranked beside themselves, and the greatest precision from a recall on profits of every lucky draw.
The metric of the sample itself lies below the middle of its interval. More pictures make this bias
smaller, and the interval too.
"""

from dataclasses import dataclass

import numpy as np

from sftcore.metrics.detection_matching import AREAS, IGNORED, OVERLAPS, RIGHT, Matches
from sftcore.metrics.ranked_precision import average_precision, pieces
from sftcore.metrics.weighted import mean_where, measure_resamples, ratio

# What a bootstrap gives an interval to.
SCALARS = (
    "average_precision",
    "ap50",
    "ap75",
    "ap_small",
    "ap_medium",
    "ap_large",
    "ar_1",
    "ar_10",
    "ar_100",
    "ar_small",
    "ar_medium",
    "ar_large",
)

_AT_75 = int(np.flatnonzero(np.isclose(OVERLAPS, 0.75))[0])
# Range of areas and number of detections of a class in a picture, for each average recall.
_RECALLED = {
    "ar_1": (0, 1),
    "ar_10": (0, 10),
    "ar_100": (0, 100),
    "ar_small": (1, 100),
    "ar_medium": (2, 100),
    "ar_large": (3, 100),
}


@dataclass(frozen=True)
class DetectionMetrics:
    """Values per weighting; means are over the classes with a truth, NaN where there is none.

    Attributes:
        average_precision: mean AP over the IoU thresholds .50:.05:.95, [W].
        ap50: at IoU .5, [W].
        ap75: at IoU .75, [W].
        ap_small: of truths up to 32² px², like the first, [W].
        ap_medium: from 32² to 96² px², [W].
        ap_large: from 96² px² on, [W].
        ar_1: recall with one detection of a class in a picture, mean over the thresholds, [W].
        ar_10: with ten, [W].
        ar_100: with a hundred, [W].
        ar_small: of small truths, with a hundred, [W].
        ar_medium: of medium truths, [W].
        ar_large: of large truths, [W].
        class_ap: like the first, [W, K]; 0 where the class has no truth.
        class_ap50: at IoU .5, [W, K]; 0 where the class has no truth.
        class_recall: like ``ar_100``, [W, K]; 0 where the class has no truth.
        occurs: whether the class has a truth that must be found, [W, K].
    """

    average_precision: np.ndarray
    ap50: np.ndarray
    ap75: np.ndarray
    ap_small: np.ndarray
    ap_medium: np.ndarray
    ap_large: np.ndarray
    ar_1: np.ndarray
    ar_10: np.ndarray
    ar_100: np.ndarray
    ar_small: np.ndarray
    ar_medium: np.ndarray
    ar_large: np.ndarray
    class_ap: np.ndarray
    class_ap50: np.ndarray
    class_recall: np.ndarray
    occurs: np.ndarray


def detection_metrics(matches: Matches, weights: np.ndarray) -> DetectionMetrics:
    """Every metric for every weighting of the pictures.

    Args:
        matches: of the pictures. Of equal scores in different pictures the earlier picture ranks
            first, as in pycocotools; the order of the pictures changes nothing else.
        weights: picture counts [W, N], see :mod:`sftcore.metrics.ranked_precision`.
    """
    rows = ranked_by_class(matches)
    longest = max((len(of_class) for of_class in rows), default=0)
    return measure_resamples(
        lambda piece: _measured(matches, rows, piece), pieces(weights, longest)
    )


def detection_scores(matches: Matches) -> dict[str, float]:
    """The numbers that trainings are compared by, of one set of pictures.

    Args:
        matches: of the pictures.

    Returns:
        :data:`SCALARS`; NaN where there is no truth of that size.
    """
    found = detection_metrics(matches, np.ones((1, len(matches.num_truths))))
    return {name: float(getattr(found, name)[0]) for name in SCALARS}


def ranked_by_class(matches: Matches) -> list[np.ndarray]:
    """The rows of each class by falling score; of equals the earlier row first."""
    rows = [np.flatnonzero(matches.label == k) for k in range(matches.num_truths.shape[1])]
    return [of_class[np.argsort(-matches.score[of_class], kind="stable")] for of_class in rows]


def _measured(matches: Matches, rows: list[np.ndarray], weights: np.ndarray) -> DetectionMetrics:
    num_pictures, num_classes, num_areas = matches.num_truths.shape
    flat = weights @ matches.num_truths.reshape(num_pictures, num_classes * num_areas)
    truths = flat.reshape(-1, num_classes, num_areas)
    occurs = truths > 0
    precision = np.zeros((*truths.shape, len(OVERLAPS)))  # [W, K, A, T]
    for k, of_class in enumerate(rows):
        for a in range(num_areas):
            outcome = matches.outcome[of_class, a]
            precision[:, k, a] = _class_precision(
                matches.picture[of_class], outcome, truths[:, k, a], weights
            )
    recall = {name: _recall(matches, truths, weights, *of) for name, of in _RECALLED.items()}
    over_overlaps = precision.mean(axis=3)
    means = {
        f"ap_{name}": mean_where(over_overlaps[:, :, a], occurs[:, :, a])
        for a, name in enumerate(AREAS)
    }
    return DetectionMetrics(
        average_precision=means.pop("ap_all"),
        ap50=mean_where(precision[:, :, 0, 0], occurs[:, :, 0]),
        ap75=mean_where(precision[:, :, 0, _AT_75], occurs[:, :, 0]),
        **means,
        **{
            name: mean_where(recall[name], occurs[:, :, area])
            for name, (area, _) in _RECALLED.items()
        },
        class_ap=over_overlaps[:, :, 0],
        class_ap50=precision[:, :, 0, 0],
        class_recall=recall["ar_100"],
        occurs=occurs[:, :, 0],
    )


def _class_precision(
    picture: np.ndarray, outcome: np.ndarray, num_truths: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Average precision at each threshold [W, T], of the ranked outcomes [D, T] of a class."""
    counts = outcome != IGNORED
    precision = np.zeros((len(weights), outcome.shape[1]))
    # Neighbouring thresholds at which the same detections count share the sums over them.
    changes = np.flatnonzero((counts[:, 1:] != counts[:, :-1]).any(axis=0)) + 1
    for steps in np.split(np.arange(outcome.shape[1]), changes):
        is_counted = counts[:, steps[0]]
        is_right = outcome[is_counted][:, steps] == RIGHT
        precision[:, steps] = average_precision(picture[is_counted], is_right, num_truths, weights)
    return precision


def _recall(
    matches: Matches, truths: np.ndarray, weights: np.ndarray, area: int, max_rank: int
) -> np.ndarray:
    """Mean recall over the thresholds, with so many detections of a class in a picture, [W, K]."""
    num_pictures, num_classes, _ = matches.num_truths.shape
    num_right = ((matches.outcome[:, area] == RIGHT) & (matches.rank < max_rank)[:, None]).sum(1)
    place = matches.picture * num_classes + matches.label
    hits = np.bincount(place, num_right, num_pictures * num_classes)
    found = weights @ hits.reshape(num_pictures, num_classes)
    return ratio(found, len(OVERLAPS) * truths[:, :, area])
