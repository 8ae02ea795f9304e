"""What finished models are used for, by the name of their task."""

from typing import Any

from sftcore.tasks.names import (
    ANSWERS,
    BOXES,
    CLASSES,
    CLASSES_OF_TEXTS,
    LABELS,
    MASKS,
    NUMBERS,
)
from sftcore.use.answers import AnswerUsage
from sftcore.use.boxes import BoxUsage
from sftcore.use.classes import ClassUsage
from sftcore.use.contract import Usage
from sftcore.use.labels import LabelUsage
from sftcore.use.masks import MaskUsage
from sftcore.use.numbers import NumberUsage

USAGES: dict[str, type[Usage[Any, Any]]] = {
    CLASSES: ClassUsage,
    CLASSES_OF_TEXTS: ClassUsage,
    LABELS: LabelUsage,
    NUMBERS: NumberUsage,
    ANSWERS: AnswerUsage,
    MASKS: MaskUsage,
    BOXES: BoxUsage,
}
