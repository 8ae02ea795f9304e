"""The report of masks, as a task's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sftcore.metrics.rows_to_beat import Baseline
from sftcore.models.dense.maps import Maps
from sftcore.tasks.finished import Finished
from sftcore.tasks.names import MASKS
from sftcore.tasks.report_contract import (
    AddParts,
    Known,
    Measuring,
    Shown,
    TaskReport,
    no_parts,
)
from sftcore.tasks.segmentation.baselines import LINEAR_HEAD, rows_to_beat
from sftcore.tasks.segmentation.headline import HEADLINE
from sftcore.tasks.segmentation.report import write_report


class SegmentationReport(TaskReport):
    """Answers are logits of K classes, [N, K, h, w]."""

    name = MASKS
    number = "mean_iou"
    words = "mean IoU"
    probe = LINEAR_HEAD
    headline: ClassVar[Mapping[str, tuple[str, str]]] = HEADLINE
    figures = (
        "generalization_gap", "reliability", "per_class", "confusion", "pictures", "baselines",
    )  # fmt: skip
    tolerances: ClassVar[Mapping[str, float]] = {"mean_iou": 0.05, "nll": 0.03}

    def rows_to_beat(self, train: Known, val: Known, test: Shown) -> list[Baseline]:
        """The most frequent class, and a linear head on the frozen maps."""
        known = [(_maps(of), of.targets) for of in (train, val)]
        return rows_to_beat(known[0], known[1], _maps(test), len(self.names))

    def write(
        self,
        finished: Finished,
        measuring: Measuring,
        output: Path,
        baselines: Sequence[Baseline] = (),
        add_parts: AddParts = no_parts,
    ) -> dict[str, Any]:
        """See :func:`sftcore.tasks.segmentation.report.write_report`."""
        return write_report(finished, self.names, measuring, output, baselines, add_parts)

    @classmethod
    def title(cls, data: Mapping[str, Any]) -> str:
        """Pictures and classes."""
        return (
            f"Fine-tuning on {data['num_pictures']} pictures with masks of {data['num_labels']} "
            "classes"
        )

    @classmethod
    def last_lines(cls, metrics: Mapping[str, Any]) -> list[str]:
        """On how many pictures which of model and linear head has the higher mean IoU."""
        paired = metrics.get("paired", {})
        if not paired:
            return []
        return [
            f"a picture's own mean IoU is higher with the fine-tuned model on "
            f"{paired['num_better']:.0f}, with the linear head on {paired['num_worse']:.0f} (p "
            f"{paired['p_value']:.2g})"
        ]


def _maps(shown: Shown) -> Maps:
    if shown.maps is None:
        raise ValueError("the rows to beat of masks need maps of the pictures, not features alone")
    return shown.maps()
