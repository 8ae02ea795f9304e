"""The reports of the tasks by name: what the evaluation of a finished model asks of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sftcore.foundations.errors import WeightsError
from sftcore.tasks.causal_lm.task_report import CausalLmReport
from sftcore.tasks.classification.task_report import ClassificationReport
from sftcore.tasks.detection.task_report import DetectionReport
from sftcore.tasks.multilabel.task_report import MultilabelReport
from sftcore.tasks.regression.task_report import RegressionReport
from sftcore.tasks.report_contract import TaskReport
from sftcore.tasks.segmentation.task_report import SegmentationReport
from sftcore.tasks.text_classification.task_report import TextClassificationReport

REPORTS: dict[str, type[TaskReport]] = {
    report.name: report
    for report in (
        ClassificationReport,
        MultilabelReport,
        RegressionReport,
        TextClassificationReport,
        CausalLmReport,
        SegmentationReport,
        DetectionReport,
    )
}


def report_of(content: Mapping[str, Any]) -> type[TaskReport]:
    """The report that ``model.json`` or ``metrics.json`` is of.

    Args:
        content: of the file; those of classification name no task.
    """
    return REPORTS[content["task"]] if "task" in content else ClassificationReport


def report_for(task: str, names: Sequence[str], facts: Mapping[str, Any]) -> TaskReport:
    """The report of a finished model.

    Args:
        task: of the model's record.
        names: of its outputs.
        facts: of its record.

    Raises:
        WeightsError: the task has no report, or the facts are damaged.
    """
    if task not in REPORTS:
        raise WeightsError(
            f"the model is of the task {task!r}, which has no report; known: {', '.join(REPORTS)}"
        )
    return REPORTS[task](names, facts)
