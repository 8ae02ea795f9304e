"""Parts of a study's report beside the confirmation: data size, stability, screen, curves."""

from sftcore.ablation.study import Study
from sftcore.metrics.intervals import failure_bound
from sftcore.reporting.parts import Figure, Part, Table
from sftcore.settings.grids import AblationSettings, Changes, row_words


def data_size_part(study: Study) -> Part:
    """What more examples bring."""
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
            f"{task.probe_phrase()} beside it. {'; '.join(words)}"
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


def stability_part(study: Study, ablation: AblationSettings) -> Part:
    """Which learning rates are safe."""
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


def screen_part(study: Study, ablation: AblationSettings) -> Part:
    """What was tried."""
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


def curves_part(study: Study) -> Part:
    """Every training."""
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


def _listing(changes: Changes) -> str:
    return ", ".join(f"{name} {value}" for name, value in changes.items())


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]
