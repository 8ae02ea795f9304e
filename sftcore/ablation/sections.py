"""The parts of a study's report: words, figures and tables."""

import pandas as pd

from sftcore.ablation.effects import MOST_ON_LAST_EPOCH
from sftcore.ablation.study import Study
from sftcore.ablation.table import FINISHED, trained_rows
from sftcore.metrics.intervals import failure_bound
from sftcore.reporting.parts import Figure, Part, Table
from sftcore.settings.grids import COMPOSED_ROW, AblationSettings, Changes, row_words
from sftcore.tasks.contract import Task

_QUESTIONS = {
    "worth": "Is fine-tuning worth it?",
    "overfitting": "Does it over-fit?",
    "helped": "What helps?",
    "failures": "What failed?",
    "more_data": "Does more data help?",
    "stable": "Which learning rates are safe?",
    "advice": "What to set?",
}
_TEMPERATURE = " A temperature above 1 means too sure of itself; loss_scaled is the loss at it."
_OUTCOMES = {"ece": "calibration error", "temperature": "temperature",
             "loss_scaled": "loss scaled"}  # fmt: skip
_COMPARED = {
    "row": "row", "metric": "metric", "difference": "difference", "low": "low", "high": "high",
    "verdict": "verdict", "visible": "visible from", "num_failed": "failed",
    "num_on_last_epoch": "best at end",
}  # fmt: skip


def study_parts(study: Study, ablation: AblationSettings, intro: str) -> list[Part]:
    """All parts that the grid asks for, in their order.

    Args:
        study: its tables.
        ablation: its grid, for the words.
        intro: how the study was made.
    """
    parts = [_answers(study, intro), _worth(study), _overfitting(study)]
    if len(study.findings.effects):
        parts.append(_effects(study, ablation))
    if len(study.growth):
        parts.append(_data_size(study))
    if len(study.findings.stability):
        parts.append(_stability(study, ablation))
    return [*parts, _screen(study, ablation), _curves(study)]


def _answers(study: Study, intro: str) -> Part:
    """Questions with their answers; with the advice stands what it rests on."""
    verdict = study.verdict
    found = [f"{question} {verdict[key]}" for key, question in _QUESTIONS.items() if verdict[key]]
    if verdict["evidence"]:
        found[-1] = f"{found[-1]} {verdict['evidence']}"
    return Part("What the study found", (*found, intro))


def _interval(task: type[Task]) -> str:
    return (
        f"Lines: intervals for new {task.examples} and new seeds (corrected resampled t), each at"
    )


def _worth(study: Study) -> Part:
    task = study.findings.task
    return Part(
        "What fine-tuning is worth",
        (
            f"Your recipe, each confirmed row, {task.simpler_words} minus {task.probe_words} on "
            "the frozen features, in the same replicates.",
        ),
        (
            Figure(
                "worth.png",
                f"Difference from {task.probe_words} on the frozen features. {_interval(task)} "
                f"{study.findings.confidence:.0%}.",
                "worth.csv",
            ),
        ),
        (
            Table(
                "worth.csv",
                "Each interval is by itself. visible from: the smallest true difference that this "
                "study would have found in four of five tries; best at end: replicates in which "
                "the last epoch was the best.",
                _COMPARED,
                words=row_words(task),
            ),
        ),
    )


