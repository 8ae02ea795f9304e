"""A fine-tuned model beside the rows to beat, on the same examples and in the same resamples."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from sftcore.metrics.classification import Metrics, classification_metrics
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.tasks import report_numbers
from sftcore.tasks.classification.baselines import LOGISTIC_REGRESSION
from sftcore.tasks.report_contract import Resampling
from sftcore.tasks.report_numbers import FINE_TUNED, Resampled

# What every report of classes compares, and whether less is better.
COMPARED = {"nll": True, "accuracy": False, "balanced_accuracy": False, "macro_f1": False}


def resample(
    labels: np.ndarray,
    probability: np.ndarray,
    groups: np.ndarray,
    resampling: Resampling,
    split: str,
) -> Resampled[Metrics]:
    """Measure a model on a split and on its resamples, which are a function of groups and split.

    Args:
        labels: class indices [N].
        probability: [N, C].
        groups: names of groups of near-duplicates [N], drawn together.
        resampling: how often, and the seed.
        split: its name, which names the random stream.
    """
    measure = partial(classification_metrics, labels, probability, num_bins=resampling.num_bins)
    return report_numbers.resample(measure, groups, resampling, split)


def compare(
    fine_tuned: Mapping[str, Resampled[Metrics]],
    baselines: Sequence[Baseline],
    labels: Mapping[str, np.ndarray],
    groups: Mapping[str, np.ndarray],
    resampling: Resampling,
    compared: Mapping[str, bool] = COMPARED,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Numbers of the rows to beat, and what fine-tuning is worth over logistic regression.

    Args:
        fine_tuned: the model's own numbers on ``val`` and ``test``.
        baselines: the rows to beat.
        labels: class indices of both splits.
        groups: of near-duplicates of both splits.
        resampling: that ``fine_tuned`` was measured with.
        compared: metrics, and whether less of one is better.

    Returns:
        See :func:`sftcore.tasks.report_numbers.compare`.
    """
    models = {FINE_TUNED: {split: fine_tuned[split] for split in ("val", "test")}}
    for row in baselines:
        models[row.name] = {
            split: resample(labels[split], probability, groups[split], resampling, split)
            for split, probability in (("val", row.val), ("test", row.test))
        }
    settings = {row.name: row.settings for row in baselines}
    return report_numbers.compare(
        models, settings, compared, LOGISTIC_REGRESSION, resampling.confidence
    )


def paired_counts(
    labels: np.ndarray,
    probability: np.ndarray,
    baselines: Sequence[Baseline],
    examples: str = "pictures",
) -> dict[str, float]:
    """On how many test examples exactly one of the model and logistic regression is right.

    Args:
        labels: class indices of the test examples [N].
        probability: of the fine-tuned model [N, C].
        baselines: the rows to beat; without logistic regression there is nothing to say.
        examples: what examples are called.

    Returns:
        See :func:`sftcore.tasks.report_numbers.paired_numbers`; or nothing.
    """
    for baseline in baselines:
        if baseline.name == LOGISTIC_REGRESSION:
            is_right = probability.argmax(axis=1) == labels
            other = baseline.test.argmax(axis=1) == labels
            return report_numbers.paired_numbers(is_right, other, examples)
    return {}
