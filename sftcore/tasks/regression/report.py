"""From predicted numbers to errors with intervals, tables and figures."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.foundations.artifacts import output_folder, write_bytes, write_csv, write_json
from sftcore.foundations.tables import safe_cells
from sftcore.metrics.regression import SCALARS, RegressionMetrics, regression_metrics
from sftcore.metrics.regression_intervals import LEVELS, interval_table
from sftcore.metrics.regression_tables import (
    per_number_table,
    predicted_against_actual,
    residual_quantiles,
)
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.reporting.parts import write_parts
from sftcore.tasks.finished import SPLITS, Finished
from sftcore.tasks.names import NUMBERS
from sftcore.tasks.regression import figures
from sftcore.tasks.regression.baselines import RIDGE_REGRESSION
from sftcore.tasks.regression.predictions import most_wrong_table, predictions_table
from sftcore.tasks.regression.results_parts import results_parts
from sftcore.tasks.regression.targets import TargetScale
from sftcore.tasks.report_contract import AddParts, Measuring, no_parts
from sftcore.tasks.report_numbers import (
    FINE_TUNED,
    HEADLINE_FILE,
    Resampled,
    compare,
    gaps,
    resample,
)

# What is compared with the rows to beat, and whether less is better.
_COMPARED = {
    "mean_r2": False,
    "mean_rmse": True,
    "mean_mae": True,
    "mean_median_absolute_error": True,
}
_OF_NUMBERS = ("mae", "rmse", "r2", "bias", "median_absolute_error")
_OF_INTERVALS = (
    "radius", "coverage", "coverage_low", "coverage_high", "expected_low", "expected_high",
)  # fmt: skip


def write_report(
    finished: Finished,
    names: Sequence[str],
    scale: TargetScale,
    measuring: Measuring,
    output: Path,
    baselines: Sequence[Baseline] = (),
    add_parts: AddParts = no_parts,
) -> dict[str, Any]:
    """Write everything that is known of a finished model's numbers.

    Args:
        finished: predicted and actual numbers [N, K], in their units.
        names: of the numbers, K.
        scale: of the training targets.
        measuring: how often resamples are drawn, and the like.
        output: folder to write.
        baselines: rows to beat, on the pictures of val and of test in their order.
        add_parts: see :meth:`sftcore.tasks.report_contract.TaskReport.write`.

    Returns:
        The content of ``metrics.json``; means over the numbers are in standard deviations of the
        training targets, all else is in the unit of the number.

    Raises:
        DataError: see :meth:`sftcore.tasks.report_contract.Finished.check`.
        OutputError: the disk is full or the folder cannot be written.
    """
    finished.check()
    splits = {split: finished.of(split) for split in SPLITS}
    found = {
        split: _resampled(of.answers, split, of, scale, measuring) for split, of in splits.items()
    }
    tables = _tables(finished, splits, names, scale, found["test"], measuring)
    metrics = _summary(found, splits, tables, measuring)
    if baselines:
        beside, tables["baselines"] = _compare(found, splits, scale, baselines, measuring)
        metrics |= beside
    tables["generalization_gap"] = pd.DataFrame(
        [
            {"split": split}
            | {name: value for name, value in metrics[split].items() if name != "numbers"}
            for split in SPLITS
        ]
    )
    with output_folder(output) as folder:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / HEADLINE_FILE, _headline(metrics))
        for name, table in tables.items():
            write_csv(folder / f"{name}.csv", safe_cells(table))
        drawn = _draw(finished, splits["test"], names, tables, measuring.coverage)
        for name, content in drawn.items():
            write_bytes(folder / f"{name}.png", content)
        parts = results_parts(metrics, measuring.coverage, len(splits["val"].ids))
        write_parts(folder, [*parts, *add_parts(folder)])
    return metrics


def _resampled(
    prediction: np.ndarray, split: str, of: Finished, scale: TargetScale, measuring: Measuring
) -> Resampled[RegressionMetrics]:
    measure = partial(regression_metrics, prediction, of.targets, scale=np.array(scale.std))
    return resample(measure, of.groups, measuring, split)


def _tables(
    finished: Finished,
    splits: Mapping[str, Finished],
    names: Sequence[str],
    scale: TargetScale,
    found: Resampled[RegressionMetrics],
    measuring: Measuring,
) -> dict[str, pd.DataFrame]:
    val, test = splits["val"], splits["test"]
    levels = sorted({*LEVELS, measuring.coverage})
    return {
        "predictions": predictions_table(finished, scale),
        "most_wrong": most_wrong_table(finished, scale, names, measuring.num_most_wrong),
        "per_number": per_number_table(
            names, np.array(scale.std), found.itself, found.many, measuring.confidence
        ),
        "intervals": interval_table(
            (val.answers, val.targets), (test.answers, test.targets),
            np.asarray(test.groups), names, measuring.confidence, levels,
        ),
        "predicted": predicted_against_actual(test.answers, test.targets, names),
        "residuals": residual_quantiles(test.answers, test.targets, names),
    }  # fmt: skip


def _summary(
    found: Mapping[str, Resampled[RegressionMetrics]],
    splits: Mapping[str, Finished],
    tables: Mapping[str, pd.DataFrame],
    measuring: Measuring,
) -> dict[str, Any]:
    """Numbers with intervals per split, and the gaps between splits."""
    confidence = measuring.confidence
    summary: dict[str, Any] = {"task": NUMBERS, "interval": {"confidence": confidence}}
    for split, of in found.items():
        summary[split] = {"num_pictures": len(splits[split].ids)}
        for name in SCALARS:
            summary[split] |= of.number(name, confidence)
    ends = ("", "_low", "_high")
    shown = [f"{name}{end}" for name in _OF_NUMBERS for end in ends]
    summary["test"]["numbers"] = _by_number(tables["per_number"], shown)
    table = tables["intervals"]
    of_rule = table[table["level"] == measuring.coverage]
    summary["intervals"] = _by_number(of_rule, _OF_INTERVALS)
    summary["gap"] = gaps(found, "mean_r2", "mean_mae", confidence)
    return summary


def _by_number(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, dict[str, float]]:
    return {
        row["number"]: {name: float(row[name]) for name in columns}
        for row in table.to_dict("records")
    }


def _compare(
    found: Mapping[str, Resampled[RegressionMetrics]],
    splits: Mapping[str, Finished],
    scale: TargetScale,
    baselines: Sequence[Baseline],
    measuring: Measuring,
) -> tuple[dict[str, Any], pd.DataFrame]:
    models = {FINE_TUNED: {split: found[split] for split in ("val", "test")}}
    for row in baselines:
        models[row.name] = {
            split: _resampled(prediction, split, splits[split], scale, measuring)
            for split, prediction in (("val", row.val), ("test", row.test))
        }
    settings = {row.name: row.settings for row in baselines}
    return compare(models, settings, _COMPARED, RIDGE_REGRESSION, measuring.confidence)


def _headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What DVC's tables show."""
    names = {"mean_r2": "test_r2", "mean_r2_low": "test_low", "mean_r2_high": "test_high"}
    return {short: round(metrics["test"][name], 4) for name, short in names.items()}


def _draw(
    finished: Finished,
    test: Finished,
    names: Sequence[str],
    tables: Mapping[str, pd.DataFrame],
    wanted: float,
) -> dict[str, bytes]:
    intervals, wrong = tables["intervals"], tables["most_wrong"]
    radius = intervals["radius"][intervals["level"] == wanted].to_numpy()
    drawn = {
        "predicted": figures.predicted_figure(test.targets, test.answers, radius, names),
        "residuals": figures.residuals_figure(tables["residuals"], names),
        "intervals": figures.intervals_figure(intervals, names, wanted),
        "generalization_gap": figures.gap_figure(tables["generalization_gap"]),
        "most_wrong": figures.most_wrong_figure(wrong, finished.examples[wrong.index.to_numpy()]),
    }
    if "baselines" in tables:
        drawn["baselines"] = figures.baselines_figure(tables["baselines"])
    return drawn
