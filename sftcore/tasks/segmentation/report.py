"""From logits of pixels to numbers with intervals, tables and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.foundations.artifacts import output_folder, write_bytes, write_csv, write_json
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import safe_cells
from sftcore.metrics.binned_calibration import perfect_binned_calibration
from sftcore.metrics.boundary import TOLERANCE_FRACTION
from sftcore.metrics.calibration import PerfectCalibration
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.metrics.segmentation import SCALARS
from sftcore.reporting.drawing import plain_label
from sftcore.reporting.parts import write_parts
from sftcore.tasks.finished import SPLITS, Finished
from sftcore.tasks.names import MASKS
from sftcore.tasks.report_contract import AddParts, Measuring, no_parts
from sftcore.tasks.report_numbers import (
    FINE_TUNED,
    HEADLINE_FILE,
    Resampled,
    compare,
    gaps,
    paired_numbers,
    resample,
)
from sftcore.tasks.segmentation import figures, tables
from sftcore.tasks.segmentation.baselines import LINEAR_HEAD
from sftcore.tasks.segmentation.mask_figure import Masked, masks_figure
from sftcore.tasks.segmentation.records import (
    PictureRecords,
    PixelMetrics,
    calibration_at,
    calibration_error,
    measure_pictures,
    own_metrics,
    pixel_metrics,
    pixel_temperature,
    predicted_mask,
)
from sftcore.tasks.segmentation.results_parts import results_parts

_MEASURED = (*SCALARS, "boundary_f1", "nll")
# What is compared with the rows to beat, and whether less is better.
_COMPARED = dict.fromkeys(_MEASURED, False) | {"nll": True}


def write_report(
    finished: Finished,
    names: Sequence[str],
    measuring: Measuring,
    output: Path,
    baselines: Sequence[Baseline] = (),
    add_parts: AddParts = no_parts,
) -> dict[str, Any]:
    """Write everything that is known of a finished model's masks.

    Args:
        finished: logits [N, K, h, w] of any stride, and masks [N, S, S]; 255 is ignored.
        names: of the classes, K.
        measuring: how often resamples are drawn, and the like.
        output: folder to write.
        baselines: rows to beat, on the pictures of val and of test in their order.
        add_parts: see :meth:`sftcore.tasks.report_contract.TaskReport.write`.

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: see :meth:`sftcore.tasks.finished.Finished.check`; or a split has no labelled
            pixel.
        OutputError: the disk is full or the folder cannot be written.
    """
    finished.check()
    lean = replace(finished, examples=np.zeros((len(finished.ids), 0)))  # pictures are not copied
    splits = {split: lean.of(split) for split in SPLITS}
    records = _records(splits, measuring.num_bins)
    found = {split: _resampled(of, splits[split], measuring) for split, of in records.items()}
    metrics = _summary(found, records, splits, measuring)
    comparison = None
    if baselines:
        beside, comparison = _compare(found, records, splits, baselines, measuring)
        metrics |= beside
    at_temperature, metrics["temperature"] = _at_temperature(splits, records["test"], measuring)
    written = _tables(finished, names, records, found["test"], measuring)
    written["reliability_scaled"] = tables.reliability_of_pixels(at_temperature.calibration)
    rows = [{"split": split, **metrics[split]} for split in SPLITS]
    written["generalization_gap"] = pd.DataFrame(rows)
    if comparison is not None:
        written["baselines"] = comparison
    with output_folder(output) as folder:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / HEADLINE_FILE, _headline(metrics))
        for name, table in written.items():
            write_csv(folder / f"{name}.csv", safe_cells(table))
        drawn = _draw(written, records["test"].confusion, names, metrics)
        drawn["pictures"] = _draw_pictures(written["pictures"], finished, names)
        for name, content in drawn.items():
            write_bytes(folder / f"{name}.png", content)
        write_parts(folder, [*results_parts(metrics), *add_parts(folder)])
    return metrics


def _records(splits: Mapping[str, Finished], num_bins: int) -> dict[str, PictureRecords]:
    found = {
        split: measure_pictures(of.answers, of.targets, num_bins) for split, of in splits.items()
    }
    if empty := [split for split, of in found.items() if not of.calibration.num_pixels.any()]:
        raise DataError(
            f"no pixel of split {', '.join(empty)} is labelled, so there is nothing to report: "
            "label its pictures, or raise data.val_fraction and data.test_fraction"
        )
    return found


def _resampled(
    records: PictureRecords, of: Finished, measuring: Measuring
) -> Resampled[PixelMetrics]:
    return resample(partial(pixel_metrics, records), of.groups, measuring, of.splits[0])


def _summary(
    found: Mapping[str, Resampled[PixelMetrics]],
    records: Mapping[str, PictureRecords],
    splits: Mapping[str, Finished],
    measuring: Measuring,
) -> dict[str, Any]:
    """Numbers with intervals per split, and the gaps between splits."""
    confidence, side = measuring.confidence, splits["test"].targets.shape[1]
    summary: dict[str, Any] = {"task": MASKS, "interval": {"confidence": confidence}}
    for split, of in found.items():
        numbers: dict[str, float] = {
            "num_pictures": len(splits[split].ids),
            "num_groups": len(set(splits[split].groups)),
            "num_pixels": int(records[split].calibration.num_pixels.sum()),
        }
        for name in _MEASURED:
            numbers |= of.number(name, confidence)
        summary[split] = numbers | _calibration(records[split], splits[split], measuring)
    tolerance = round(TOLERANCE_FRACTION * float(np.hypot(side, side)), 6)
    summary["pixels"] = {"side": side, "boundary_tolerance": tolerance}
    summary["gap"] = gaps(found, "mean_iou", "nll", confidence)
    return summary


def _calibration(records: PictureRecords, of: Finished, measuring: Measuring) -> dict[str, float]:
    """The calibration error of the pixels beside what luck makes of it.

    It has no interval: each of its resamples holds luck on top of luck.
    """
    perfect = perfect_binned_calibration(
        records.calibration.histogram, of.groups, num_resamples=measuring.num_resamples,
        confidence=measuring.confidence, seed=measuring.seed, purpose=of.splits[0],
    )  # fmt: skip
    numbers = {
        "ece": calibration_error(records.calibration),
        "ece_if_perfect_mean": perfect.mean,
        "ece_if_perfect_high": perfect.high,
    }
    return {name: round(number, 6) for name, number in numbers.items()}


def _at_temperature(
    splits: Mapping[str, Finished], test: PictureRecords, measuring: Measuring
) -> tuple[PictureRecords, dict[str, float]]:
    """The test pictures at the temperature that validation chooses, and numbers of them."""
    val, of = splits["val"], splits["test"]
    temperature, num_pixels = pixel_temperature(val.answers, val.targets)
    calibration = calibration_at(of.answers, of.targets, temperature, measuring.num_bins)
    records = replace(test, calibration=calibration)
    numbers = _resampled(records, of, measuring).number("nll", measuring.confidence)
    numbers |= _calibration(records, of, measuring)
    itself = {"temperature": round(temperature, 6), "num_pixels": num_pixels}
    return records, itself | {f"test_{name}": number for name, number in numbers.items()}


def _compare(
    found: Mapping[str, Resampled[PixelMetrics]],
    records: Mapping[str, PictureRecords],
    splits: Mapping[str, Finished],
    baselines: Sequence[Baseline],
    measuring: Measuring,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The model beside the rows to beat, see :func:`sftcore.tasks.report_numbers.compare`."""
    resampled = {FINE_TUNED: {split: found[split] for split in ("val", "test")}}
    beside: dict[str, Any] = {}
    for row in baselines:
        resampled[row.name] = {}
        for split, answers in (("val", row.val), ("test", row.test)):
            of = splits[split]
            other = measure_pictures(answers, of.targets, measuring.num_bins)
            resampled[row.name][split] = _resampled(other, of, measuring)
            if row.name == LINEAR_HEAD and split == "test":
                mine, theirs = (own_metrics(each).mean_iou for each in (records[split], other))
                beside["paired"] = paired_numbers(mine > theirs, theirs > mine)
    settings = {row.name: row.settings for row in baselines}
    numbers, table = compare(resampled, settings, _COMPARED, LINEAR_HEAD, measuring.confidence)
    return beside | numbers, table


