"""The report of numbers, as a task's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sftcore.metrics.rows_to_beat import Baseline
from sftcore.regularization.error_loss import ErrorSettings
from sftcore.tasks.finished import Finished
from sftcore.tasks.names import NUMBERS
from sftcore.tasks.regression.baselines import RIDGE_REGRESSION, rows_to_beat
from sftcore.tasks.regression.report import write_report
from sftcore.tasks.regression.targets import TargetScale
from sftcore.tasks.regression.task import RegressionTask
from sftcore.tasks.report_contract import (
    AddParts,
    Known,
    Measuring,
    Shown,
    TaskReport,
    no_parts,
)
from sftcore.tasks.report_words import in_unit

_MOST_LINES = 6


class RegressionReport(TaskReport):
    """Answers are K numbers in their units.

    Attributes:
        scale: from standardised numbers to those of the data.
    """

    name = NUMBERS
    number = "mean_r2"
    words = "R²"
    probe = RIDGE_REGRESSION
    headline = RegressionTask.headline
    figures = ("generalization_gap", "predicted", "residuals", "most_wrong", "baselines")
    tolerances: ClassVar[Mapping[str, float]] = {"mean_r2": 0.05, "mean_rmse": 0.05}

    def __init__(self, names: Sequence[str], facts: Mapping[str, Any]) -> None:
        super().__init__(names, facts)
        self.scale = TargetScale.from_record(facts["scale"])

    def rows_to_beat(self, train: Known, val: Known, test: Shown) -> list[Baseline]:
        """The mean, nearest neighbours, ridge regression; all by the squared error."""
        return rows_to_beat(train.pair, val.pair, test.features, self.scale, ErrorSettings())

    def write(
        self,
        finished: Finished,
        measuring: Measuring,
        output: Path,
        baselines: Sequence[Baseline] = (),
        add_parts: AddParts = no_parts,
    ) -> dict[str, Any]:
        """See :func:`sftcore.tasks.regression.report.write_report`."""
        return write_report(
            finished, self.names, self.scale, measuring, output, baselines, add_parts
        )

    @classmethod
    def title(cls, data: Mapping[str, Any]) -> str:
        """Pictures and numbers."""
        count = data["num_numbers"]
        what = "a number" if count == 1 else f"{count} numbers"
        return f"Fine-tuning on {data['num_pictures']} pictures with {what} each"

    @classmethod
    def last_lines(cls, metrics: Mapping[str, Any]) -> list[str]:
        """The mean absolute error of the first numbers, in their units."""
        numbers = list(metrics["test"]["numbers"].items())[:_MOST_LINES]
        return [f"mean absolute error of {name}: {in_unit(of, 'mae')}" for name, of in numbers]
