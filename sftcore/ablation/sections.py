"""The parts of a study's report: words, figures and tables."""

import pandas as pd

from sftcore.ablation.effects import MOST_ON_LAST_EPOCH
from sftcore.ablation.study import Study
from sftcore.ablation.table import FINISHED, trained_rows
from sftcore.metrics.intervals import failure_bound
from sftcore.reporting.parts import Figure, Part, Table
from sftcore.settings.grids import COMPOSED_ROW, ROW_WORDS, AblationSettings, Changes

_QUESTIONS = {
    "worth": "Is fine-tuning worth it?",
    "overfitting": "Does it over-fit?",
    "helped": "What helps?",
    "failures": "What failed?",
    "more_data": "Does more data help?",
    "stable": "Which learning rates are safe?",
    "advice": "What to set?",
}
_COMPARED = {
    "row": "row", "metric": "metric", "difference": "difference", "low": "low", "high": "high",
    "verdict": "verdict", "visible": "visible from", "num_failed": "failed",
    "num_on_last_epoch": "best at end",
}  # fmt: skip
_INTERVAL = "Lines: intervals for new pictures and new seeds (corrected resampled t), each at"


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


def _worth(study: Study) -> Part:
    return Part(
        "What fine-tuning is worth",
        (
            "Your recipe, each confirmed row, nearest neighbours and the most frequent class minus "
            "logistic regression on the frozen features, in the same replicates.",
        ),
        (
            Figure(
                "worth.png",
                f"Difference from logistic regression on the frozen features. {_INTERVAL} "
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
                words=ROW_WORDS,
            ),
        ),
    )


def _overfitting(study: Study) -> Part:
    found = study.findings
    return Part(
        "Over-fitting",
        (
            "Over-fitting is what it costs: how far the loss at the last epoch stands above that "
            f"at the best one (your recipe: {found.rise.mean:+.3f} "
            f"[{found.rise.low:+.3f}, {found.rise.high:+.3f}]; its calibration error rises by "
            f"{found.calibration_rise.mean:+.3f} [{found.calibration_rise.low:+.3f}, "
            f"{found.calibration_rise.high:+.3f}]). The gap between training accuracy and accuracy "
            f"({found.gap.mean:.3f} [{found.gap.low:.3f}, {found.gap.high:.3f}]) is a gap and no "
            "harm by itself.",
        ),
        (
            Figure("overfitting.png", "Accuracy by row; a dot is a replicate.", "overfitting.csv"),
            Figure(
                "calibration.png",
                "Loss as trained, and at the temperature that the choosing pictures want; means "
                "over replicates.",
                "overfitting.csv",
            ),
        ),
        (
            Table(
                "overfitting.csv",
                "Means over replicates, on pictures that had no say. A temperature above 1 means "
                "too sure of itself; loss_scaled is the loss at it.",
                {
                    "row": "row", "train_accuracy": "training accuracy", "accuracy": "accuracy",
                    "loss": "loss", "loss_rise": "loss rise", "ece": "calibration error",
                    "temperature": "temperature", "loss_scaled": "loss scaled",
                },
                words=ROW_WORDS,
            ),
        ),
    )  # fmt: skip


def _effects(study: Study, ablation: AblationSettings) -> Part:
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
                f"Difference from your recipe. {_INTERVAL} the level in the table.",
                "effects.csv",
            ),
        ),
        (
            Table(
                "effects.csv",
                "A line per row and metric.",
                {**_COMPARED, "confidence": "level", "p_holm": "p"},
                words=ROW_WORDS,
            ),
        ),
    )


def _data_size(study: Study) -> Part:
    words = []
    for law in study.laws:
        support = "does not refute" if law.is_supported else "gives no leave to go beyond"
        words.append(
            f"{ROW_WORDS.get(law.row, law.row)}: exponent b = {law.exponent.mean:+.2f} "
            f"[{law.exponent.low:+.2f}, {law.exponent.high:+.2f}] (if the law holds), and the "
            f"largest size {support} it"
        )
    return Part(
        "Does more data help?",
        (
            "Nested parts of the training pictures, with as many updates at every size (a quarter "
            "of the pictures is passed over four times as often), and logistic regression on the "
            f"frozen features beside it. {'; '.join(words)}{'.' * bool(words)}",
        ),
        (
            Figure(
                "data_size.png",
                "Error rate by training pictures; small dots are replicates, lines "
                "error = a·n^(−b), fitted replicate by replicate, dashed beyond what was measured.",
                "data_size.csv",
            ),
        ),
        (
            Table(
                "data_size.csv",
                "Means over replicates.",
                {
                    "row": "row", "num_train": "pictures", "accuracy": "accuracy",
                    "accuracy_spread": "spread", "loss": "loss", "gap": "gap",
                    "num_replicates": "replicates", "num_on_last_epoch": "best at end",
                },
                words=ROW_WORDS,
            ),
        ),
    )  # fmt: skip


def _stability(study: Study, ablation: AblationSettings) -> Part:
    grid = ablation.chosen.stability
    assert grid is not None
    base = f" with {_listing(grid.base)}" if grid.base else ""
    bound = failure_bound(0, grid.num_replicates, ablation.confidence)
    rates = sorted(study.findings.stability["learning_rate"].unique())
    return Part(
        "The stability map",
        (
            f"Starting from your recipe{base}, each answer put on top of it, every rate in "
            f"{grid.num_replicates} replicates. "
            "Safe: in every replicate the last epoch is better than the head alone on pictures "
            "that had no say. Diverged: not finite, or the guard gave up. Collapsed: no better "
            "than guessing on training pictures. A cell with no failure in so few replicates "
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
    screen = ablation.chosen.screen
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
                    "accuracy": "accuracy", "num_failed": "failed",
                    "num_on_last_epoch": "best at end",
                },
                words=ROW_WORDS,
            ),
        ),
        is_folded=True,
    )  # fmt: skip


def _curves(study: Study) -> Part:
    return Part(
        "Every training of the study",
        ("The confirmed rows by epoch; and all cells, with the simpler rows to beat.",),
        (
            Figure(
                "curves.png", "Loss by epoch on training and choosing pictures; means over "
                "replicates.", "curves.csv",
            ),
        ),
        (
            Table(
                "cells.csv",
                "A line per training, or per row to beat that needs none.",
                {
                    "family": "family", "row": "row", "replicate": "replicate", "status": "status",
                    "chosen": "chosen", "loss": "loss", "accuracy": "accuracy",
                },
                most_rows=20,
                words=ROW_WORDS,
            ),
        ),
        is_folded=True,
    )  # fmt: skip


def row_means(cells: pd.DataFrame) -> pd.DataFrame:
    """Means over the replicates of each confirmed row."""
    table = trained_rows(cells)
    columns = ["train_loss", "loss", "train_accuracy", "accuracy", "gap", "loss_rise", "ece",
               "temperature", "loss_scaled", "weight_distance"]  # fmt: skip
    grouped = table.groupby("row", sort=False)
    means = grouped[columns].mean()
    means.insert(0, "failed", grouped["status"].apply(lambda status: (status != FINISHED).sum()))
    means.insert(0, "replicates", grouped.size())
    return means.reset_index()


def _listing(changes: Changes) -> str:
    return ", ".join(f"{name} {value}" for name, value in changes.items())
