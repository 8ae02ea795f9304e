"""From sums over answers to metrics with intervals, answers before and after, and tables."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.dialogues.canaries import Canary
from sftcore.foundations.artifacts import output_folder, write_bytes, write_csv, write_json
from sftcore.foundations.tables import safe_cells
from sftcore.metrics.foretelling import SCALARS, ForetellingMetrics, foretelling_metrics
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.models.text.answer_loss import COUNT
from sftcore.reporting.parts import write_parts
from sftcore.tasks.causal_lm import figures
from sftcore.tasks.causal_lm.asked import (
    conversation_numbers,
    conversation_table,
    converse,
    forgetting,
)
from sftcore.tasks.causal_lm.baselines import AS_IT_CAME
from sftcore.tasks.causal_lm.exposure import exposure
from sftcore.tasks.causal_lm.predictions import most_wrong_table, predictions_table, row_losses
from sftcore.tasks.causal_lm.results_parts import results_parts
from sftcore.tasks.finished import SPLITS, Finished
from sftcore.tasks.names import ANSWERS
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
_COMPARED = {"perplexity": True, "loss": True, "token_accuracy": False}


def write_report(
    finished: Finished,
    measuring: Measuring,
    output: Path,
    baselines: Sequence[Baseline] = (),
    add_parts: AddParts = no_parts,
    planted: Sequence[Canary] = (),
) -> dict[str, Any]:
    """Write everything that is known of a finished decoder.

    Args:
        finished: sums over the answers of each dialogue [N, 3], and who can be asked for more.
        measuring: how often resamples are drawn, how many prompts are answered, and the like.
        output: folder to write.
        baselines: rows to beat, on the dialogues of val and of test in their order.
        add_parts: see :meth:`sftcore.tasks.report_contract.TaskReport.write`.
        planted: canaries that the model was trained with.

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: see :meth:`sftcore.tasks.finished.Finished.check`, or a prompt leaves no room for
            an answer.
        OutputError: the disk is full or the folder cannot be written.
    """
    finished.check()
    splits = {split: finished.of(split) for split in SPLITS}
    found = {split: _resampled(of.answers, split, of, measuring) for split, of in splits.items()}
    metrics = _summary(found, splits, measuring)
    tables = {
        "predictions": predictions_table(finished),
        "most_wrong": most_wrong_table(finished, measuring.num_most_wrong),
    }
    if baselines:
        beside, tables["baselines"] = _compare(found, splits, baselines, measuring)
        metrics |= beside
    _ask(finished, measuring, metrics, tables)
    if planted and finished.speaker is not None:
        metrics["canaries"] = exposure(planted, finished.speaker)
    tables["generalization_gap"] = pd.DataFrame(
        [{"split": split} | metrics[split] for split in SPLITS]
    )
    with output_folder(output) as folder:
        write_json(folder / "metrics.json", metrics)
        write_json(folder / HEADLINE_FILE, _headline(metrics))
        for name, table in tables.items():
            write_csv(folder / f"{name}.csv", safe_cells(table))
        for name, content in _draw(splits["test"], tables, baselines).items():
            write_bytes(folder / f"{name}.png", content)
        parts = results_parts(metrics, measuring.most_tokens, list(tables))
        write_parts(folder, [*parts, *add_parts(folder)])
    return metrics


def _resampled(
    sums: np.ndarray, split: str, of: Finished, measuring: Measuring
) -> Resampled[ForetellingMetrics]:
    return resample(partial(foretelling_metrics, sums), of.groups, measuring, split)


def _summary(
    found: Mapping[str, Resampled[ForetellingMetrics]],
    splits: Mapping[str, Finished],
    measuring: Measuring,
) -> dict[str, Any]:
    """Numbers with intervals per split, and the gaps between splits."""
    confidence = measuring.confidence
    summary: dict[str, Any] = {"task": ANSWERS, "interval": {"confidence": confidence}}
    for split, of in found.items():
        num_tokens = int(splits[split].answers[:, COUNT].sum())
        summary[split] = {"num_dialogues": len(splits[split].ids), "num_tokens": num_tokens}
        for name in SCALARS:
            summary[split] |= of.number(name, confidence)
    summary["gap"] = gaps(found, "token_accuracy", "loss", confidence)
    return summary


def _compare(
    found: Mapping[str, Resampled[ForetellingMetrics]],
    splits: Mapping[str, Finished],
    baselines: Sequence[Baseline],
    measuring: Measuring,
) -> tuple[dict[str, Any], pd.DataFrame]:
    models = {FINE_TUNED: {split: found[split] for split in ("val", "test")}}
    for row in baselines:
        models[row.name] = {
            split: _resampled(sums, split, splits[split], measuring)
            for split, sums in (("val", row.val), ("test", row.test))
            if len(sums)
        }
    settings = {row.name: row.settings for row in baselines}
    return compare(models, settings, _COMPARED, AS_IT_CAME, measuring.confidence)


def _ask(
    finished: Finished,
    measuring: Measuring,
    metrics: dict[str, Any],
    tables: dict[str, pd.DataFrame],
) -> None:
    """Add what is answered, what was learnt by heart, and what was forgotten."""
    if finished.speaker is None:
        return
    loss = row_losses(finished.answers)
    for split, name in (("test", "answers"), ("train", "answers_in_training")):
        said = converse(finished, split, measuring, with_before=split == "test")
        metrics[name] = conversation_numbers(said, finished.groups, measuring.confidence)
        if len(said.rows):
            tables[name] = conversation_table(said, finished, loss, finished.ids)
    if forgotten := forgetting(finished, measuring):
        metrics["foreign_text"] = forgotten


def _headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What DVC's tables show."""
    names = {
        "perplexity": "test_perplexity",
        "perplexity_low": "test_low",
        "perplexity_high": "test_high",
    }
    return {short: round(metrics["test"][name], 4) for name, short in names.items()}


def _draw(
    test: Finished, tables: Mapping[str, pd.DataFrame], baselines: Sequence[Baseline]
) -> dict[str, bytes]:
    drawn = {"generalization_gap": figures.gap_figure(tables["generalization_gap"])}
    for row in baselines:
        if row.name == AS_IT_CAME:
            before, after = row_losses(row.test), row_losses(test.answers)
            drawn["before_after"] = figures.before_after_figure(before, after)
    if "baselines" in tables:
        drawn["baselines"] = figures.baselines_figure(tables["baselines"])
    return drawn
