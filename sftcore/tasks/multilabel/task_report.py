"""The report of labels, as a task's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sftcore.metrics.rows_to_beat import Baseline
from sftcore.tasks.finished import Finished
from sftcore.tasks.multilabel.baselines import LOGISTIC_REGRESSION, rows_to_beat
from sftcore.tasks.multilabel.report import write_report
from sftcore.tasks.multilabel.task import MultilabelTask
from sftcore.tasks.names import LABELS
from sftcore.tasks.report_contract import (
    AddParts,
    Known,
    Measuring,
    Shown,
    TaskReport,
    no_parts,
)
from sftcore.tasks.report_words import paired_line


class MultilabelReport(TaskReport):
    """Answers are probabilities of K labels, each by itself."""

    name = LABELS
    number = "mean_average_precision"
    words = "mean average precision"
    probe = LOGISTIC_REGRESSION
    headline = MultilabelTask.headline
    figures = ("generalization_gap", "reliability", "per_label", "most_wrong", "baselines")
    tolerances: ClassVar[Mapping[str, float]] = {"mean_average_precision": 0.05, "nll": 0.02}

    def rows_to_beat(self, train: Known, val: Known, test: Shown) -> list[Baseline]:
        """Label frequencies, nearest neighbours, logistic regression."""
        return rows_to_beat(train.pair, val.pair, test.features)

    def write(
        self,
        finished: Finished,
        measuring: Measuring,
        output: Path,
        baselines: Sequence[Baseline] = (),
        add_parts: AddParts = no_parts,
    ) -> dict[str, Any]:
        """See :func:`sftcore.tasks.multilabel.report.write_report`."""
        return write_report(finished, self.names, measuring, output, baselines, add_parts)

    @classmethod
    def title(cls, data: Mapping[str, Any]) -> str:
        """Pictures and labels."""
        return f"Fine-tuning on {data['num_pictures']} pictures with {data['num_labels']} labels"

    @classmethod
    def last_lines(cls, metrics: Mapping[str, Any]) -> list[str]:
        """Where model and logistic regression differ in having every label right."""
        return paired_line(metrics.get("paired", {}), "has all labels right")
