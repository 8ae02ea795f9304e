"""What a model's record holds of its task, and what a history's losses are."""

from typing import Any

from sftcore.tasks.classification.task import ClassificationTask
from sftcore.tasks.contract import Task
from sftcore.tasks.multilabel.task import MultilabelTask
from sftcore.tasks.regression.task import RegressionTask

LOSS_WORDS = {
    ClassificationTask.name: "plain cross-entropy",
    MultilabelTask.name: "plain binary cross-entropy per label",
    RegressionTask.name: "plain squared error of standardised numbers",
}


def record_of(task: Task) -> dict[str, Any]:
    """Fields of :class:`sftcore.evaluation.predict.ModelRecord` that say what the outputs are.

    Args:
        task: that was trained.

    Returns:
        ``classes``; or ``task`` and ``facts``: ``names`` of the outputs, and the ``scale`` of
        numbers, see :meth:`sftcore.tasks.regression.targets.TargetScale.to_record`.
    """
    if isinstance(task, ClassificationTask):
        return {"classes": list(task.names)}
    facts: dict[str, Any] = {"names": list(task.names)}
    if isinstance(task, RegressionTask):
        facts["scale"] = task.scale.to_record()
    return {"task": task.name, "facts": facts}
