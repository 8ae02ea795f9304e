"""What is looked for in a source: which kind of examples, with which targets."""

from dataclasses import dataclass, field

from sftcore.data.dialogues.names import DIALOGUE_NAMES
from sftcore.data.kinds import Names
from sftcore.data.pictures.names import PICTURE_NAMES
from sftcore.data.targets.target import Target
from sftcore.data.texts.names import TEXT_NAMES

# Of every task.
KIND_NAMES = {names.plural: names for names in (PICTURE_NAMES, TEXT_NAMES, DIALOGUE_NAMES)}


@dataclass(frozen=True)
class Sought:
    """What a layout is asked for.

    Attributes:
        names: what words and names say about the kind of examples.
        target: what is to be predicted of each.
        has_target: whether the source says it; not where a finished model is asked.
    """

    names: Names = PICTURE_NAMES
    target: Target = field(default_factory=Target)
    has_target: bool = True

    @property
    def noun(self) -> str:
        """One example in messages."""
        return self.names.noun

    @property
    def is_class(self) -> bool:
        """Whether every example has one class."""
        return self.target.kind == "class"


PICTURES_WITH_CLASSES = Sought()
