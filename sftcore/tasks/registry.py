"""The tasks by name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskFacts:
    """What settings are checked against.

    Attributes:
        scores: what an epoch and a study measure besides the loss, the headline first.
        examples: what examples are called.
    """

    scores: tuple[str, ...]
    examples: str


TASKS = {
    "classification": TaskFacts(("accuracy", "balanced_accuracy", "macro_f1"), "pictures"),
}
