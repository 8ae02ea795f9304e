"""The reports of examples by their kind."""

from collections.abc import Mapping

from sftcore.inspection.examples.contract import ExampleReport
from sftcore.inspection.examples.dialogues import DialogueReport
from sftcore.inspection.examples.pictures import PictureReport
from sftcore.inspection.examples.texts import TextReport

EXAMPLE_REPORTS: Mapping[str, ExampleReport] = {
    "pictures": PictureReport(),
    "texts": TextReport(),
    "dialogues": DialogueReport(),
}
