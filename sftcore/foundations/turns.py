"""The turns of a dialogue, and the text that a store keeps of them: JSON of who says what."""

import json
from collections.abc import Sequence

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
TEXT = "text"  # says a text without a prompt, all of which is learnt
Turn = tuple[str, str]  # role and what is said


def write_turns(turns: Sequence[Turn]) -> str:
    """Turns as JSON, the same for the same turns."""
    return json.dumps([[role, text] for role, text in turns], ensure_ascii=False)


def read_turns(content: str) -> list[Turn]:
    """What :func:`write_turns` has written."""
    return [(role, text) for role, text in json.loads(content)]


def spoken(turns: Sequence[Turn]) -> str:
    """All that is said, one turn after the other, without who says it."""
    return "\n".join(text for _, text in turns)
