"""From a table of predictions to numbers with intervals, tables and figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.foundations.artifacts import output_folder, write_bytes, write_csv, write_json
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import safe_cells
from sftcore.metrics.calibration import (
    PerfectCalibration,
    fit_temperature,
    perfect_calibration,
    reliability_table,
    scale_probabilities,
    squared_calibration_error,
)
from sftcore.metrics.classification import SCALARS, Metrics, confusion_matrix
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.metrics.weighted import interval_where
from sftcore.reporting.parts import Part, write_parts
from sftcore.tasks.classification import figures
from sftcore.tasks.classification.comparison import (
    COMPARED,
    compare,
    paired_counts,
    resample,
)
from sftcore.tasks.classification.most_wrong import ShowWrong, show_pictures
from sftcore.tasks.classification.results_parts import results_parts
from sftcore.tasks.finished import SPLITS
from sftcore.tasks.report_contract import Resampling
from sftcore.tasks.report_numbers import HEADLINE_FILE, Resampled, gaps, with_interval


@dataclass(frozen=True)
class Telling:
    """What the report of classes says otherwise for another kind of examples.

    Attributes:
        task: in ``metrics.json``; that of pictures names none.
        examples: what examples are called.
        more: numbers beside those of every report, of
            :class:`sftcore.metrics.classification.Metrics`; more of each is better.
        show_wrong: shows the examples that the model is most wrong about.
    """

    task: str = ""
    examples: str = "pictures"
    more: tuple[str, ...] = ()
    show_wrong: ShowWrong = show_pictures


def write_report(
    table: pd.DataFrame,
    classes: list[str],
    examples: np.ndarray,
    *,
    groups: Sequence[str],
    num_bootstrap: int,
    confidence: float,
    num_calibration_bins: int,
    num_most_wrong: int,
    seed: int,
    output: Path,
    baselines: Sequence[Baseline] = (),
    add_parts: Callable[[Path], Sequence[Part]] = lambda folder: (),
    telling: Telling = Telling(),
) -> dict[str, Any]:
    """Write everything that is known of a finished model's predictions.

    Args:
        table: columns id, split, label, predicted, confidence, probability_of_label, p_0 .. p_C-1.
        classes: C names.
        examples: the table's: uint8 [N, S, S, 3] of pictures, objects [N] of texts.
        groups: name of each example's group of near-duplicates [N], which are resampled together.
        num_bootstrap: resamples behind each interval and each band of perfect calibration.
        confidence: of the intervals.
        num_calibration_bins: of the calibration error.
        num_most_wrong: examples shown.
        seed: of the bootstrap.
        output: folder to write.
        add_parts: writes more files into the folder that it is given, and says what they show.
        baselines: rows to beat, on the table's examples of val and of test in their order; without
            any, nothing is said of them.
        telling: what examples are called, and how they are shown.

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: a split is empty, a label is not a class, a probability is not finite, or the
            examples or groups are not one per row.
        OutputError: the disk is full or the folder cannot be written.
    """
    _check(table, classes, examples, groups, telling.examples)
    noun = telling.examples
    table = table.reset_index(drop=True)  # examples are found by row, whatever the index was
    index_of = {name: index for index, name in enumerate(classes)}
    labels = table["label"].map(index_of).to_numpy(dtype=np.int64)
    probability = table[[f"p_{k}" for k in range(len(classes))]].to_numpy(dtype=float)
    rows_of = {split: (table["split"] == split).to_numpy(dtype=bool) for split in SPLITS}
    resampling = Resampling(num_bootstrap, confidence, num_calibration_bins, seed)
    judged = {
        split: _judge(labels[rows], probability[rows], np.asarray(groups)[rows], resampling, split)
        for split, rows in rows_of.items()
    }
    metrics = _summarize(judged, confidence, telling)
    beside, comparison = compare(
        {split: of.resampled for split, of in judged.items()}, baselines,
        {split: labels[rows] for split, rows in rows_of.items()},
        {split: np.asarray(groups)[rows] for split, rows in rows_of.items()}, resampling,
        COMPARED | dict.fromkeys(telling.more, False),
    )  # fmt: skip
    val, test = rows_of["val"], rows_of["test"]
    temperature = fit_temperature(np.log(probability[val].clip(1e-12)), labels[val])
    scaled = scale_probabilities(probability[test], temperature)
    at_temperature = _judge(labels[test], scaled, np.asarray(groups)[test], resampling, "test")
    numbers = _numbers(at_temperature, ("accuracy", "nll", "brier"), confidence)
    metrics["temperature"] = {"temperature": round(temperature, 6)}
    metrics["temperature"] |= {f"test_{name}": number for name, number in numbers.items()}
    if baselines:
        metrics |= beside
        metrics["paired"] = paired_counts(labels[test], probability[test], baselines, noun)
    per_class = _per_class(judged["test"], labels[test], classes, confidence)
    reliability = reliability_table(labels[test], probability[test], num_calibration_bins)
    after = reliability_table(labels[test], scaled, num_calibration_bins)
    matrix = confusion_matrix(labels[test], probability[test].argmax(axis=1), len(classes))
    gap = pd.DataFrame([{"split": split, **metrics[split]} for split in SPLITS])
    wrong = table[test].sort_values(["probability_of_label", "id"]).head(num_most_wrong)
    with output_folder(output) as folder:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / HEADLINE_FILE, _headline(metrics))
        write_csv(folder / "predictions.csv", safe_cells(table))
        write_csv(folder / "per_class.csv", safe_cells(per_class))
        pairs = table.loc[test, ["label", "predicted"]].rename(columns={"label": "actual"})
        write_csv(folder / "confusion.csv", safe_cells(pairs))
        frame = pd.DataFrame(matrix, columns=classes)
        frame.insert(0, "actual", classes)
        write_csv(folder / "confusion_matrix.csv", safe_cells(frame))
        counts = {"num_pictures": f"num_{noun}"}
        write_csv(folder / "reliability.csv", reliability.rename(columns=counts))
        write_csv(folder / "reliability_scaled.csv", after.rename(columns=counts))
        write_csv(folder / "generalization_gap.csv", gap)
        drawn = {
            "confusion": figures.confusion_figure(matrix, classes),
            "per_class": figures.per_class_figure(per_class, noun),
            "reliability": figures.reliability_figure(
                (reliability, f"as trained: {judged['test'].calibration_words}"),
                (after, f"at temperature {temperature:.2f}: {at_temperature.calibration_words}"),
                noun,
            ),
            "generalization_gap": figures.gap_figure(gap, noun),
        }
        if baselines:
            write_csv(folder / "baselines.csv", comparison)
            drawn["baselines"] = figures.baselines_figure(comparison, noun)
        for name, content in drawn.items():
            write_bytes(folder / f"{name}.png", content)
        hardest = telling.show_wrong(wrong, examples[wrong.index.to_numpy()], folder)
        write_parts(folder, [*results_parts(metrics, noun), hardest, *add_parts(folder)])
    return metrics


def _headline(metrics: dict[str, Any]) -> dict[str, float]:
    """What DVC's tables show."""
    names = {"accuracy": "test_acc", "accuracy_low": "test_low", "accuracy_high": "test_high"}
    return {short: round(metrics["test"][name], 4) for name, short in names.items()}


