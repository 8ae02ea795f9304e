"""What the report of a run says of its training."""

from collections.abc import Sequence

import pandas as pd

from sftcore.reporting.parts import Figure, Part, Table
from sftcore.tasks.contract import Task

_UPDATES = "A line per update that led to the last parameters, with the guard's limits."


def training_parts(
    history: pd.DataFrame,
    incidents: pd.DataFrame,
    chosen: str,
    best_epoch: int,
    figures: Sequence[str],
    task: type[Task],
    not_seen: str = "",
) -> list[Part]:
    """The parts of ``reports/finetune``.

    Args:
        history: a line per epoch; see :func:`sftcore.training.tables.history_table`.
        incidents: of the guard.
        chosen: the parameters that validation chose, in words.
        best_epoch: of least validation loss, or most of another metric.
        figures: names of the PNG files that were drawn.
        task: that was trained.
        not_seen: what the network does not see of the examples; empty if it sees all.
    """
    headline = task.words[task.scores[0]]
    last, num_head = history.iloc[-1], int((history["phase"] == "head").sum())
    words = (
        f"Epochs of the head alone: {num_head}; of the trained blocks with it: "
        f"{len(history) - num_head}. Validation chose: {chosen} (the best epoch was {best_epoch}). "
        f"After the last epoch the loss is {last['train_loss']:.3f} on training {task.examples} "
        f"and {last['val_loss']:.3f} on validation {task.examples}, as "
        f"{task.loss_words} of plain {task.examples}.",
        f"The guard answered {len(incidents)} incidents."
        if len(incidents)
        else "The guard saw nothing to answer.",
        *([not_seen] if not_seen else []),
    )
    course = Part(
        "The course of the training",
        words,
        (
            Figure(
                "history.png",
                f"By epoch: loss, {headline}, learning rate at its end with its mean gradient "
                "norm, and the norm of the parameters and of their distance from the pretrained "
                "ones.",
                "history.csv",
            ),
        ),
    )
    return [course, _candidates(figures, task), *_stability(incidents, figures)]


def _candidates(figures: Sequence[str], task: type[Task]) -> Part:
    line = Figure("wise_ft.png", "From the trained head to the trained network.", "candidates.csv")
    return Part(
        "What it could have ended with",
        figures=(line,) if line.file in figures else (),
        tables=(
            Table(
                "candidates.csv",
                f"A line per candidate; the choosing {task.examples} decide.",
                {
                    "name": "candidate", "epochs": "epochs", "alpha": "alpha",
                    "val_loss": "validation loss",
                    f"val_{task.scores[0]}": f"validation {task.words[task.scores[0]]}",
                    "train_loss": "training loss", "is_chosen": "chosen",
                },
            ),
        ),
        is_folded=True,
    )  # fmt: skip


def _stability(incidents: pd.DataFrame, figures: Sequence[str]) -> list[Part]:
    shown = (
        Table(
            "incidents.csv",
            "A line per incident: what the guard saw, and what it did.",
            {
                "phase": "phase", "epoch": "epoch", "step": "update", "trouble": "trouble",
                "loss": "loss", "gradient_norm": "gradient norm", "answer": "answer",
                "rate_factor": "rate times",
            },
            own_digits=("loss", "gradient_norm", "rate_factor"),
        ),
    )  # fmt: skip
    parts = [
        Part(
            "Every update",
            figures=(Figure("updates.png", _UPDATES, "updates.csv"),),
            tables=shown if len(incidents) else (),
            is_folded=not len(incidents),
        )
    ]
    if "range_test.png" in figures:
        test = Figure(
            "range_test.png",
            "The learning-rate range test: loss while the rate rises; it leaves no trace in the "
            "training.",
            "range_test.csv",
        )
        parts.append(Part("The range test", figures=(test,), is_folded=True))
    return parts
