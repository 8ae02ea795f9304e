"""The tasks by name."""

from sftcore.tasks.classification.task import ClassificationTask
from sftcore.tasks.contract import Task

TASKS: dict[str, type[Task]] = {task.name: task for task in (ClassificationTask,)}
