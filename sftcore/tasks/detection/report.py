"""From boxes to numbers with intervals, tables and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.foundations.artifacts import output_folder, write_bytes, write_csv, write_json
from sftcore.foundations.tables import safe_cells
from sftcore.metrics.binned_calibration import binned_calibration, reliability_curve
from sftcore.metrics.calibration import PerfectCalibration
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.reporting.parts import write_parts
from sftcore.tasks.detection import figures
from sftcore.tasks.detection.baselines import LINEAR_HEAD
from sftcore.tasks.detection.measured import SCALARS, Numbers, OnSplit, measured_model
from sftcore.tasks.detection.pictures import choose_pictures, pictures_figure
from sftcore.tasks.detection.results_parts import results_parts
from sftcore.tasks.detection.tables import (
    detections_table,
    errors_table,
    f1_table,
    per_class_table,
    pictures_table,
    precision_recall_table,
)
from sftcore.tasks.finished import SPLITS, Finished
from sftcore.tasks.names import BOXES
from sftcore.tasks.report_contract import AddParts, Measuring, no_parts
from sftcore.tasks.report_numbers import (
    FINE_TUNED,
    HEADLINE_FILE,
    Resampled,
    compare,
    difference,
)

# What is compared with the rows to beat, and whether less is better.
_COMPARED = {
    "average_precision": False,
    "average_precision_50": False,
    "average_precision_75": False,
    "f1": False,
}
_JUDGED = ("val", "test")


@dataclass(frozen=True)
class _Model:
    """The fine-tuned model.

    Attributes:
        splits: its boxes on each split.
        found: its numbers there.
    """

    splits: Mapping[str, OnSplit]
    found: Mapping[str, Resampled[Numbers]]


def write_report(
    finished: Finished,
    names: Sequence[str],
    measuring: Measuring,
    output: Path,
    baselines: Sequence[Baseline] = (),
    add_parts: AddParts = no_parts,
) -> dict[str, Any]:
    """Write everything that is known of a finished model's boxes.

    Every model's threshold, those of the rows to beat too, has the greatest F1 on its own
    validation boxes. Sizes of boxes are in pixels of the square that the network sees.

    Args:
        finished: given boxes [N, D, 6] and true ones [N, M, 6]; see
            :mod:`sftcore.tasks.detection.boxes`.
        names: of the classes, K.
        measuring: how often resamples are drawn, and the like.
        output: folder to write.
        baselines: rows to beat, on the pictures of val and of test in their order.
        add_parts: see :meth:`sftcore.tasks.report_contract.TaskReport.write`.

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: see :meth:`sftcore.tasks.report_contract.Finished.check`.
        OutputError: the disk is full or the folder cannot be written.
    """
    finished.check()
    splits = {split: finished.of(split) for split in SPLITS}
    answers = {split: of.answers for split, of in splits.items()}
    on_splits = _measured(answers, splits, len(names))
    found = {split: of.resampled(measuring, split) for split, of in on_splits.items()}
    model = _Model(on_splits, found)
    metrics = _summary(model, measuring)
    tables = _tables(model, splits, names, measuring)
    metrics["errors"] = _by_kind(tables["errors"])
    if baselines:
        beside, tables["baselines"] = _compare(model, splits, baselines, measuring)
        metrics |= beside
    tables["generalization_gap"] = pd.DataFrame(
        [{"split": split, **metrics[split]} for split in SPLITS]
    )
    with output_folder(output) as folder:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / HEADLINE_FILE, _headline(metrics))
        for name, table in tables.items():
            write_csv(folder / f"{name}.csv", safe_cells(table))
        for name, content in _draw(tables, splits["test"], names, model, metrics).items():
            write_bytes(folder / f"{name}.png", content)
        write_parts(folder, [*results_parts(metrics), *add_parts(folder)])
    return metrics


def _measured(
    answers: Mapping[str, np.ndarray], splits: Mapping[str, Finished], num_classes: int
) -> dict[str, OnSplit]:
    targets = {split: splits[split].targets for split in answers}
    groups = {split: splits[split].groups for split in answers}
    return measured_model(answers, targets, groups, num_classes)


def _summary(model: _Model, measuring: Measuring) -> dict[str, Any]:
    """Numbers with intervals per split, and the gaps between splits.

    The calibration error has no interval: each of its resamples holds luck on top of luck.
    """
    confidence = measuring.confidence
    summary: dict[str, Any] = {"task": BOXES, "interval": {"confidence": confidence}}
    for split, of in model.splits.items():
        numbers: dict[str, float] = {"num_pictures": len(of.groups)}
        for name in SCALARS:
            numbers |= model.found[split].number(name, confidence)
        perfect, num_pictures = of.perfect(measuring, split), len(of.groups)
        histograms, unit = of.histograms(measuring.num_bins), np.ones((1, num_pictures))
        others = {
            "ece": float(binned_calibration(histograms, unit).ece[0]),
            "ece_if_perfect_mean": perfect.mean,
            "ece_if_perfect_high": perfect.high,
            "boxes_per_picture": float(of.matches.num_truths[:, :, 0].sum() / num_pictures),
            "given_per_picture": len(of.shown.score) / num_pictures,
        }
        summary[split] = numbers | {key: round(value, 6) for key, value in others.items()}
    summary["threshold"] = round(model.splits["test"].threshold, 6)
    summary["gap"] = _gaps(model.found, confidence)
    return summary


def _gaps(found: Mapping[str, Resampled[Numbers]], confidence: float) -> dict[str, float]:
    """Differences of scores between splits, which are resampled independently."""
    gaps: dict[str, float] = {}
    for name in ("average_precision", "f1"):
        for more, less in (("train", "val"), ("train", "test"), ("val", "test")):
            key = f"{more}_minus_{less}_{name}"
            gaps |= difference(key, found[more], found[less], name, confidence)
    return gaps


def _tables(
    model: _Model, splits: Mapping[str, Finished], names: Sequence[str], measuring: Measuring
) -> dict[str, pd.DataFrame]:
    test, ids = model.splits["test"], splits["test"].ids
    rows = [pictures_table(splits[split].ids, split, of) for split, of in model.splits.items()]
    predictions = pd.concat(rows, ignore_index=True)
    return {
        "predictions": predictions,
        "pictures": choose_pictures(predictions),
        "most_wrong": _most_wrong(predictions, measuring.num_most_wrong),
        "detections": detections_table(ids, names, test),
        "per_class": per_class_table(names, test, model.found["test"], measuring.confidence),
        "errors": errors_table(test, measuring, "test"),
        "precision_recall": precision_recall_table(names, test, measuring, "test"),
        "f1_by_threshold": f1_table(test, measuring, "test"),
        "reliability": reliability_curve(test.histograms(measuring.num_bins)),
    }


def _most_wrong(predictions: pd.DataFrame, count: int) -> pd.DataFrame:
    """The test pictures with the least F1; of equals those with more that is wrong."""
    test = predictions[(predictions["split"] == "test") & predictions["f1"].notna()]
    num_wrong = test["missed"] + test["false"]
    order = test.assign(num_wrong=num_wrong).sort_values(
        ["f1", "num_wrong", "id"], ascending=[True, False, True]
    )
    return order.head(count)[["id", "true", "given", "right", "missed", "false", "f1"]]


def _by_kind(errors: pd.DataFrame) -> dict[str, dict[str, float]]:
    return {
        row.pop("kind"): {key: round(float(value), 6) for key, value in row.items()}
        for row in errors.to_dict("records")
    }


def _compare(
    model: _Model,
    splits: Mapping[str, Finished],
    baselines: Sequence[Baseline],
    measuring: Measuring,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The model beside the rows to beat, see :func:`sftcore.tasks.report_numbers.compare`."""
    resampled = {FINE_TUNED: {split: model.found[split] for split in _JUDGED}}
    num_classes = model.splits["test"].num_classes
    for row in baselines:
        other = _measured({"val": row.val, "test": row.test}, splits, num_classes)
        resampled[row.name] = {split: other[split].resampled(measuring, split) for split in _JUDGED}
    settings = {row.name: row.settings for row in baselines}
    return compare(resampled, settings, _COMPARED, LINEAR_HEAD, measuring.confidence)


