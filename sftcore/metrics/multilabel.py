"""Metrics of rows with any number of labels, for many weightings of the rows at once.

Every pair of a row and a label is a decision of its own: present or absent. As in
:mod:`sftcore.metrics.classification`, weights [W, N] give one value per weighting, so that one
bootstrap serves all metrics.
"""

from dataclasses import dataclass

import numpy as np

from sftcore.metrics.classification import confidence_bins
from sftcore.metrics.weighted import mean_where, ratio

_TINY = 1e-12  # a probability of exactly zero would make the log-likelihood infinite

# What a bootstrap gives an interval to.
SCALARS = (
    "mean_average_precision",
    "macro_f1",
    "micro_f1",
    "exact_match",
    "hamming_loss",
    "nll",
)


@dataclass(frozen=True)
class MultilabelMetrics:
    """Values per weighting.

    Attributes:
        mean_average_precision: mAP, the mean over the labels that occur, [W]; NaN where none does.
        macro_f1: mean F1 over the labels that occur, [W]; NaN where none does.
        micro_f1: F1 of all decisions together, [W]; 0 where nothing is present nor predicted.
        exact_match: part of the rows with every label right (subset accuracy), [W].
        hamming_loss: part of the decisions that are wrong, [W].
        nll: mean negative log-likelihood of a decision, in nats per label, [W].
        ece: expected calibration error over the decisions of all labels together, [W].
        average_precision: [W, K]; 0 where the label does not occur.
        precision: [W, K]; 0 where the label is never predicted.
        recall: [W, K]; 0 where the label does not occur.
        f1: [W, K]; 0 where both are 0.
        label_nll: in nats, [W, K].
        label_ece: [W, K].
        is_predicted: whether the label is predicted, so that precision means something, [W, K].
        occurs: whether the label occurs, so that AP, recall and F1 mean something, [W, K].
    """

    mean_average_precision: np.ndarray
    macro_f1: np.ndarray
    micro_f1: np.ndarray
    exact_match: np.ndarray
    hamming_loss: np.ndarray
    nll: np.ndarray
    ece: np.ndarray
    average_precision: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    label_nll: np.ndarray
    label_ece: np.ndarray
    is_predicted: np.ndarray
    occurs: np.ndarray

    @property
    def nll_per_row(self) -> np.ndarray:
        """Mean negative log-likelihood of all labels of a row together, in nats, [W]."""
        return self.nll * self.f1.shape[1]


def multilabel_metrics(
    labels: np.ndarray,
    probability: np.ndarray,
    weights: np.ndarray,
    thresholds: np.ndarray,
    num_bins: int,
) -> MultilabelMetrics:
    """Every metric for every weighting of the rows.

    Args:
        labels: 0 or 1 [N, K].
        probability: of each label being present [N, K].
        weights: row counts [W, N], each row with a positive sum.
        thresholds: a label is predicted from this probability on, [K].
        num_bins: of the calibration errors.

    Raises:
        ValueError: see :func:`check_decisions`.
    """
    present = check_decisions(labels, probability)
    predicted = probability >= thresholds
    is_wrong = predicted != present
    total = weights.sum(axis=1)
    hits, claimed, support = (
        weights @ of.astype(float) for of in (predicted & present, predicted, present)
    )  # each [W, K]
    f1, occurs = ratio(2 * hits, claimed + support), support > 0
    ranked = np.stack(
        [average_precision(present[:, k], probability[:, k], weights) for k in range(f1.shape[1])],
        axis=1,
    )
    label_nll = weights @ _decision_nll(present, probability) / total[:, None]
    label_ece, ece = _calibration_errors(present, probability, weights, num_bins)
    return MultilabelMetrics(
        mean_average_precision=mean_where(ranked, occurs),
        macro_f1=mean_where(f1, occurs),
        micro_f1=ratio(2 * hits.sum(axis=1), (claimed + support).sum(axis=1)),
        exact_match=weights @ (~is_wrong.any(axis=1)).astype(float) / total,
        hamming_loss=weights @ is_wrong.mean(axis=1) / total,
        nll=label_nll.mean(axis=1),
        ece=ece,
        average_precision=ranked,
        precision=ratio(hits, claimed),
        recall=ratio(hits, support),
        f1=f1,
        label_nll=label_nll,
        label_ece=label_ece,
        is_predicted=claimed > 0,
        occurs=occurs,
    )


