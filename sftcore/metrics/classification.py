"""Classification metrics from labels and probabilities, for many weightings of the rows at once.

A bootstrap resample is a vector of row counts, so every metric here takes weights [W, N] and gives
one value per weighting; unit weights give the metric itself. All come from the same few weighted
sums, which makes 2000 resamples a matrix product.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

_TINY = 1e-12  # a probability of exactly zero would make the log-likelihood infinite


@dataclass(frozen=True)
class Metrics:
    """Values per weighting.

    Attributes:
        accuracy: [W].
        balanced_accuracy: mean recall over the classes that occur, [W].
        macro_f1: mean F1 over the classes that occur, [W].
        mcc: Matthews' correlation of predicted and true classes, in [-1, 1]; 0 where either is one
            class alone, [W].
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
    mcc: np.ndarray
    nll: np.ndarray
    brier: np.ndarray
    ece: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    is_predicted: np.ndarray
    occurs: np.ndarray


# What a bootstrap gives an interval to in every report; see sftcore.metrics.calibration for ECE.
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
        mcc=_correlation(hits.sum(axis=1), claimed, support),
        nll=weights @ row_nll / total,
        brier=weights @ row_brier / total,
        ece=np.abs(miscalibration).sum(axis=1) / total,
        precision=precision,
        recall=recall,
        f1=f1,
        is_predicted=claimed > 0,
        occurs=occurs,
    )


_IN_STEPS = ("accuracy", "balanced_accuracy", "macro_f1")
_SMOOTH = ("loss", "nll", "brier")


def scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The numbers that trainings are compared by, of one set of pictures.

    Args:
        logits: [N, C]; log-probabilities will do.
        labels: class indices [N].

    Returns:
        ``loss`` in nats, ``accuracy``, ``balanced_accuracy``, ``macro_f1`` and ``brier``; all NaN
        without pictures or where a logit is not finite, since such a network predicts nothing.
    """
    names = ("loss", *_IN_STEPS, "brier")
    if not len(labels) or not np.isfinite(logits).all():
        return dict.fromkeys(names, float("nan"))
    log_p = log_softmax(logits.astype(float), axis=1)
    found = classification_metrics(labels, np.exp(log_p), np.ones((1, len(labels))), 1)
    # Not from the probabilities, which are 0 where the logarithm is below -745.
    loss = float(-log_p[np.arange(len(labels)), labels].mean())
    return {"loss": loss} | {name: float(getattr(found, name)[0]) for name in names[1:]}


def resolution(metric: str, num_rows: int) -> float:
    """The step in which a metric moves on N pictures; 0 for one that is smooth.

    One picture more that is right is 1/N of accuracy. Of balanced accuracy it is 1/(C·n_c), which
    has the mean 1/N over the pictures whatever the class sizes n_c are; of macro F1 it is about as
    much, as a class's F1 weighs its pictures like its recall does where as many are predicted.

    Args:
        metric: name as in :func:`scores`; a split may stand before it, as in ``val_accuracy``.
        num_rows: N, at least 1.

    Raises:
        ValueError: no such metric.
    """
    if metric.endswith(_IN_STEPS):
        return 1 / num_rows
    if metric.endswith(_SMOOTH):
        return 0.0
    raise ValueError(f"unknown metric {metric!r}: one of {', '.join(_IN_STEPS + _SMOOTH)}")


def confidence_bins(confidence: np.ndarray, num_bins: int) -> np.ndarray:
    """Number of the equal-width bin (low, high] of each confidence [N] in [0, 1]."""
    return np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts [C, C]: rows are the true classes, columns the predicted ones."""
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def _correlation(num_right: np.ndarray, claimed: np.ndarray, support: np.ndarray) -> np.ndarray:
    """The correlation of two assignments to K classes.

    (Gorodkin, 2004, Comparing two K-category assignments by a K-category correlation coefficient,
    eq. 8; of two classes it is Matthews' coefficient.)

    Args:
        num_right: [W].
        claimed: how often each class is predicted [W, C].
        support: how often each class is true [W, C].
    """
    total = support.sum(axis=1)
    covariance = num_right * total - (claimed * support).sum(axis=1)
    spreads = [total**2 - (counts**2).sum(axis=1) for counts in (claimed, support)]
    return _ratio(covariance, np.sqrt(spreads[0] * spreads[1]))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0)
