"""What is known of each label, and of all probabilities together, as tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sftcore.metrics.classification import confidence_bins
from sftcore.metrics.multilabel import MultilabelMetrics, check_decisions
from sftcore.metrics.weighted import interval_where


def per_label_table(
    classes: Sequence[str],
    labels: np.ndarray,
    thresholds: np.ndarray,
    itself: MultilabelMetrics,
    many: MultilabelMetrics,
    confidence: float,
) -> pd.DataFrame:
    """A row for each label, in their order.

    Args:
        classes: K names.
        labels: 0 or 1 [N, K].
        thresholds: [K], that both metrics were computed with.
        itself: metrics of the rows, of a single weighting.
        many: of their resamples, see :func:`sftcore.metrics.weighted.measure_resamples`.
        confidence: of the intervals, which rest on the resamples that have a value.

    Returns:
        Columns label, support, threshold, nll, ece, and average_precision, precision, recall and f1
        each with ``_low`` and ``_high``. What has no value is NaN: all but precision where the
        label does not occur, precision where it is never predicted.
    """
    table = pd.DataFrame(
        {
            "label": list(classes),
            "support": labels.sum(axis=0).astype(int),
            "threshold": thresholds,
            "nll": itself.label_nll[0],
            "ece": itself.label_ece[0],
        }
    )
    for name in ("average_precision", "precision", "recall", "f1"):
        mask = "is_predicted" if name == "precision" else "occurs"
        low, high = interval_where(getattr(many, name), getattr(many, mask), confidence)
        table[name] = np.where(getattr(itself, mask)[0], getattr(itself, name)[0], np.nan)
        table[f"{name}_low"], table[f"{name}_high"] = low, high
    return table


def pooled_reliability_table(
    labels: np.ndarray, probability: np.ndarray, num_bins: int
) -> pd.DataFrame:
    """How often a label is present against its probability, over the decisions of all labels.

    Args:
        labels: 0 or 1 [N, K].
        probability: [N, K].
        num_bins: of equal width, between 0 and 1.

    Returns:
        Columns low, high, num_decisions, probability (mean) and frequency; a row for each bin that
        is not empty.

    Raises:
        ValueError: see :func:`sftcore.metrics.multilabel.check_decisions`.
    """
    present, flat = check_decisions(labels, probability).ravel(), probability.ravel()
    number = confidence_bins(flat, num_bins)
    table = pd.DataFrame({"bin": number, "probability": flat.astype(float), "frequency": present})
    means = table.astype({"frequency": float}).groupby("bin").mean()
    means.insert(0, "num_decisions", table.groupby("bin").size())
    means.insert(0, "high", (means.index.to_numpy() + 1) / num_bins)
    means.insert(0, "low", means.index.to_numpy() / num_bins)
    return means.reset_index(drop=True)