def _overfitting(study: Study) -> Part:
    found, task = study.findings, study.findings.task
    score, rise = task.scores[0], found.calibration_rise
    calibration = (
        f"; its calibration error rises by {rise.mean:+.3f} [{rise.low:+.3f}, {rise.high:+.3f}]"
        if rise
        else ""
    )
    scaled = "temperature" in task.outcomes
    return Part(
        "Over-fitting",
        (
            "Over-fitting is what it costs: how far the loss at the last epoch stands above that "
            f"at the best one (your recipe: {found.rise.mean:+.3f} "
            f"[{found.rise.low:+.3f}, {found.rise.high:+.3f}]{calibration}). The gap between "
            f"training {task.words[score]} and {task.words[score]} "
            f"({found.gap.mean:.3f} [{found.gap.low:.3f}, {found.gap.high:.3f}]) is a gap and no "
            "harm by itself.",
        ),
        (
            Figure(
                "overfitting.png",
                f"{_upper(task.words[score])} by row; a dot is a replicate.",
                "overfitting.csv",
            ),
            *(
                [
                    Figure(
                        "calibration.png",
                        "Loss as trained, and at the temperature that the choosing "
                        f"{task.examples} want; means over replicates.",
                        "overfitting.csv",
                    )
                ]
                if scaled
                else []
            ),
        ),
        (
            Table(
                "overfitting.csv",
                f"Means over replicates, on {task.examples} that had no say."
                + _TEMPERATURE * scaled,
                {
                    "row": "row", f"train_{score}": f"training {task.words[score]}",
                    score: task.words[score], "loss": "loss", "loss_rise": "loss rise",
                }
                | {name: _OUTCOMES[name] for name in task.outcomes if name in _OUTCOMES},
                words=row_words(task),
            ),
        ),
    )  # fmt: skip


def _effects(study: Study, ablation: AblationSettings) -> Part:
    task = study.findings.task
    num_replicates, error = ablation.chosen.confirm.num_replicates, 1 - ablation.confidence
    is_composed = COMPOSED_ROW in set(study.findings.effects["row"])
    together = ", and all of them at once (composed)" if is_composed else ""
    return Part(
        "The confirmation",
        (
            f"The best rows of the screen{together}, on top of your recipe in {num_replicates} "
            "replicates that the screen never saw. Verdict and p value allow for the number of "
            f"confirmed rows (Holm, error {error:.0%} in all), by "
            f"{ablation.metric.replace('_', ' ')}. Each interval stands at the level of its step "
            f"and leaves zero out exactly where its p is below {error:.0%}; intervals of several "
            "rows or metrics do not hold jointly.",
            f"Where more than {MOST_ON_LAST_EPOCH:.0%} of the trainings of a row or of the recipe "
            "were best at their end, they may not have converged and there is no verdict.",
        ),
        (
            Figure(
                "effects.png",
                f"Difference from your recipe. {_interval(task)} the level in the table.",
                "effects.csv",
            ),
        ),
        (
            Table(
                "effects.csv",
                "A line per row and metric.",
                {**_COMPARED, "confidence": "level", "p_holm": "p"},
                words=row_words(task),
            ),
        ),
    )


def _data_size(study: Study) -> Part:
    task = study.findings.task
    score = task.scores[0]
    words = []
    for law in study.laws:
        support = "does not refute" if law.is_supported else "gives no leave to go beyond"
        words.append(
            f"{row_words(task).get(law.row, law.row)}: exponent b = {law.exponent.mean:+.2f} "
            f"[{law.exponent.low:+.2f}, {law.exponent.high:+.2f}] (if the law holds), and the "
            f"largest size {support} it"
        )
    return Part(
        "Does more data help?",
        (
            f"Nested parts of the training {task.examples}, with as many updates at every size (a "
            f"quarter of the {task.examples} is passed over four times as often), and "
            f"{task.probe_words} on the frozen features beside it. {'; '.join(words)}"
            + "." * bool(words),
        ),
        (
            Figure(
                "data_size.png",
                f"{_upper(task.remainder)} by training {task.examples}; small dots are replicates, "
                "lines error = a·n^(−b), fitted replicate by replicate, dashed beyond what was "
                "measured.",
                "data_size.csv",
            ),
        ),
        (
            Table(
                "data_size.csv",
                "Means over replicates.",
                {
                    "row": "row", "num_train": task.examples, score: task.words[score],
                    f"{score}_spread": "spread", "loss": "loss", "gap": "gap",
                    "num_replicates": "replicates", "num_on_last_epoch": "best at end",
                },
                words=row_words(task),
            ),
        ),
    )  # fmt: skip