def average_precision(present: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``Σ_n (R_n − R_{n−1}) P_n`` over the distinct scores, from the highest down.

    Rows of equal score are taken in together, so their order does not matter, and nothing is
    interpolated (as scikit-learn's ``average_precision_score``; Davis and Goadrich, 2006, The
    relationship between precision-recall and ROC curves, on why not).

    Args:
        present: bool [N].
        score: [N].
        weights: [W, N].

    Returns:
        [W]; 0 where nothing is present. A percentile bootstrap of it is biased upwards: rows that
        are drawn twice are ranked beside themselves.
    """
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    ranked = weights[:, order]
    above = np.cumsum(ranked, axis=1)[:, last]
    hits = np.cumsum(ranked * present[order], axis=1)[:, last]
    gained = np.diff(hits, axis=1, prepend=0.0)
    return ratio((gained * ratio(hits, above)).sum(axis=1), hits[:, -1])


def multilabel_scores(
    logits: np.ndarray, labels: np.ndarray, threshold: float = 0.5
) -> dict[str, float]:
    """The numbers that trainings are compared by, of one set of rows.

    Args:
        logits: [N, K].
        labels: 0 or 1 [N, K].
        threshold: on the probability, one for all labels.

    Returns:
        ``loss`` in nats per label, and all of :data:`SCALARS` but ``nll``, which it is; all NaN
        without rows or where a logit is not finite, since such a network predicts nothing.
    """
    names = [name for name in SCALARS if name != "nll"]
    if not len(labels) or not np.isfinite(logits).all():
        return dict.fromkeys(["loss", *names], float("nan"))
    exact = logits.astype(float)
    # Not from the probabilities, which are 0 or 1 where a logit is large.
    loss = float((np.logaddexp(0, exact) - labels * exact).mean())
    probability = np.exp(-np.logaddexp(0, -exact))
    thresholds = np.full(labels.shape[1], threshold)
    found = multilabel_metrics(labels, probability, np.ones((1, len(labels))), thresholds, 1)
    return {"loss": loss} | {name: float(getattr(found, name)[0]) for name in names}


def check_decisions(labels: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The labels as bool [N, K].

    Args:
        labels: 0 or 1 [N, K].
        probability: [N, K].

    Raises:
        ValueError: the shapes differ, a label is neither 0 nor 1, or a probability is not one.
    """
    if labels.shape != probability.shape or labels.ndim != 2:
        raise ValueError(
            f"labels {labels.shape} and probabilities {probability.shape} must both be [N, K]"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 or 1: no mixed or missing ones can be measured")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("probabilities must lie in [0, 1]: a sigmoid of finite logits gives them")
    return labels.astype(bool)


def _decision_nll(present: np.ndarray, probability: np.ndarray) -> np.ndarray:
    given = np.where(present, probability, 1 - probability.astype(float))
    return -np.log(np.clip(given, _TINY, None))


def _calibration_errors(
    present: np.ndarray, probability: np.ndarray, weights: np.ndarray, num_bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """``Σ_b |Σ_{i in b} w_i (y_i − p_i)| / Σ_i w_i`` per label [W, K], and over all pairs [W].

    The binary form of the calibration error: p(present) against how often it is present (Naeini
    et al., 2015, Obtaining well calibrated probabilities using Bayesian binning).
    """
    residual, bins = present - probability, confidence_bins(probability, num_bins)
    per_label, pooled = 0.0, 0.0
    for number in range(num_bins):
        of_bin = weights @ np.where(bins == number, residual, 0.0)  # [W, K]
        per_label = per_label + np.abs(of_bin)
        pooled = pooled + np.abs(of_bin.sum(axis=1))
    total = weights.sum(axis=1)
    return per_label / total[:, None], pooled / (total * present.shape[1])