def _headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What DVC's tables show."""
    names = {"mean_iou": "test_miou", "mean_iou_low": "test_low", "mean_iou_high": "test_high"}
    return {short: round(metrics["test"][name], 4) for name, short in names.items()}


def _tables(
    finished: Finished,
    names: Sequence[str],
    records: Mapping[str, PictureRecords],
    found: Resampled[PixelMetrics],
    measuring: Measuring,
) -> dict[str, pd.DataFrame]:
    test, predictions = records["test"], tables.predictions_table(finished, records, names)
    return {
        "predictions": predictions,
        "per_class": tables.per_class_table(names, test, found, measuring.confidence),
        "confusion": tables.confusion_table(test.confusion, names),
        "reliability": tables.reliability_of_pixels(test.calibration),
        "pictures": tables.shown_pictures(predictions, measuring.num_most_wrong),
    }


def _draw(
    written: Mapping[str, pd.DataFrame],
    confusion: np.ndarray,
    names: Sequence[str],
    metrics: Mapping[str, Any],
) -> dict[str, bytes]:
    scaled = metrics["temperature"]
    at_temperature = f"at temperature {scaled['temperature']:.2f}"
    drawn = {
        "per_class": figures.per_class_figure(written["per_class"]),
        "confusion": figures.confusion_figure(confusion, names),
        "reliability": figures.reliability_figure(
            (written["reliability"], f"as trained: {_words(metrics['test'], '')}"),
            (written["reliability_scaled"], f"{at_temperature}: {_words(scaled, 'test_')}"),
        ),
        "generalization_gap": figures.gap_figure(written["generalization_gap"]),
    }
    if "baselines" in written:
        drawn["baselines"] = figures.baselines_figure(written["baselines"])
    return drawn


def _words(numbers: Mapping[str, float], start: str) -> str:
    ece, mean, high = (
        numbers[f"{start}ece{end}"] for end in ("", "_if_perfect_mean", "_if_perfect_high")
    )
    return f"ECE {ece:.3f},\n{PerfectCalibration(mean, high).words(ece)}"


def _draw_pictures(shown: pd.DataFrame, finished: Finished, names: Sequence[str]) -> bytes:
    pictures = []
    for row, cells in zip(shown.index.to_numpy(), shown.itertuples(), strict=True):
        mask = finished.targets[row]
        titles = (
            f"{cells.place}\n{plain_label(cells.id)}",
            "truth",
            f"mean IoU {cells.mean_iou:.3f}\nprediction",
        )
        pictures.append(
            Masked(
                finished.examples[row],
                mask,
                predicted_mask(finished.answers[row], mask.shape),
                titles,
            )
        )
    title = "Test pictures by their own mean IoU: the worst, some from the middle, the best"
    return masks_figure(pictures, names, title)
