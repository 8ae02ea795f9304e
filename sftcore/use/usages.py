"""What finished models are used for, by the name of their task."""

from typing import Any

from sftcore.tasks.classification.task import ClassificationTask
from sftcore.tasks.multilabel.task import MultilabelTask
from sftcore.tasks.regression.task import RegressionTask
from sftcore.use.classes import ClassUsage
from sftcore.use.contract import Usage
from sftcore.use.labels import LabelUsage
from sftcore.use.numbers import NumberUsage

USAGES: dict[str, type[Usage[Any, Any]]] = {
    ClassificationTask.name: ClassUsage,
    MultilabelTask.name: LabelUsage,
    RegressionTask.name: NumberUsage,
}
