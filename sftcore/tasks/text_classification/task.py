"""Single-label classification of texts as a task."""

from collections.abc import Mapping
from typing import Any, ClassVar

from sftcore.tasks.classification.task import ClassificationTask
from sftcore.tasks.refusals import OF_TEXTS


class TextClassificationTask(ClassificationTask):
    """Classes as those of pictures; the examples are texts."""

    name = "text_classification"
    examples = "texts"
    refuses: ClassVar[Mapping[str, str]] = OF_TEXTS | {
        name: reason
        for name, reason in ClassificationTask.refuses.items()
        if name in ("data.targets", "train.error")
    }

    def record(self) -> dict[str, Any]:
        """The classes, under the name of the task."""
        return {"task": self.name, "facts": {"names": list(self.names)}}
