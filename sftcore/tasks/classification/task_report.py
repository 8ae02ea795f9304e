"""The report of classes, as a task's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sftcore.metrics.rows_to_beat import Baseline
from sftcore.tasks.classification.baselines import LOGISTIC_REGRESSION, rows_to_beat
from sftcore.tasks.classification.predictions import predictions_table
from sftcore.tasks.classification.report import Telling, write_report
from sftcore.tasks.classification.task import ClassificationTask
from sftcore.tasks.finished import Finished
from sftcore.tasks.names import CLASSES
from sftcore.tasks.report_contract import (
    AddParts,
    Known,
    Measuring,
    Shown,
    TaskReport,
    no_parts,
)
from sftcore.tasks.report_words import paired_line


class ClassificationReport(TaskReport):
    """Answers are probabilities of C classes that sum to one."""

    name = CLASSES
    number = "accuracy"
    words = "accuracy"
    probe = LOGISTIC_REGRESSION
    headline = ClassificationTask.headline
    figures = ("generalization_gap", "reliability", "per_class", "most_wrong", "baselines")
    charts: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "confusion": {
            "title": "Confusion on the test split",
            "template": "confusion",
            "x": "actual",
            "y": {"reports/evaluate/confusion.csv": "predicted"},
        }
    }
    # Over three seeds of the shipped recipe accuracy spreads by 0.046; a device may do as much.
    tolerances: ClassVar[Mapping[str, float]] = {"accuracy": 0.05, "nll": 0.15, "ece": 0.05}

    def rows_to_beat(self, train: Known, val: Known, test: Shown) -> list[Baseline]:
        """Most frequent class, nearest neighbours, logistic regression."""
        return rows_to_beat(train.pair, val.pair, test.features, len(self.names))

    def write(
        self,
        finished: Finished,
        measuring: Measuring,
        output: Path,
        baselines: Sequence[Baseline] = (),
        add_parts: AddParts = no_parts,
    ) -> dict[str, Any]:
        """See :func:`sftcore.tasks.classification.report.write_report`."""
        table = predictions_table(
            finished.answers, finished.targets, self.names, finished.ids, finished.splits
        )
        return write_report(
            table,
            self.names,
            np.asarray(finished.examples),
            groups=finished.groups,
            num_bootstrap=measuring.num_resamples,
            confidence=measuring.confidence,
            num_calibration_bins=measuring.num_bins,
            num_most_wrong=measuring.num_most_wrong,
            seed=measuring.seed,
            output=output,
            baselines=baselines,
            add_parts=add_parts,
            telling=self.telling(finished),
        )

    def telling(self, finished: Finished) -> Telling:
        """What is said otherwise for another kind of examples."""
        return Telling()

    @classmethod
    def title(cls, data: Mapping[str, Any]) -> str:
        """Examples and classes."""
        count = data[f"num_{cls.examples}"]
        return f"Fine-tuning on {count} {cls.examples} of {data['num_classes']} classes"

    @classmethod
    def last_lines(cls, metrics: Mapping[str, Any]) -> list[str]:
        """Where model and logistic regression differ."""
        return paired_line(metrics.get("paired", {}), examples=cls.examples)
