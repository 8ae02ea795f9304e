"""The parts of a study's report: words, figures and tables."""

import pandas as pd

from sftcore.ablation.effects import MOST_ON_LAST_EPOCH
from sftcore.ablation.other_parts import curves_part, data_size_part, screen_part, stability_part
from sftcore.ablation.study import Study
from sftcore.ablation.table import FINISHED, trained_rows
from sftcore.reporting.numbers import difference
from sftcore.reporting.parts import Figure, Part, Table
from sftcore.settings.grids import COMPOSED_ROW, AblationSettings, Changes, row_words
from sftcore.tasks.contract import Task

_QUESTIONS = {
    "stand_in": "Which network?",
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
        parts.append(data_size_part(study))
    if len(study.findings.stability):
        parts.append(stability_part(study, ablation))
    return [*parts, screen_part(study, ablation), curves_part(study)]


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
            f"Your recipe, each confirmed row, {task.simpler_words} minus "
            f"{task.probe_phrase()}, in the same replicates.",
        ),
        (
            Figure(
                "worth.png",
                f"Difference from {task.probe_phrase()}. {_interval(task)} "
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
        f"; its calibration error rises by {difference(rise.mean, rise.low, rise.high)}"
        if rise
        else ""
    )
    scaled = "temperature" in task.outcomes
    return Part(
        "Over-fitting",
        (
            "Over-fitting is what it costs: how far the loss at the last epoch stands above that "
            "at the best one (your recipe: "
            f"{difference(found.rise.mean, found.rise.low, found.rise.high)}{calibration}). "
            "The gap between "
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
