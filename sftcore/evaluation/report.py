"""From a table of predictions to numbers with intervals, tables and figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.artifacts import output_folder, write_bytes, write_csv, write_json
from sftcore.errors import DataError
from sftcore.evaluation import figures
from sftcore.metrics.calibration import (
    fit_temperature,
    reliability_table,
    scale_probabilities,
)
from sftcore.metrics.classification import (
    SCALARS,
    Metrics,
    classification_metrics,
    confusion_matrix,
)
from sftcore.metrics.intervals import bootstrap_weights, percentile_interval
from sftcore.tables import safe_cells

SPLITS = ("train", "val", "test")


def write_report(
    table: pd.DataFrame,
    classes: list[str],
    images: np.ndarray,
    *,
    num_bootstrap: int,
    confidence: float,
    num_calibration_bins: int,
    num_most_wrong: int,
    seed: int,
    output: Path,
) -> dict[str, Any]:
    """Write everything that is known of a finished model's predictions.

    Args:
        table: columns id, split, label, predicted, confidence, probability_of_label, p_0 .. p_C-1.
        classes: C names.
        images: uint8 [N, S, S, 3], the table's pictures.
        num_bootstrap: resamples behind each interval.
        confidence: of the intervals.
        num_calibration_bins: of the calibration error.
        num_most_wrong: pictures shown.
        seed: of the bootstrap.
        output: folder to write.

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: a split is empty, a label is not a class, a probability is not finite, or the
            pictures are not one per row.
        OutputError: the disk is full or the folder cannot be written.
    """
    _check(table, classes, images)
    table = table.reset_index(drop=True)  # pictures are found by row, whatever the index was
    index_of = {name: index for index, name in enumerate(classes)}
    labels = table["label"].map(index_of).to_numpy(dtype=np.int64)
    probability = table[[f"p_{k}" for k in range(len(classes))]].to_numpy(dtype=float)
    values, resampled = {}, {}
    for split in SPLITS:
        rows = (table["split"] == split).to_numpy(dtype=bool)
        values[split], resampled[split] = _resample(
            labels[rows], probability[rows], num_bootstrap, num_calibration_bins, seed, split
        )
    metrics = _summarize(values, resampled, table, confidence)
    val, test = ((table["split"] == name).to_numpy(dtype=bool) for name in ("val", "test"))
    temperature = fit_temperature(np.log(probability[val].clip(1e-12)), labels[val])
    scaled = scale_probabilities(probability[test], temperature)
    pair = _resample(labels[test], scaled, num_bootstrap, num_calibration_bins, seed, "test")
    metrics["temperature"] = {"temperature": round(temperature, 6)}
    for name in ("accuracy", "nll", "brier", "ece"):
        value, many = getattr(pair[0], name), getattr(pair[1], name)
        metrics["temperature"] |= _with_interval(f"test_{name}", value, many, confidence)
    per_class = _per_class(values["test"], resampled["test"], labels[test], classes, confidence)
    reliability = reliability_table(labels[test], probability[test], num_calibration_bins)
    after = reliability_table(labels[test], scaled, num_calibration_bins)
    matrix = confusion_matrix(labels[test], probability[test].argmax(axis=1), len(classes))
    gap = pd.DataFrame([{"split": split, **metrics[split]} for split in SPLITS])
    wrong = table[test].sort_values(["probability_of_label", "id"]).head(num_most_wrong)
    shown = ["id", "label", "predicted", "confidence", "probability_of_label"]
    with output_folder(output) as folder:
        write_json(folder / "metrics.json", metrics)
        write_csv(folder / "predictions.csv", safe_cells(table))
        write_csv(folder / "per_class.csv", safe_cells(per_class))
        pairs = table.loc[test, ["label", "predicted"]].rename(columns={"label": "actual"})
        write_csv(folder / "confusion.csv", safe_cells(pairs))
        frame = pd.DataFrame(matrix, columns=classes)
        frame.insert(0, "actual", classes)
        write_csv(folder / "confusion_matrix.csv", safe_cells(frame))
        write_csv(folder / "reliability.csv", reliability)
        write_csv(folder / "reliability_scaled.csv", after)
        write_csv(folder / "generalization_gap.csv", gap)
        write_csv(folder / "most_wrong.csv", safe_cells(wrong[shown]))
        pictures = {
            "confusion": figures.confusion_figure(matrix, classes),
            "per_class": figures.per_class_figure(per_class),
            "reliability": figures.reliability_figure(
                reliability,
                metrics["test"]["ece"],
                after,
                metrics["temperature"]["test_ece"],
                temperature,
            ),
            "generalization_gap": figures.gap_figure(gap),
            "most_wrong": figures.most_wrong_figure(wrong, images[wrong.index.to_numpy()]),
        }
        for name, content in pictures.items():
            write_bytes(folder / f"{name}.png", content)
    return metrics


def _check(table: pd.DataFrame, classes: list[str], images: np.ndarray) -> None:
    if len(images) != len(table):
        raise DataError(f"{len(table)} predictions and {len(images)} pictures: give one per row")
    if empty := [split for split in SPLITS if not (table["split"] == split).any()]:
        raise DataError(
            f"no picture in split {', '.join(empty)}, so there is nothing to report: add pictures, "
            "or raise data.val_fraction and data.test_fraction"
        )
    if unknown := sorted(set(table["label"]) - set(classes)):
        raise DataError(
            f"label {', '.join(map(repr, unknown))} is not a class of the model: run `dvc repro`"
        )
    probability = table[[f"p_{k}" for k in range(len(classes))]].to_numpy(dtype=float)
    if num_bad := int((~np.isfinite(probability)).any(axis=1).sum()):
        raise DataError(
            f"the model gives no finite probability for {num_bad} of {len(table)} pictures: it "
            "diverged, so lower train.learning_rate and train again"
        )


def _resample(
    labels: np.ndarray,
    probability: np.ndarray,
    num_bootstrap: int,
    num_bins: int,
    seed: int,
    split: str,
) -> tuple[Metrics, Metrics]:
    """The metrics themselves, and those of every resample."""
    itself = classification_metrics(labels, probability, np.ones((1, len(labels))), num_bins)
    pieces = [
        classification_metrics(labels, probability, weights, num_bins)
        for weights in bootstrap_weights(len(labels), num_bootstrap, seed, split)
    ]
    joined = {
        name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in vars(itself)
    }
    return itself, Metrics(**joined)


def _summarize(
    values: dict[str, Metrics],
    resampled: dict[str, Metrics],
    table: pd.DataFrame,
    confidence: float,
) -> dict[str, Any]:
    """Numbers with intervals per split, and the gaps between splits."""
    summary: dict[str, Any] = {}
    for split in SPLITS:
        numbers: dict[str, float] = {"num_pictures": int((table["split"] == split).sum())}
        for name in SCALARS:
            value, many = getattr(values[split], name), getattr(resampled[split], name)
            numbers |= _with_interval(name, value, many, confidence)
        summary[split] = numbers
    summary["interval"] = {"confidence": confidence}
    summary["gap"] = {}
    for name, more, less in (
        ("accuracy", "train", "val"),
        ("accuracy", "train", "test"),
        ("accuracy", "val", "test"),
        ("nll", "val", "train"),
        ("nll", "test", "train"),
    ):
        # Splits are resampled independently, so differences of resamples give the gap's interval.
        value = getattr(values[more], name) - getattr(values[less], name)
        many = getattr(resampled[more], name) - getattr(resampled[less], name)
        summary["gap"] |= _with_interval(f"{more}_minus_{less}_{name}", value, many, confidence)
    return summary


def _with_interval(
    name: str, value: np.ndarray, many: np.ndarray, confidence: float
) -> dict[str, float]:
    low, high = percentile_interval(many, confidence)
    numbers = {name: float(value[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    return {key: round(number, 6) for key, number in numbers.items()}


def _per_class(
    value: Metrics, many: Metrics, labels: np.ndarray, classes: list[str], confidence: float
) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "class": classes,
        "support": np.bincount(labels, minlength=len(classes)),
    }
    defined = {"precision": many.is_predicted, "recall": many.occurs, "f1": many.occurs}
    for name, is_defined in defined.items():
        low, high = _interval_where(getattr(many, name), is_defined, confidence)
        columns |= {name: getattr(value, name)[0], f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(columns)


def _interval_where(
    values: np.ndarray, is_defined: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Interval per class [C] over the resamples [W, C] in which its value is defined.

    A resample may miss a small class altogether; its recall there is unknown and not 0. A class
    that is defined in no resample gets NaN bounds, an empty cell.
    """
    bounds = np.full((2, values.shape[1]), np.nan)
    for column in np.flatnonzero(is_defined.any(axis=0)):
        defined = values[is_defined[:, column], column]
        bounds[:, column] = percentile_interval(defined, confidence)
    return bounds[0], bounds[1]
