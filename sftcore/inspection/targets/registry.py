"""The reports of targets by their kind."""

from collections.abc import Mapping

from sftcore.data.targets.target import TargetKind
from sftcore.inspection.targets.answers import AnswerReport
from sftcore.inspection.targets.boxes import BoxReport
from sftcore.inspection.targets.classes import ClassReport
from sftcore.inspection.targets.contract import TargetReport
from sftcore.inspection.targets.labels import LabelReport
from sftcore.inspection.targets.masks import MaskReport
from sftcore.inspection.targets.numbers import NumberReport

TARGET_REPORTS: Mapping[TargetKind, TargetReport] = {
    "class": ClassReport(),
    "labels": LabelReport(),
    "numbers": NumberReport(),
    "answers": AnswerReport(),
    "masks": MaskReport(),
    "boxes": BoxReport(),
}
