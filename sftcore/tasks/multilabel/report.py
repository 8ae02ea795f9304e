"""From probabilities of labels to numbers with intervals, tables and figures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.foundations.artifacts import output_folder, write_bytes, write_csv, write_json
from sftcore.foundations.tables import safe_cells
from sftcore.metrics.calibration import PerfectCalibration, perfect_calibration
from sftcore.metrics.multilabel import SCALARS, MultilabelMetrics, multilabel_metrics
from sftcore.metrics.multilabel_tables import per_label_table, pooled_reliability_table
from sftcore.metrics.multilabel_thresholds import choose_thresholds
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.reporting.parts import write_parts
from sftcore.tasks.finished import SPLITS, Finished
from sftcore.tasks.multilabel import figures
from sftcore.tasks.multilabel.baselines import LOGISTIC_REGRESSION
from sftcore.tasks.multilabel.predictions import predictions_table
from sftcore.tasks.multilabel.results_parts import results_parts
from sftcore.tasks.names import LABELS
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

# What is compared with the rows to beat, and whether less is better.
_COMPARED = {
    "mean_average_precision": False,
    "macro_f1": False,
    "micro_f1": False,
    "exact_match": False,
    "hamming_loss": True,
    "nll": True,
}


@dataclass(frozen=True)
class _Model:
    """A model's probabilities on the splits, and the thresholds that its validation chose."""

    probability: Mapping[str, np.ndarray]
    thresholds: np.ndarray

    def predicted(self, split: str) -> np.ndarray:
        return self.probability[split] >= self.thresholds


def write_report(
    finished: Finished,
    names: Sequence[str],
    measuring: Measuring,
    output: Path,
    baselines: Sequence[Baseline] = (),
    add_parts: AddParts = no_parts,
) -> dict[str, Any]:
    """Write everything that is known of a finished model's labels.

    Every model's thresholds, those of the rows to beat too, have the greatest F1 of each label on
    its own validation probabilities.

    Args:
        finished: probabilities and labels, 0 or 1, [N, K].
        names: of the labels, K.
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
    model = _model({split: of.answers for split, of in splits.items()}, splits["val"].targets)
    found = {split: _resampled(model, split, of, measuring) for split, of in splits.items()}
    metrics = _summary(found, splits, model, measuring)
    comparison = None
    if baselines:
        beside, comparison = _compare(model, found, splits, baselines, measuring)
        metrics |= beside
    tables = _tables(finished, splits["test"], names, model, found["test"], measuring)
    tables["generalization_gap"] = pd.DataFrame(
        [{"split": split, **metrics[split]} for split in SPLITS]
    )
    if comparison is not None:
        tables["baselines"] = comparison
    wrong = _most_wrong(tables["predictions"], measuring.num_most_wrong)
    tables["most_wrong"] = wrong
    with output_folder(output) as folder:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / HEADLINE_FILE, _headline(metrics))
        for name, table in tables.items():
            write_csv(folder / f"{name}.csv", safe_cells(table))
        drawn = _draw(tables, finished.examples, metrics["test"])
        for name, content in drawn.items():
            write_bytes(folder / f"{name}.png", content)
        write_parts(folder, [*results_parts(metrics), *add_parts(folder)])
    return metrics


def _model(probability: Mapping[str, np.ndarray], val_labels: np.ndarray) -> _Model:
    exact = {split: of.astype(float) for split, of in probability.items()}
    return _Model(exact, choose_thresholds(val_labels, exact["val"]))


def _resampled(
    model: _Model, split: str, of: Finished, measuring: Measuring
) -> Resampled[MultilabelMetrics]:
    measure = partial(
        multilabel_metrics, of.targets, model.probability[split],
        thresholds=model.thresholds, num_bins=measuring.num_bins,
    )  # fmt: skip
    return resample(measure, of.groups, measuring, split)


def _summary(
    found: Mapping[str, Resampled[MultilabelMetrics]],
    splits: Mapping[str, Finished],
    model: _Model,
    measuring: Measuring,
) -> dict[str, Any]:
    """Numbers with intervals per split, and the gaps between splits.

    The calibration error has no interval: each of its resamples holds luck on top of luck.
    """
    confidence = measuring.confidence
    summary: dict[str, Any] = {"task": LABELS, "interval": {"confidence": confidence}}
    for split, of in found.items():
        numbers: dict[str, float] = {"num_pictures": len(splits[split].ids)}
        for name in SCALARS:
            numbers |= of.number(name, confidence)
        perfect = _perfect(model.probability[split], splits[split].groups, measuring, split)
        calibration = {
            "ece": float(of.itself.ece[0]),
            "ece_if_perfect_mean": perfect.mean,
            "ece_if_perfect_high": perfect.high,
            "labels_per_picture": float(splits[split].targets.sum(axis=1).mean()),
            "predicted_per_picture": float(model.predicted(split).sum(axis=1).mean()),
        }
        summary[split] = numbers | {key: round(value, 6) for key, value in calibration.items()}
    summary["thresholds"] = [round(value, 6) for value in model.thresholds.tolist()]
    summary["gap"] = gaps(found, "mean_average_precision", "nll", confidence)
    return summary


def _perfect(
    probability: np.ndarray, groups: Sequence[str], measuring: Measuring, split: str
) -> PerfectCalibration:
    """Of a model whose labels are present as often as it says, each by itself.

    Near-duplicates share the luck of a label; the labels of a picture share none.
    """
    pairs = [f"{k} {group}" for group in groups for k in range(probability.shape[1])]
    return perfect_calibration(
        probability.reshape(-1, 1), np.asarray(pairs, dtype=object), num_bins=measuring.num_bins,
        num_resamples=measuring.num_resamples, confidence=measuring.confidence,
        seed=measuring.seed, purpose=split,
    )  # fmt: skip


def _compare(
    model: _Model,
    found: Mapping[str, Resampled[MultilabelMetrics]],
    splits: Mapping[str, Finished],
    baselines: Sequence[Baseline],
    measuring: Measuring,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The model beside the rows to beat, see :func:`sftcore.tasks.report_numbers.compare`."""
    resampled = {FINE_TUNED: {split: found[split] for split in ("val", "test")}}
    beside: dict[str, Any] = {}
    for row in baselines:
        other = _model({"val": row.val, "test": row.test}, splits["val"].targets)
        resampled[row.name] = {
            split: _resampled(other, split, splits[split], measuring) for split in ("val", "test")
        }
        if row.name == LOGISTIC_REGRESSION:
            labels = splits["test"].targets
            is_right = [(of.predicted("test") == labels).all(axis=1) for of in (model, other)]
            beside["paired"] = paired_numbers(*is_right)
    settings = {row.name: row.settings for row in baselines}
    numbers, table = compare(
        resampled, settings, _COMPARED, LOGISTIC_REGRESSION, measuring.confidence
    )
    return beside | numbers, table


