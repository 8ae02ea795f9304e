"""Names of tasks and what they learn from, for what must not import all that a task trains with."""

from dataclasses import dataclass

from sftcore.data.targets.target import TargetKind

CLASSES, LABELS, NUMBERS = "classification", "multilabel", "regression"
CLASSES_OF_TEXTS = "text_classification"
ANSWERS = "causal_lm"
MASKS, BOXES = "segmentation", "detection"
PLACED = ("masks", "boxes")  # targets that lie in a picture


@dataclass(frozen=True)
class Learnt:
    """What a task is about.

    Attributes:
        kind: of its examples, ``pictures``, ``texts`` or ``dialogues``.
        target: what is predicted of each.
    """

    kind: str
    target: TargetKind


LEARNT = {
    CLASSES: Learnt("pictures", "class"),
    LABELS: Learnt("pictures", "labels"),
    NUMBERS: Learnt("pictures", "numbers"),
    CLASSES_OF_TEXTS: Learnt("texts", "class"),
    ANSWERS: Learnt("dialogues", "answers"),
    MASKS: Learnt("pictures", "masks"),
    BOXES: Learnt("pictures", "boxes"),
}
