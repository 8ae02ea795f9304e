"""Metrics of semantic segmentation from confusion counts, for many weightings of the pictures.

A picture is kept as the counts of its pixels, [K, K] of true × predicted class. As in
:mod:`sftcore.metrics.classification`, weights [W, N] give one value per weighting, so that one
bootstrap serves all metrics. Pixels of one picture go together, so a resample draws pictures.

**Which classes count.** IoU and Dice are computed over the pixels of all pictures together, and
their means are over the classes that occur in truth or prediction; a class that occurs in neither
is left out, and one that is only predicted counts as 0. This is the ``nanmean`` of the evaluation
of fully convolutional networks (Long, Shelhamer and Darrell, 2015, section 5; their ``score.py``).
Other tools count an absent class as 1 or as 0, or average over pictures: their means differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sftcore.foundations.masks import IGNORED
from sftcore.metrics.weighted import mean_where, ratio

# What a bootstrap gives an interval to.
SCALARS = ("mean_iou", "mean_dice", "pixel_accuracy", "mean_class_accuracy", "frequency_iou")


@dataclass(frozen=True)
class SegmentationMetrics:
    """Values per weighting.

    Attributes:
        pixel_accuracy: part of the judged pixels that are right, [W]; NaN without such a pixel.
        mean_iou: mIoU, over the classes that occur in truth or prediction, [W]; NaN without any.
        mean_dice: likewise, [W].
        frequency_iou: IoU weighted by how often the class is true, [W]; NaN without a pixel.
        mean_class_accuracy: mean over the classes that are true somewhere, [W]; NaN without any.
        iou: intersection over union of the pixels, [W, K]; 0 where the class does not occur.
        dice: ``2·|A∩B| / (|A| + |B|)``, which is F1, [W, K]; 0 where the class does not occur.
        class_accuracy: part of the class's true pixels that are found, [W, K]; 0 where it has none.
        occurs: whether the class is true or predicted, so that IoU and Dice mean something, [W, K].
        is_true: whether it is true, so that the class's accuracy means something, [W, K].
    """

    pixel_accuracy: np.ndarray
    mean_iou: np.ndarray
    mean_dice: np.ndarray
    frequency_iou: np.ndarray
    mean_class_accuracy: np.ndarray
    iou: np.ndarray
    dice: np.ndarray
    class_accuracy: np.ndarray
    occurs: np.ndarray
    is_true: np.ndarray


def confusion_counts(
    truths: Sequence[np.ndarray], predictions: Sequence[np.ndarray], num_classes: int
) -> np.ndarray:
    """The record of each picture: how often each true class was predicted as each class.

    Args:
        truths: a mask [H, W] of class indices for each picture; :data:`IGNORED` is not judged.
        predictions: masks of the same shapes.
        num_classes: K.

    Returns:
        int64 [N, K, K], true × predicted class.

    Raises:
        ValueError: shapes differ, or a class is none of K.
    """
    pairs = zip(truths, predictions, strict=True)
    counts = [_confusion(*judged(true, found, num_classes), num_classes) for true, found in pairs]
    return np.stack(counts) if counts else np.zeros((0, num_classes, num_classes), dtype=np.int64)


def class_totals(counts: np.ndarray) -> np.ndarray:
    """What the metrics take of confusion counts, which is little where there are many classes.

    Args:
        counts: of each picture [N, K, K], see :func:`confusion_counts`.

    Returns:
        [N, 3, K]: pixels of each class that are right, that are true, that are predicted.
    """
    return np.stack(
        [np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2), counts.sum(axis=1)], axis=1
    )


def segmentation_metrics(counts: np.ndarray, weights: np.ndarray) -> SegmentationMetrics:
    """Every metric for every weighting of the pictures, see :func:`metrics_of_totals`.

    Args:
        counts: of each picture [N, K, K], see :func:`confusion_counts`.
        weights: picture counts [W, N].
    """
    return metrics_of_totals(class_totals(counts), weights)


def metrics_of_totals(totals: np.ndarray, weights: np.ndarray) -> SegmentationMetrics:
    """Every metric for every weighting of the pictures.

    (Long, Shelhamer and Darrell, 2015, Fully convolutional networks for semantic segmentation,
    section 5, for the accuracies and IoUs; Dice, 1945.) A picture without judged pixels changes
    nothing.

    Args:
        totals: of each picture [N, 3, K], see :func:`class_totals`.
        weights: picture counts [W, N].
    """
    num_classes = totals.shape[2]
    flat = weights @ totals.reshape(len(totals), 3 * num_classes).astype(float)
    hits, support, claimed = np.moveaxis(flat.reshape(-1, 3, num_classes), 1, 0)
    total, occurs, is_true = support.sum(axis=1), support + claimed > 0, support > 0
    iou, dice = ratio(hits, support + claimed - hits), ratio(2 * hits, support + claimed)
    class_accuracy = ratio(hits, support)
    return SegmentationMetrics(
        pixel_accuracy=_ratio_or_nan(hits.sum(axis=1), total),
        mean_iou=mean_where(iou, occurs),
        mean_dice=mean_where(dice, occurs),
        frequency_iou=_ratio_or_nan((support * iou).sum(axis=1), total),
        mean_class_accuracy=mean_where(class_accuracy, is_true),
        iou=iou,
        dice=dice,
        class_accuracy=class_accuracy,
        occurs=occurs,
        is_true=is_true,
    )


def segmentation_scores(counts: np.ndarray) -> dict[str, float]:
    """The numbers that trainings are compared by, of one set of pictures.

    Args:
        counts: of each picture [N, K, K].

    Returns:
        :data:`SCALARS`; all NaN without a judged pixel.
    """
    found = segmentation_metrics(counts, np.ones((1, len(counts))))
    return {name: float(getattr(found, name)[0]) for name in SCALARS}


def judged(
    truth: np.ndarray, prediction: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted classes of the pixels that are not ignored, int64 [P] each.

    Args:
        truth: mask [H, W].
        prediction: mask [H, W]; where the truth is ignored, any value will do.
        num_classes: K.

    Raises:
        ValueError: shapes differ, or a class is none of K.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"the true mask is {truth.shape}, the predicted one {prediction.shape}")
    if num_classes > IGNORED:
        raise ValueError(f"{num_classes} classes: at most {IGNORED}, as {IGNORED} is ignored")
    is_judged = truth != IGNORED
    pair = truth[is_judged].astype(np.int64), prediction[is_judged].astype(np.int64)
    for name, values in zip(("true", "predicted"), pair, strict=True):
        if values.size and (values.min() < 0 or values.max() >= num_classes):
            wrong = values[(values < 0) | (values >= num_classes)][0]
            raise ValueError(f"a {name} mask holds {wrong}: no class of {num_classes}")
    return pair


def _confusion(true: np.ndarray, found: np.ndarray, num_classes: int) -> np.ndarray:
    flat = np.bincount(true * num_classes + found, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def _ratio_or_nan(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
