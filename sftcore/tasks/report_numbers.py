"""Numbers of a finished model with their intervals, and beside those of the rows to beat."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from sftcore.metrics.intervals import grouped_bootstrap_weights, percentile_interval
from sftcore.metrics.paired_test import paired_test
from sftcore.metrics.weighted import measure_resamples
from sftcore.tasks.report_contract import Resampling

HEADLINE_FILE = "test.json"
FINE_TUNED = "fine_tuned"
M = TypeVar("M")


def with_interval(
    name: str, value: np.ndarray, many: np.ndarray, confidence: float
) -> dict[str, float]:
    """A number under its name, with its percentile interval as ``_low`` and ``_high``."""
    low, high = percentile_interval(many, confidence)
    numbers = {name: float(value[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    return {key: round(number, 6) for key, number in numbers.items()}


@dataclass(frozen=True)
class Resampled(Generic[M]):
    """Metrics of one model on one split: themselves, and of every resample.

    Two models on one split have the same resamples in the same order, so that differences of
    ``many`` are differences on the same pictures.

    Attributes:
        itself: metrics [1, ...] of the split.
        many: of the resamples [R, ...].
    """

    itself: M
    many: M

    def number(self, name: str, confidence: float) -> dict[str, float]:
        """A metric with its interval over the resamples in which it means something."""
        many = getattr(self.many, name)
        return _defined(name, getattr(self.itself, name), many, confidence)


def resample(
    measure: Callable[[np.ndarray], M],
    groups: Sequence[str] | np.ndarray,
    resampling: Resampling,
    split: str,
) -> Resampled[M]:
    """Measure a model on a split and on its resamples, which are a function of groups and split.

    Args:
        measure: metrics under weights [W, N].
        groups: name of each picture's group of near-duplicates [N], drawn together.
        resampling: how often, and the seed.
        split: its name, which names the random stream.
    """
    draws = grouped_bootstrap_weights(groups, resampling.num_resamples, resampling.seed, split)
    return Resampled(measure(np.ones((1, len(groups)))), measure_resamples(measure, draws))


def difference(
    name: str, more: Resampled[M], less: Resampled[M], metric: str, confidence: float
) -> dict[str, float]:
    """The difference of a metric, resample by resample, under a name."""
    value = getattr(more.itself, metric) - getattr(less.itself, metric)
    many = getattr(more.many, metric) - getattr(less.many, metric)
    return _defined(name, value, many, confidence)


def compare(
    models: Mapping[str, Mapping[str, Resampled[M]]],
    settings: Mapping[str, Mapping[str, float]],
    metrics: Mapping[str, bool],
    probe: str,
    confidence: float,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Numbers of the rows to beat, and what fine-tuning is worth over one of them.

    Args:
        models: the fine-tuned one, named :data:`FINE_TUNED`, and the rows to beat, on val and test.
        settings: what validation chose for each row to beat.
        metrics: which are compared, and whether less of one is better.
        probe: name of the row that the worth is over; without it there is none.
        confidence: of the intervals.

    Returns:
        ``baselines`` by row and ``worth``, as ``metrics.json`` holds them; and a table with a row
        per model. ``worth`` is the fine-tuned model minus the probe on the test pictures, for what
        is better when it is less the other way round: more is always better.
    """
    rows: dict[str, dict[str, float]] = {}
    for name, splits in models.items():
        rows[name] = dict(settings.get(name, {}))
        for split, found in splits.items():
            for metric in metrics:
                numbers = found.number(metric, confidence)
                rows[name] |= {f"{split}_{key}": value for key, value in numbers.items()}
    worth: dict[str, float] = {}
    for metric, less_is_better in metrics.items() if probe in models else ():
        own, other = models[FINE_TUNED]["test"], models[probe]["test"]
        pair = (other, own) if less_is_better else (own, other)
        worth |= difference(f"test_{metric}", *pair, metric, confidence)
    table = pd.DataFrame([{"row": name, **numbers} for name, numbers in rows.items()])
    del rows[FINE_TUNED]
    return {"baselines": rows, "worth": worth}, table


def gaps(
    splits: Mapping[str, Resampled[M]], score: str, loss: str, confidence: float
) -> dict[str, float]:
    """Differences between splits: of a score from better to worse, of a loss the other way round.

    Splits are resampled independently, so differences of resamples give the gap's interval.
    """
    found: dict[str, float] = {}
    for name, more, less in (
        (score, "train", "val"),
        (score, "train", "test"),
        (score, "val", "test"),
        (loss, "val", "train"),
        (loss, "test", "train"),
    ):
        key = f"{more}_minus_{less}_{name}"
        found |= difference(key, splits[more], splits[less], name, confidence)
    return found


def paired_numbers(
    is_right: np.ndarray, other_is_right: np.ndarray, examples: str = "pictures"
) -> dict[str, float]:
    """On how many examples exactly one of two models is right.

    Args:
        is_right: of the first model, on N examples.
        other_is_right: of the second one, on the same examples.
        examples: what these are called.

    Returns:
        ``num_<examples>``, ``num_better``, ``num_worse`` and the ``p_value`` of
        :func:`sftcore.metrics.paired_test.paired_test`.
    """
    test = paired_test(is_right, other_is_right)
    names = ("num_better", "num_worse", "p_value")
    numbers = {name: round(float(getattr(test, name)), 6) for name in names}
    return {f"num_{examples}": round(float(test.num_pictures), 6)} | numbers


def _defined(name: str, value: np.ndarray, many: np.ndarray, confidence: float) -> dict[str, float]:
    is_defined = ~np.isnan(many)
    known = many[is_defined] if is_defined.any() else np.full(1, np.nan)
    return with_interval(name, value, known, confidence)
