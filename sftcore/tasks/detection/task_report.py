"""The report of boxes, as a task's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sftcore.metrics.rows_to_beat import Baseline
from sftcore.models.dense.settings import DecodingSettings
from sftcore.tasks.detection.baselines import LINEAR_HEAD, rows_to_beat
from sftcore.tasks.detection.headline import HEADLINE
from sftcore.tasks.detection.report import write_report
from sftcore.tasks.finished import Finished
from sftcore.tasks.names import BOXES
from sftcore.tasks.report_contract import (
    AddParts,
    Known,
    Measuring,
    Shown,
    TaskReport,
    no_parts,
)


class DetectionReport(TaskReport):
    """Answers are the boxes of each picture, the most certain first."""

    name = BOXES
    number = "average_precision"
    words = "average precision (COCO, 50:95)"
    probe = LINEAR_HEAD
    headline = HEADLINE
    figures = (
        "generalization_gap", "precision_recall", "f1_by_threshold", "per_class", "errors",
        "reliability", "pictures", "baselines",
    )  # fmt: skip
    tolerances: ClassVar[Mapping[str, float]] = {
        "average_precision": 0.05, "average_precision_50": 0.08, "f1": 0.08,
    }  # fmt: skip

    def __init__(self, names: Sequence[str], facts: Mapping[str, Any]) -> None:
        super().__init__(names, facts)
        self.decoding = DecodingSettings(**facts["decoding"])

    def rows_to_beat(self, train: Known, val: Known, test: Shown) -> list[Baseline]:
        """The boxes of the nearest picture, a linear detector."""
        return rows_to_beat(train, val, test, len(self.names), self.decoding)

    def write(
        self,
        finished: Finished,
        measuring: Measuring,
        output: Path,
        baselines: Sequence[Baseline] = (),
        add_parts: AddParts = no_parts,
    ) -> dict[str, Any]:
        """See :func:`sftcore.tasks.detection.report.write_report`."""
        return write_report(finished, self.names, measuring, output, baselines, add_parts)

    @classmethod
    def title(cls, data: Mapping[str, Any]) -> str:
        """Pictures and classes of boxes."""
        return (
            f"Fine-tuning on {data['num_pictures']} pictures with boxes of {data['num_labels']} "
            "classes"
        )