def _check(
    table: pd.DataFrame,
    classes: list[str],
    examples: np.ndarray,
    groups: Sequence[str],
    noun: str,
) -> None:
    if len(groups) != len(table):
        raise DataError(f"{len(table)} predictions and {len(groups)} groups: give one per row")
    if len(examples) != len(table):
        raise DataError(f"{len(table)} predictions and {len(examples)} {noun}: give one per row")
    if empty := [split for split in SPLITS if not (table["split"] == split).any()]:
        raise DataError(
            f"no {noun.removesuffix('s')} in split {', '.join(empty)}, so there is nothing to "
            f"report: add {noun}, or raise data.val_fraction and data.test_fraction"
        )
    if unknown := sorted(set(table["label"]) - set(classes)):
        raise DataError(
            f"label {', '.join(map(repr, unknown))} is not a class of the model: run `dvc repro`"
        )
    probability = table[[f"p_{k}" for k in range(len(classes))]].to_numpy(dtype=float)
    if num_bad := int((~np.isfinite(probability)).any(axis=1).sum()):
        raise DataError(
            f"the model gives no finite probability for {num_bad} of {len(table)} {noun}: it "
            "diverged, so lower train.learning_rate and train again"
        )


@dataclass(frozen=True)
class _Judged:
    """A split's metrics: themselves, of every resample, and of a perfectly calibrated model."""

    num_examples: int
    resampled: Resampled[Metrics]
    perfect: PerfectCalibration
    squared_calibration_error: float

    @property
    def itself(self) -> Metrics:
        return self.resampled.itself

    @property
    def many(self) -> Metrics:
        return self.resampled.many

    @property
    def calibration_words(self) -> str:
        ece = float(self.itself.ece[0])
        return f"ECE {ece:.3f},\n{self.perfect.words(ece)}"