def _stability(study: Study, ablation: AblationSettings) -> Part:
    grid, what = ablation.chosen.stability, study.findings.task.examples
    assert grid is not None
    base = f" with {_listing(grid.base)}" if grid.base else ""
    bound = failure_bound(0, grid.num_replicates, ablation.confidence)
    rates = sorted(study.findings.stability["learning_rate"].unique())
    return Part(
        "The stability map",
        (
            f"Starting from your recipe{base}, each answer put on top of it, every rate in "
            f"{grid.num_replicates} replicates. "
            f"Safe: in every replicate the last epoch is better than the head alone on {what} "
            "that had no say. Diverged: not finite, or the guard gave up. Collapsed: no better "
            f"than guessing on training {what}. A cell with no failure in so few replicates "
            f"still allows a rate of failures of up to {bound:.0%} (one-sided "
            f"{ablation.confidence:.0%}).",
        ),
        (
            Figure(
                "stability.png", "Loss at the end by peak rate and answer; outlined: safe.",
                "stability.csv",
            ),
        ),
        (
            Table(
                "stability_words.csv",
                "A line per schedule and answer, a column per peak learning rate.",
                {"schedule": "schedule", "answer": "answer"}
                | {f"{rate:g}": f"{rate:g}" for rate in rates},
            ),
        ),
    )  # fmt: skip


def _screen(study: Study, ablation: AblationSettings) -> Part:
    screen, task = ablation.chosen.screen, study.findings.task
    base = f" Common to all its rows: {_listing(screen.base)}." if screen.base else ""
    return Part(
        "The screen",
        (
            f"Every row in {screen.num_replicates} replicates: estimates that say what is worth "
            f"confirming, and no verdict, so they have no intervals. gain is in "
            f"{ablation.metric.replace('_', ' ')}, above 0 is better.{base}",
        ),
        (
            Figure(
                "screen.png", "Mean difference from the screen's baseline; filled: confirmed.",
                "screen.csv",
            ),
        ),
        (
            Table(
                "screen.csv",
                "A line per row and setting.",
                {
                    "row": "row", "setting": "setting", "gain": "gain", "loss": "loss",
                    task.scores[0]: task.words[task.scores[0]], "num_failed": "failed",
                    "num_on_last_epoch": "best at end",
                },
                words=row_words(task),
            ),
        ),
        is_folded=True,
    )  # fmt: skip


def _curves(study: Study) -> Part:
    task = study.findings.task
    return Part(
        "Every training of the study",
        ("The confirmed rows by epoch; and all cells, with the simpler rows to beat.",),
        (
            Figure(
                "curves.png",
                f"Loss by epoch on training and choosing {task.examples}; means over replicates.",
                "curves.csv",
            ),
        ),
        (
            Table(
                "cells.csv",
                "A line per training, or per row to beat that needs none.",
                {
                    "family": "family", "row": "row", "replicate": "replicate", "status": "status",
                    "chosen": "chosen", "loss": "loss", task.scores[0]: task.words[task.scores[0]],
                },
                most_rows=20,
                words=row_words(task),
            ),
        ),
        is_folded=True,
    )  # fmt: skip


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]


def row_means(cells: pd.DataFrame, task: type[Task]) -> pd.DataFrame:
    """Means over the replicates of each confirmed row."""
    table = trained_rows(cells)
    score = task.scores[0]
    outcomes = [name for name in task.outcomes if name in _OUTCOMES]
    columns = ["train_loss", "loss", f"train_{score}", score, "gap", "loss_rise", *outcomes,
               "weight_distance"]  # fmt: skip
    grouped = table.groupby("row", sort=False)
    means = grouped[columns].mean()
    means.insert(0, "failed", grouped["status"].apply(lambda status: (status != FINISHED).sum()))
    means.insert(0, "replicates", grouped.size())
    return means.reset_index()


def _listing(changes: Changes) -> str:
    return ", ".join(f"{name} {value}" for name, value in changes.items())
