"""A fine-tuned model beside the rows to beat, on the same pictures and in the same resamples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sftcore.metrics.classification import Metrics, classification_metrics
from sftcore.metrics.intervals import grouped_bootstrap_weights
from sftcore.metrics.paired_test import paired_test
from sftcore.tasks.classification.baselines import LOGISTIC_REGRESSION, Baseline
from sftcore.tasks.report_numbers import FINE_TUNED, with_interval

COMPARED = ("nll", "accuracy", "balanced_accuracy", "macro_f1")
_LESS_IS_BETTER = ("nll", "brier")


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Attributes:
        num_resamples: of the bootstrap.
        confidence: of the intervals.
        num_bins: of the calibration error.
        seed: of the bootstrap.
    """

    num_resamples: int
    confidence: float
    num_bins: int
    seed: int


@dataclass(frozen=True)
class Resampled:
    """Metrics of one model on one split: themselves, and of every resample.

    Two models on one split have the same resamples in the same order, so that differences of
    ``many`` are differences on the same pictures.
    """

    itself: Metrics
    many: Metrics


def resample(
    labels: np.ndarray,
    probability: np.ndarray,
    groups: np.ndarray,
    resampling: Resampling,
    split: str,
) -> Resampled:
    """Measure a model on a split and on its resamples, which are a function of groups and split.

    Args:
        labels: class indices [N].
        probability: [N, C].
        groups: names of groups of near-duplicates [N], drawn together.
        resampling: how often, and the seed.
        split: its name, which names the random stream.
    """
    num_bins = resampling.num_bins
    itself = classification_metrics(labels, probability, np.ones((1, len(labels))), num_bins)
    draws = grouped_bootstrap_weights(groups, resampling.num_resamples, resampling.seed, split)
    pieces = [classification_metrics(labels, probability, weights, num_bins) for weights in draws]
    joined = {
        name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in vars(itself)
    }
    return Resampled(itself, Metrics(**joined))


def compare(
    fine_tuned: Mapping[str, Resampled],
    baselines: Sequence[Baseline],
    labels: Mapping[str, np.ndarray],
    groups: Mapping[str, np.ndarray],
    resampling: Resampling,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Numbers of the rows to beat, and what fine-tuning is worth over logistic regression.

    Args:
        fine_tuned: the model's own numbers on ``val`` and ``test``.
        baselines: the rows to beat.
        labels: class indices of both splits.
        groups: of near-duplicates of both splits.
        resampling: that ``fine_tuned`` was measured with.

    Returns:
        ``baselines`` by row and ``worth``, as ``metrics.json`` holds them; and a table with a row
        per model, the fine-tuned one first. ``worth`` is the fine-tuned model minus logistic
        regression on the test pictures, for a loss the other way round: more is always better.
    """
    own = {split: fine_tuned[split] for split in ("val", "test")}
    rows = {FINE_TUNED: _numbers(own, resampling.confidence)}
    worth: dict[str, float] = {}
    for baseline in baselines:
        probability = {"val": baseline.val, "test": baseline.test}
        found = {
            split: resample(labels[split], probability[split], groups[split], resampling, split)
            for split in own
        }
        rows[baseline.name] = baseline.settings | _numbers(found, resampling.confidence)
        if baseline.name == LOGISTIC_REGRESSION:
            worth = _worth(own["test"], found["test"], resampling.confidence)
    table = pd.DataFrame([{"row": name, **numbers} for name, numbers in rows.items()])
    del rows[FINE_TUNED]
    return {"baselines": rows, "worth": worth}, table


def paired_counts(
    labels: np.ndarray, probability: np.ndarray, baselines: Sequence[Baseline]
) -> dict[str, float]:
    """On how many test pictures exactly one of the model and logistic regression is right.

    Args:
        labels: class indices of the test pictures [N].
        probability: of the fine-tuned model [N, C].
        baselines: the rows to beat; without logistic regression there is nothing to say.

    Returns:
        ``num_pictures``, ``num_better``, ``num_worse`` and the ``p_value`` of
        :func:`sftcore.metrics.paired_test.paired_test`, or nothing.
    """
    for baseline in baselines:
        if baseline.name == LOGISTIC_REGRESSION:
            is_right = probability.argmax(axis=1) == labels
            test = paired_test(is_right, baseline.test.argmax(axis=1) == labels)
            names = ("num_pictures", "num_better", "num_worse", "p_value")
            return {name: round(float(getattr(test, name)), 6) for name in names}
    return {}


def _numbers(found: Mapping[str, Resampled], confidence: float) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for split, of in found.items():
        for name in COMPARED:
            value, many = getattr(of.itself, name), getattr(of.many, name)
            numbers |= with_interval(f"{split}_{name}", value, many, confidence)
    return numbers


def _worth(model: Resampled, baseline: Resampled, confidence: float) -> dict[str, float]:
    worth: dict[str, float] = {}
    for name in COMPARED:
        sign = -1 if name in _LESS_IS_BETTER else 1
        value, many = (
            sign * (getattr(mine, name) - getattr(other, name))
            for mine, other in ((model.itself, baseline.itself), (model.many, baseline.many))
        )
        worth |= with_interval(f"test_{name}", value, many, confidence)
    return worth