def _judge(
    labels: np.ndarray,
    probability: np.ndarray,
    groups: np.ndarray,
    resampling: Resampling,
    split: str,
) -> _Judged:
    num_bins, seed = resampling.num_bins, resampling.seed
    resampled = resample(labels, probability, groups, resampling, split)
    perfect = perfect_calibration(
        probability, groups, num_bins=num_bins, num_resamples=resampling.num_resamples,
        confidence=resampling.confidence, seed=seed, purpose=split,
    )  # fmt: skip
    squared = squared_calibration_error(labels, probability, groups, num_bins)
    return _Judged(len(labels), resampled, perfect, squared)


def _numbers(judged: _Judged, names: Sequence[str], confidence: float) -> dict[str, float]:
    """Metrics with intervals, and the calibration error beside that of a perfect model.

    The calibration error has no interval: each of its resamples holds luck on top of luck, so that
    its percentiles never reach down to a perfectly calibrated model.
    """
    numbers: dict[str, float] = {}
    for name in names:
        value, many = getattr(judged.itself, name), getattr(judged.many, name)
        numbers |= with_interval(name, value, many, confidence)
    calibration = {
        "ece": float(judged.itself.ece[0]),
        "ece_if_perfect_mean": judged.perfect.mean,
        "ece_if_perfect_high": judged.perfect.high,
        "squared_calibration_error": judged.squared_calibration_error,
        "rms_calibration_error": max(0.0, judged.squared_calibration_error) ** 0.5,
    }
    return numbers | {name: round(number, 6) for name, number in calibration.items()}


def _summarize(judged: dict[str, _Judged], confidence: float, telling: Telling) -> dict[str, Any]:
    """Numbers with intervals per split, and the gaps between splits."""
    scalars = (*SCALARS, *telling.more)
    summary: dict[str, Any] = {
        split: {f"num_{telling.examples}": of.num_examples} | _numbers(of, scalars, confidence)
        for split, of in judged.items()
    }
    summary |= {"task": telling.task} if telling.task else {}
    summary["interval"] = {"confidence": confidence}
    resampled = {split: of.resampled for split, of in judged.items()}
    summary["gap"] = gaps(resampled, "accuracy", "nll", confidence)
    return summary


def _per_class(
    judged: _Judged, labels: np.ndarray, classes: list[str], confidence: float
) -> pd.DataFrame:
    value, many = judged.itself, judged.many
    columns: dict[str, Any] = {
        "class": classes,
        "support": np.bincount(labels, minlength=len(classes)),
    }
    defined = {"precision": many.is_predicted, "recall": many.occurs, "f1": many.occurs}
    for name, is_defined in defined.items():
        low, high = interval_where(getattr(many, name), is_defined, confidence)
        columns |= {name: getattr(value, name)[0], f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(columns)
