"""Dialogues as a kind of examples: their turns as JSON, one after the other."""

from dataclasses import dataclass
from pathlib import Path

from sftcore.data.dialogues.decode import decode_dialogue
from sftcore.data.dialogues.names import DIALOGUE_NAMES
from sftcore.data.kinds import Names
from sftcore.data.texts.kind import TextKind, TextPile
from sftcore.foundations.turns import read_turns, spoken, write_turns


@dataclass(frozen=True)
class DialogueKind(TextKind):
    """Dialogues with their turns as they are, normalised.

    Attributes:
        max_characters: dialogues with a longer turn are refused.
    """

    @property
    def names(self) -> Names:
        """What words and names say about dialogues."""
        return DIALOGUE_NAMES

    def start(self, folder: Path, count: int) -> "DialoguePile":
        """A file for all dialogues."""
        return DialoguePile(folder, count, self.max_characters)


class DialoguePile(TextPile):
    """Dialogues in the order in which they were read; alike is what is said in like words."""

    def _kept(self, content: bytes) -> str:
        return write_turns(decode_dialogue(content, max_characters=self._max_characters))

    def _compared(self, kept: str) -> str:
        return spoken(read_turns(kept))
