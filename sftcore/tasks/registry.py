"""The tasks by name: what the engine and a study ask of them."""

from sftcore.tasks.causal_lm.task import CausalLmTask
from sftcore.tasks.classification.task import ClassificationTask
from sftcore.tasks.contract import Task
from sftcore.tasks.detection.task import DetectionTask
from sftcore.tasks.multilabel.task import MultilabelTask
from sftcore.tasks.regression.task import RegressionTask
from sftcore.tasks.segmentation.task import SegmentationTask
from sftcore.tasks.text_classification.task import TextClassificationTask

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        ClassificationTask,
        MultilabelTask,
        RegressionTask,
        TextClassificationTask,
        CausalLmTask,
        SegmentationTask,
        DetectionTask,
    )
}