def _headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What DVC's tables show."""
    name = "mean_average_precision"
    names = {name: "test_map", f"{name}_low": "test_low", f"{name}_high": "test_high"}
    return {short: round(metrics["test"][name], 4) for name, short in names.items()}


def _tables(
    finished: Finished,
    test: Finished,
    names: Sequence[str],
    model: _Model,
    found: Resampled[MultilabelMetrics],
    measuring: Measuring,
) -> dict[str, pd.DataFrame]:
    return {
        "predictions": predictions_table(finished, names, model.thresholds),
        "per_label": per_label_table(
            names, test.targets, model.thresholds, found.itself, found.many, measuring.confidence
        ),
        "reliability": pooled_reliability_table(
            test.targets, model.probability["test"], measuring.num_bins
        ),
    }


def _most_wrong(predictions: pd.DataFrame, count: int) -> pd.DataFrame:
    """The test pictures with the greatest loss, by their rows in the data set."""
    test = predictions[predictions["split"] == "test"]
    worst = test.sort_values(["loss", "id"], ascending=[False, True]).head(count)
    return worst[["id", "labels", "predicted", "loss"]]


def _draw(
    tables: Mapping[str, pd.DataFrame], images: np.ndarray, test: Mapping[str, float]
) -> dict[str, bytes]:
    wrong = tables["most_wrong"]
    lists = [[json.loads(cell) for cell in wrong[name]] for name in ("labels", "predicted")]
    pairs = [
        (tuple(n for n in true if n not in said), tuple(n for n in said if n not in true))
        for true, said in zip(*lists, strict=True)
    ]
    perfect = PerfectCalibration(test["ece_if_perfect_mean"], test["ece_if_perfect_high"])
    title = f"ECE {test['ece']:.3f},\n{perfect.words(test['ece'])}"
    drawn = {
        "per_label": figures.per_label_figure(tables["per_label"]),
        "reliability": figures.reliability_figure(tables["reliability"], title),
        "generalization_gap": figures.gap_figure(tables["generalization_gap"]),
        "most_wrong": figures.most_wrong_figure(pairs, images[wrong.index.to_numpy()]),
    }
    if "baselines" in tables:
        drawn["baselines"] = figures.baselines_figure(tables["baselines"])
    return drawn
