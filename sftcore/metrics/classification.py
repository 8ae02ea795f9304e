"""Classification metrics from labels and probabilities, for many weightings of the rows at once.

A bootstrap resample is a vector of row counts, so every metric here takes weights [W, N] and gives
one value per weighting; unit weights give the metric itself. All come from the same few weighted
sums, which makes 2000 resamples a matrix product.
"""

from dataclasses import dataclass

import numpy as np

_TINY = 1e-12  # a probability of exactly zero would make the log-likelihood infinite


@dataclass(frozen=True)
class Metrics:
    """Values per weighting.

    Attributes:
        accuracy: [W].
        balanced_accuracy: mean recall over the classes that occur, [W].
        macro_f1: mean F1 over the classes that occur, [W].
        nll: mean negative log-likelihood in nats, [W].
        brier: mean squared distance of probabilities from the one-hot label (Brier, 1950), [W].
        ece: expected calibration error, [W].
        precision: [W, C]; 0 where the class is never predicted.
        recall: [W, C]; 0 where the class does not occur.
        f1: [W, C]; 0 where both are 0.
        is_predicted: whether the class is predicted, so that precision means something, [W, C].
        occurs: whether the class occurs, so that recall and F1 mean something, [W, C].
    """

    accuracy: np.ndarray
    balanced_accuracy: np.ndarray
    macro_f1: np.ndarray
    nll: np.ndarray
    brier: np.ndarray
    ece: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    is_predicted: np.ndarray
    occurs: np.ndarray


# What a bootstrap gives an interval to; see sftcore.metrics.calibration for ECE.
SCALARS = ("accuracy", "balanced_accuracy", "macro_f1", "nll", "brier")


def classification_metrics(
    labels: np.ndarray, probability: np.ndarray, weights: np.ndarray, num_bins: int
) -> Metrics:
    """Every metric for every weighting of the rows.

    ECE is ``Σ_b |B_b|/N · |acc(B_b) − conf(B_b)|`` over bins of equal width in confidence (Guo et
    al., 2017, On calibration of modern neural networks, eq. 3).

    Args:
        labels: class indices [N].
        probability: [N, C]; each row sums to 1.
        weights: row counts [W, N].
        num_bins: of the calibration error.
    """
    count, num_classes = probability.shape
    rows = np.arange(count)
    predicted = probability.argmax(axis=1)
    is_right = (predicted == labels).astype(float)
    total = weights.sum(axis=1)
    one_hot = np.eye(num_classes)[labels]
    support = weights @ one_hot  # [W, C]
    hits = weights @ (one_hot * is_right[:, None])
    claimed = weights @ np.eye(num_classes)[predicted]
    precision, recall = _ratio(hits, claimed), _ratio(hits, support)
    f1 = _ratio(2 * hits, claimed + support)
    occurs = support > 0
    row_nll = -np.log(np.clip(probability[rows, labels], _TINY, None))
    row_brier = np.square(probability - one_hot).sum(axis=1)
    bins = np.eye(num_bins)[confidence_bins(probability.max(axis=1), num_bins)]
    miscalibration = weights @ (bins * (is_right - probability.max(axis=1))[:, None])
    return Metrics(
        accuracy=weights @ is_right / total,
        balanced_accuracy=(recall * occurs).sum(axis=1) / occurs.sum(axis=1),
        macro_f1=(f1 * occurs).sum(axis=1) / occurs.sum(axis=1),
        nll=weights @ row_nll / total,
        brier=weights @ row_brier / total,
        ece=np.abs(miscalibration).sum(axis=1) / total,
        precision=precision,
        recall=recall,
        f1=f1,
        is_predicted=claimed > 0,
        occurs=occurs,
    )


def confidence_bins(confidence: np.ndarray, num_bins: int) -> np.ndarray:
    """Number of the equal-width bin (low, high] of each confidence [N] in [0, 1]."""
    return np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts [C, C]: rows are the true classes, columns the predicted ones."""
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0)
