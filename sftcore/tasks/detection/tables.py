"""What is known of the boxes of a split, as tables."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd

from sftcore.metrics.detection_curves import (
    PrecisionCurves,
    precision_curves,
    threshold_metrics,
)
from sftcore.metrics.detection_errors import (
    IGNORED,
    KINDS,
    RIGHT,
    DetectionErrors,
    error_gains,
    match_at_half,
)
from sftcore.metrics.detection_matching import Matches, ranked_detections
from sftcore.metrics.intervals import grouped_bootstrap_weights, percentile_interval
from sftcore.metrics.ranked_precision import RECALLS
from sftcore.metrics.weighted import interval_where, measure_resamples, ratio
from sftcore.tasks.detection.measured import Numbers, OnSplit, pooled
from sftcore.tasks.report_contract import Resampling
from sftcore.tasks.report_numbers import Resampled

ALL_CLASSES = ""  # in the column of classes; no class has an empty name
FATES = dict(enumerate(KINDS)) | {RIGHT: "right", IGNORED: "ignored"}
THRESHOLDS = np.linspace(0.02, 0.98, 49)
_OF_CLASSES = (
    "average_precision", "average_precision_50", "average_recall", "precision", "recall", "f1",
)  # fmt: skip


def pictures_table(ids: Sequence[str], split: str, of: OnSplit) -> pd.DataFrame:
    """A row for each picture, of the boxes with at least the threshold at IoU .5.

    Args:
        ids: of the pictures.
        split: its name.
        of: the model on it.

    Returns:
        Columns id, split, true, given, right, missed, false, f1. Boxes that are neither right nor
        wrong are given alone; f1 is NaN where no box is true nor given.
    """
    count, kind = len(ids), of.shown_errors.kind
    picture = of.shown_errors.picture
    true = of.shown_errors.num_truths.sum(axis=1)
    given, right, ignored = (
        np.bincount(picture[is_in], minlength=count)
        for is_in in (kind >= IGNORED, kind == RIGHT, kind == IGNORED)
    )
    counted = true + given - ignored
    return pd.DataFrame(
        {
            "id": list(ids),
            "split": split,
            "true": true,
            "given": given,
            "right": right,
            "missed": true - right,
            "false": given - right - ignored,
            "f1": np.where(counted > 0, ratio(2 * right, counted), np.nan),
        }
    )


def detections_table(ids: Sequence[str], names: Sequence[str], of: OnSplit) -> pd.DataFrame:
    """A row for each box with at least the threshold, and what became of it at IoU .5.

    Args:
        ids: of the pictures.
        names: of the classes.
        of: the model on the split.

    Returns:
        Columns id, class, score, left, top, right, bottom (pixels of the square picture), fate; by
        picture and falling score.
    """
    kept, _ = ranked_detections(of.shown)
    table = pd.DataFrame(
        {
            "id": [ids[number] for number in kept.picture],
            "class": [names[label] for label in kept.label],
            "score": kept.score,
            **{
                side: kept.box[:, place]
                for place, side in enumerate(("left", "top", "right", "bottom"))
            },
            "fate": [FATES[int(kind)] for kind in of.shown_errors.kind],
        }
    )
    return table.iloc[np.lexsort((-kept.score, kept.picture))].reset_index(drop=True)


def found_truths(of: OnSplit) -> np.ndarray:
    """Whether a box with at least the threshold finds each truth, or crowd, at IoU .5, bool [G]."""
    kept, _ = ranked_detections(of.shown)
    return match_at_half(kept, of.truths, of.num_classes)[1]


def per_class_table(
    names: Sequence[str], of: OnSplit, found: Resampled[Numbers], confidence: float
) -> pd.DataFrame:
    """A row for each class, in their order.

    Args:
        names: of the classes.
        of: the model on the split.
        found: its numbers there.
        confidence: of the intervals, which rest on the resamples that have a value.

    Returns:
        Columns class, true, given (boxes), and average_precision, average_precision_50,
        average_recall, precision, recall, f1, each with ``_low`` and ``_high``. What has no value
        is NaN.
    """
    errors, count = of.shown_errors, len(names)
    is_counted = errors.kind != IGNORED
    table = pd.DataFrame(
        {
            "class": list(names),
            "true": errors.num_truths.sum(axis=0),
            "given": np.bincount(errors.label[is_counted], minlength=count),
        }
    )
    for name in _OF_CLASSES:
        many = getattr(found.many, f"class_{name}")
        table[name] = getattr(found.itself, f"class_{name}")[0]
        low, high = interval_where(many, ~np.isnan(many), confidence)
        table[f"{name}_low"], table[f"{name}_high"] = low, high
    return table


def errors_table(of: OnSplit, resampling: Resampling, split: str) -> pd.DataFrame:
    """A row for each kind of error.

    Args:
        of: the model on the split.
        resampling: how intervals are made.
        split: its name.

    Returns:
        Columns kind, count (errors of the boxes with at least the threshold), per_picture (the same
        over the pictures) and gain (by how much AP50 of all boxes grows if the kind is mended), the
        last two with ``_low`` and ``_high``.
    """

    def rates(weights: np.ndarray) -> np.ndarray:
        return ratio(weights @ shown.counts, weights.sum(axis=1, keepdims=True))

    shown: DetectionErrors = of.shown_errors
    draws = list(_draws(of, resampling, split))
    unit = np.ones((1, len(of.groups)))
    gains = measure_resamples(lambda weights: error_gains(of.errors, weights), draws).gain
    table = pd.DataFrame({"kind": KINDS, "count": shown.counts.sum(axis=0)})
    for name, itself, many in (
        ("per_picture", rates(unit)[0], np.concatenate([rates(weights) for weights in draws])),
        ("gain", error_gains(of.errors, unit).gain[0], gains),
    ):
        low, high = interval_where(many, ~np.isnan(many), resampling.confidence)
        table[name], table[f"{name}_low"], table[f"{name}_high"] = itself, low, high
    return table


def precision_recall_table(
    names: Sequence[str], of: OnSplit, resampling: Resampling, split: str
) -> pd.DataFrame:
    """Precision at each level of recall at IoU .5: of all classes ranked together, then of each.

    Args:
        names: of the classes.
        of: the model on the split.
        resampling: how intervals are made.
        split: its name.

    Returns:
        Columns class (empty of all), recall, precision, precision_low and precision_high; the
        precision is the greatest at this recall or beyond. Classes without a truth have no rows.
    """

    def curves(matches: Matches) -> tuple[PrecisionCurves, PrecisionCurves]:
        measure = partial(precision_curves, matches)
        draws = _draws(of, resampling, split)
        return measure(np.ones((1, len(of.groups)))), measure_resamples(measure, draws)

    parts = [pd.DataFrame(columns=["class", "recall", "precision", "precision_low",
                                   "precision_high"])]  # fmt: skip
    for labels, matches in (([ALL_CLASSES], pooled(of.matches)), (list(names), of.matches)):
        itself, many = curves(matches)
        for k in np.flatnonzero(itself.occurs[0]).tolist():
            drawn = many.precision[many.occurs[:, k], k]
            low, high = percentile_interval(drawn, resampling.confidence)
            columns = {"recall": RECALLS, "precision": itself.precision[0, k]}
            bounds = {"precision_low": low, "precision_high": high}
            parts.append(pd.DataFrame({"class": labels[k]} | columns | bounds))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def f1_table(of: OnSplit, resampling: Resampling, split: str) -> pd.DataFrame:
    """Precision, recall and F1 at IoU .5 of all classes together, by the least score that counts.

    Args:
        of: the model on the split.
        resampling: how intervals are made.
        split: its name.

    Returns:
        Columns threshold, precision, recall, f1, f1_low, f1_high.
    """

    def measured(weights: np.ndarray) -> np.ndarray:
        found = threshold_metrics(of.matches, weights, THRESHOLDS[:, None])
        return np.stack([found.micro_precision, found.micro_recall, found.micro_f1])

    itself = measured(np.ones((1, len(of.groups))))[:, 0]
    many = [measured(weights)[2] for weights in _draws(of, resampling, split)]
    low, high = percentile_interval(np.concatenate(many), resampling.confidence)
    columns = dict(zip(("precision", "recall", "f1"), itself, strict=True))
    return pd.DataFrame({"threshold": THRESHOLDS} | columns | {"f1_low": low, "f1_high": high})


def _draws(of: OnSplit, resampling: Resampling, split: str) -> Iterator[np.ndarray]:
    return grouped_bootstrap_weights(of.groups, resampling.num_resamples, resampling.seed, split)
