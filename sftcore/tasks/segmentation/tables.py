"""Tables of a finished model's masks."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sftcore.metrics.binned_calibration import reliability_curve
from sftcore.metrics.pixel_calibration import PixelCalibration
from sftcore.metrics.weighted import interval_where
from sftcore.tasks.finished import Finished
from sftcore.tasks.multilabel.predictions import json_list
from sftcore.tasks.report_numbers import Resampled
from sftcore.tasks.segmentation.records import PictureRecords, PixelMetrics, own_metrics

_RIGHT, _TRUE, _PREDICTED = range(3)  # of sftcore.metrics.segmentation.class_totals


def predictions_table(
    finished: Finished, records: Mapping[str, PictureRecords], names: Sequence[str]
) -> pd.DataFrame:
    """One row per picture: what its labelled pixels show, and how well they are predicted.

    Args:
        finished: all pictures.
        records: of each split, in the order of its pictures.
        names: of the classes, K.

    Returns:
        Columns id, split, group, num_pixels (labelled), loss (nats per pixel), mean_iou (over the
        classes that are true or predicted in this picture), pixel_accuracy, classes and predicted
        (JSON lists). What a picture without a labelled pixel does not have is NaN.
    """
    parts = []
    for split, of in records.items():
        rows, own = finished.rows(split), own_metrics(of)
        num_pixels = of.calibration.num_pixels
        loss = np.full(len(rows), np.nan)
        np.divide(of.calibration.nll_sum, num_pixels, out=loss, where=num_pixels > 0)
        columns = {
            "id": [finished.ids[row] for row in rows],
            "split": split,
            "group": [finished.groups[row] for row in rows],
            "num_pixels": num_pixels,
            "loss": loss,
            "mean_iou": own.mean_iou,
            "pixel_accuracy": own.pixel_accuracy,
            "classes": [json_list(names, row > 0) for row in of.totals[:, _TRUE]],
            "predicted": [json_list(names, row > 0) for row in of.totals[:, _PREDICTED]],
        }
        parts.append(pd.DataFrame(columns, index=rows))
    return pd.concat(parts).sort_index()


def per_class_table(
    names: Sequence[str],
    records: PictureRecords,
    found: Resampled[PixelMetrics],
    confidence: float,
) -> pd.DataFrame:
    """One row per class, of the labelled pixels of all pictures together.

    Args:
        names: of the classes, K.
        records: of the pictures.
        found: their metrics.
        confidence: of the intervals.

    Returns:
        Columns class, num_pictures (that show it), share (of the pixels), iou, dice, precision,
        recall, boundary_f1; iou and boundary_f1 with _low and _high. What a class does not have,
        as it occurs nowhere, is NaN.
    """
    right, true, predicted = records.totals.sum(axis=0).astype(float)
    itself, many = found.itself, found.many
    columns = {
        "class": list(names),
        "num_pictures": (records.totals[:, _TRUE] > 0).sum(axis=0),
        "share": true / max(true.sum(), 1),
        "iou": np.where(itself.occurs[0], itself.iou[0], np.nan),
    }
    columns["iou_low"], columns["iou_high"] = interval_where(many.iou, many.occurs, confidence)
    columns["dice"] = np.where(itself.occurs[0], itself.dice[0], np.nan)
    columns["precision"] = _part(right, predicted)
    columns["recall"] = _part(right, true)
    boundary = itself.class_boundary_f1[0]
    columns["boundary_f1"] = np.where(itself.has_boundary[0], boundary, np.nan)
    columns["boundary_f1_low"], columns["boundary_f1_high"] = interval_where(
        many.class_boundary_f1, many.has_boundary, confidence
    )
    return pd.DataFrame(columns)


def confusion_table(confusion: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """One row per pair of classes.

    Args:
        confusion: pixels by true and predicted class [K, K].
        names: of the classes, K.

    Returns:
        Columns actual, predicted, num_pixels and part (of the true class's pixels; NaN without).
    """
    part = np.stack([_part(row.astype(float), np.full(len(row), row.sum())) for row in confusion])
    return pd.DataFrame(
        {
            "actual": np.repeat(np.asarray(names, dtype=object), len(names)),
            "predicted": list(names) * len(names),
            "num_pixels": confusion.ravel(),
            "part": part.ravel(),
        }
    )


def reliability_of_pixels(record: PixelCalibration) -> pd.DataFrame:
    """How often pixels are right by their confidence, one row per bin that is not empty.

    Args:
        record: of the pictures.

    Returns:
        Columns low, high, num_pixels, confidence, accuracy.
    """
    names = {"count": "num_pixels", "frequency": "accuracy"}
    return reliability_curve(record.histogram).rename(columns=names)


def shown_pictures(predictions: pd.DataFrame, most: int) -> pd.DataFrame:
    """Test pictures by their own mean IoU: the worst, some from the middle, the best.

    Args:
        predictions: see :func:`predictions_table`.
        most: of the worst; a quarter as many of the others. None of the three is more than a third
            of the pictures, or the one that there is.

    Returns:
        Columns place (worst, middle, best), id, mean_iou, pixel_accuracy, loss, classes and
        predicted, from the worst on; the index is that of ``predictions``.
    """
    test = predictions[(predictions["split"] == "test") & (predictions["num_pixels"] > 0)]
    test = test.sort_values(["mean_iou", "id"])
    third = len(test) // 3
    num_worst, num_others = min(most, max(1, third)), min(-(-most // 4), third)
    start = (len(test) - num_others) // 2
    parts = {
        "worst": test[:num_worst],
        "middle": test[start : start + num_others],
        "best": test[len(test) - num_others :],
    }
    columns = ["id", "mean_iou", "pixel_accuracy", "loss", "classes", "predicted"]
    named = [part[columns].assign(place=place) for place, part in parts.items()]
    return pd.concat(named)[["place", *columns]]


def _part(of: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(of, whole, out=np.full(len(of), np.nan), where=whole > 0)
