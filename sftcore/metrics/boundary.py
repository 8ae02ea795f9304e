"""Boundary F1: whether contours lie where they should, for many weightings of the pictures.

(Csurka, Larlus and Perronnin, 2013, What is a good evaluation measure for semantic segmentation?,
BMVC, section 3.2.) A boundary pixel of a class in one mask is right if the other mask has a
boundary pixel of that class nearer than the tolerance, in Euclidean distance of pixel centres.

**What a boundary is.** A pixel of the class with at least one of its four neighbours in another
class. The edge of the picture is no boundary: nothing is known of what lies beyond. Neither is the
rim of ignored pixels: an ignored neighbour is of no class, an ignored pixel is no boundary pixel,
and the prediction has no boundary there either. So truths whose contours are all ignored, as those
of PASCAL VOC with their void border, have no boundary to judge by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects

from sftcore.foundations.masks import IGNORED
from sftcore.metrics.segmentation import judged
from sftcore.metrics.weighted import mean_where, ratio

TOLERANCE_FRACTION = 0.0075  # of the diagonal, as in the paper

# Columns of a record.
_FOUND, _FOUND_RIGHT, _TRUE, _TRUE_FOUND = range(4)


@dataclass(frozen=True)
class BoundaryMetrics:
    """Values per weighting.

    Attributes:
        mean_f1: over the classes that have a boundary in truth or prediction, of the boundaries of
            all pictures together, [W]; NaN where none has.
        picture_f1: the paper's: the mean over pictures of the mean over the classes that have a
            boundary in this picture, [W]; pictures without any are left out, NaN without others.
        precision: part of the predicted boundary that is near the true one, [W, K]; 0 without one.
        recall: part of the true boundary that is near the predicted one, [W, K]; 0 without one.
        f1: [W, K]; 0 where both are 0.
        occurs: whether the class has a boundary in truth or prediction, [W, K].
    """

    mean_f1: np.ndarray
    picture_f1: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    occurs: np.ndarray


def boundary_counts(
    truths: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    num_classes: int,
    tolerance_fraction: float = TOLERANCE_FRACTION,
) -> np.ndarray:
    """The record of each picture: numbers of boundary pixels of each class.

    Args:
        truths: a mask [H, W] of class indices for each picture; 255 is ignored.
        predictions: masks of the same shapes.
        num_classes: K.
        tolerance_fraction: of the picture's diagonal ``√(H² + W²)``; distances below it are right.

    Returns:
        int64 [N, K, 4]: predicted boundary pixels, those of them near the true boundary, true
        boundary pixels, those of them near the predicted boundary.

    Raises:
        ValueError: shapes differ, a class is none of K, or the tolerance is not above 0.
    """
    if not tolerance_fraction > 0:
        raise ValueError(f"a tolerance of {tolerance_fraction} finds nothing: take one above 0")
    counts = np.zeros((len(truths), num_classes, 4), dtype=np.int64)
    for row, (truth, prediction) in enumerate(zip(truths, predictions, strict=True)):
        tolerance = tolerance_fraction * float(np.hypot(*truth.shape))
        present = np.unique(judged(truth, prediction, num_classes))
        is_known = truth != IGNORED
        edges = _has_other_neighbour(truth, is_known), _has_other_neighbour(prediction, is_known)
        for k in present:
            found, true = (prediction == k) & edges[1], (truth == k) & edges[0]
            counts[row, k, :2] = found.sum(), _num_near(found, true, tolerance)
            counts[row, k, 2:] = true.sum(), _num_near(true, found, tolerance)
    return counts


def boundary_metrics(counts: np.ndarray, weights: np.ndarray) -> BoundaryMetrics:
    """Every metric for every weighting of the pictures.

    Args:
        counts: of each picture [N, K, 4], see :func:`boundary_counts`.
        weights: picture counts [W, N].
    """
    sums = np.einsum("wn,nkc->wkc", weights, counts.astype(float))
    precision, recall, f1, occurs = _rates(sums)
    *_, of_picture, has_boundary = _rates(counts.astype(float))
    counted = has_boundary.any(axis=1)
    per_picture = np.where(counted, mean_where(of_picture, has_boundary), 0.0)
    total = weights @ counted.astype(float)
    nothing = np.full(len(weights), np.nan)
    return BoundaryMetrics(
        mean_f1=mean_where(f1, occurs),
        picture_f1=np.divide(weights @ per_picture, total, out=nothing, where=total > 0),
        precision=precision,
        recall=recall,
        f1=f1,
        occurs=occurs,
    )


def _rates(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall, F1 and whether there is a boundary, of counts [..., 4]."""
    precision = ratio(counts[..., _FOUND_RIGHT], counts[..., _FOUND])
    recall = ratio(counts[..., _TRUE_FOUND], counts[..., _TRUE])
    f1 = ratio(2 * precision * recall, precision + recall)
    return precision, recall, f1, counts[..., _FOUND] + counts[..., _TRUE] > 0


def _has_other_neighbour(mask: np.ndarray, is_known: np.ndarray) -> np.ndarray:
    """Whether a known pixel has a known neighbour, of four, in another class, bool [H, W]."""
    differs = np.zeros(mask.shape, dtype=bool)
    for one, other in (
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        step = (mask[one] != mask[other]) & is_known[one] & is_known[other]
        differs[one] |= step
        differs[other] |= step
    return differs


def _num_near(pixels: np.ndarray, others: np.ndarray, tolerance: float) -> int:
    if not pixels.any() or not others.any():
        return 0
    (place,) = find_objects((pixels | others).astype(np.uint8))  # distances elsewhere are not asked
    distance = distance_transform_edt(~others[place])[pixels[place]]
    return int((distance < tolerance).sum())