def _headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What DVC's tables show."""
    name = "average_precision"
    names = {name: "test_ap", f"{name}_low": "test_low", f"{name}_high": "test_high"}
    return {short: round(metrics["test"][name], 4) for name, short in names.items()}


def _draw(
    tables: Mapping[str, pd.DataFrame],
    test: Finished,
    names: Sequence[str],
    model: _Model,
    metrics: Mapping[str, Any],
) -> dict[str, bytes]:
    numbers, threshold = metrics["test"], metrics["threshold"]
    perfect = PerfectCalibration(numbers["ece_if_perfect_mean"], numbers["ece_if_perfect_high"])
    title = f"ECE {numbers['ece']:.3f},\n{perfect.words(numbers['ece'])}"
    drawn = {
        "generalization_gap": figures.gap_figure(tables["generalization_gap"]),
        "precision_recall": figures.precision_recall_figure(tables["precision_recall"]),
        "f1_by_threshold": figures.f1_figure(tables["f1_by_threshold"], threshold, numbers["f1"]),
        "per_class": figures.per_class_figure(tables["per_class"]),
        "errors": figures.errors_figure(tables["errors"]),
        "reliability": figures.reliability_figure(tables["reliability"], title),
        "pictures": pictures_figure(
            tables["pictures"], test.examples, list(test.ids), model.splits["test"], names
        ),
    }
    if "baselines" in tables:
        drawn["baselines"] = figures.baselines_figure(tables["baselines"])
    return drawn
