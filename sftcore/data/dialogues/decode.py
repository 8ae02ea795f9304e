"""From a table's row to the turns of a dialogue, or the reason why not.

Every turn's text goes the way of all texts (:mod:`sftcore.data.texts.decode`).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sftcore.data.kinds import Refused
from sftcore.data.texts.decode import cell_bytes, decode_text
from sftcore.foundations.tables import printable
from sftcore.foundations.turns import ASSISTANT, SYSTEM, TEXT, USER, Turn

_ROLES = {
    "system": SYSTEM, "developer": SYSTEM,
    "user": USER, "human": USER, "prompter": USER,
    "assistant": ASSISTANT, "gpt": ASSISTANT, "model": ASSISTANT, "bot": ASSISTANT,
}  # fmt: skip
_SAID = ("content", "value", "text")
_SAID_BY = ("role", "from", "speaker")


def decode_dialogue(content: bytes, *, max_characters: int) -> list[Turn]:
    """The turns of a row: messages, or prompt and completion, or a text alone.

    Args:
        content: JSON of the row's cells, by the name of the part that each is.
        max_characters: of a turn; longer ones are refused, nothing is ever cut.

    Raises:
        Refused: no dialogue that something could be learnt of.
    """
    try:
        parts = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refused("not a dialogue", str(error)) from error
    if TEXT in parts:
        return [(TEXT, _text(parts[TEXT], "the text", max_characters))]
    if "completion" in parts:
        return _of_pair(parts, max_characters)
    (cell,) = parts.values()
    return _checked(_of_messages(cell, max_characters))


def decode_prompt(content: bytes, *, max_characters: int) -> list[Turn]:
    """The turns that a model is asked with: those of a dialogue up to its last answer.

    Args:
        content: JSON of a row's cells, by the name of the part that each is; an answer among them
            is not looked at.
        max_characters: of a turn.

    Raises:
        Refused: nothing is asked.
    """
    parts = json.loads(content)
    if "prompt" in parts or TEXT in parts:
        return _asked({"prompt": parts.get(TEXT), **parts}, max_characters)
    (cell,) = parts.values()
    turns = _of_messages(cell, max_characters)
    while turns and turns[-1][0] == ASSISTANT:
        turns.pop()
    if not turns or turns[-1][0] != USER:
        raise Refused("empty prompt", "no message of the user is left to be answered")
    return turns


def _of_pair(parts: Mapping[str, Any], max_characters: int) -> list[Turn]:
    if not (answer := _said(parts, "completion", max_characters)):
        raise Refused("empty answer", "the completion is empty")
    return [*_asked(parts, max_characters), (ASSISTANT, answer)]


def _asked(parts: Mapping[str, Any], max_characters: int) -> list[Turn]:
    """What the system and the user say; instruction and context are one turn."""
    said = [_said(parts, part, max_characters) for part in ("prompt", "context")]
    prompt = "\n\n".join(text for text in said if text)
    if not prompt:
        raise Refused("empty prompt", "there is nothing to be answered")
    system = _said(parts, "system", max_characters)
    return [*([(SYSTEM, system)] if system else []), (USER, prompt)]


def _said(parts: Mapping[str, Any], part: str, max_characters: int) -> str:
    """A part's text; empty where it is missing or blank."""
    cell = parts.get(part)
    is_empty = cell is None or (isinstance(cell, str) and not cell.strip())
    return "" if is_empty else _text(cell, f"the {part}", max_characters)


def _of_messages(cell: Any, max_characters: int) -> list[Turn]:
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError) as error:
            raise Refused("not a dialogue", f"messages are no JSON list: {error}") from error
    if not isinstance(cell, list):
        raise Refused("not a dialogue", f"messages are a {type(cell).__name__} and no list")
    turns = []
    for number, message in enumerate(cell, start=1):
        if not isinstance(message, Mapping):
            raise Refused("not a dialogue", f"message {number} has no role and content")
        role = next((message[key] for key in _SAID_BY if message.get(key)), None)
        if role not in _ROLES:
            raise Refused(
                "unknown role",
                f"message {number} is of {printable(str(role))[:40]!r}, none of "
                f"{', '.join(_ROLES)}",
            )
        said = next((message[key] for key in _SAID if message.get(key) is not None), None)
        turns.append((_ROLES[role], _text(said, f"message {number}", max_characters)))
    return turns


def _checked(turns: Sequence[Turn]) -> list[Turn]:
    """The turns, which must come one after the other and hold an answer."""
    roles = [role for role, _ in turns]
    spoken = roles[1:] if roles[:1] == [SYSTEM] else roles
    if ASSISTANT not in roles:
        raise Refused("no answer", "no message is of the assistant")
    wanted = [(USER, ASSISTANT)[place % 2] for place in range(len(spoken))]
    if spoken != wanted:
        raise Refused(
            "turns out of order",
            "a dialogue may begin with system, and then user and assistant take turns; here "
            + " then ".join(roles[:6]) + (" ..." if len(roles) > 6 else ""),
        )  # fmt: skip
    # What nobody has answered can teach nothing.
    return list(turns if roles[-1] == ASSISTANT else turns[:-1])


def _text(cell: Any, what: str, max_characters: int) -> str:
    try:
        return decode_text(cell_bytes(cell), max_characters=max_characters)
    except Refused as refused:
        detail = f"{what}: {refused.detail}" if refused.detail else what
        raise Refused(refused.reason, detail) from refused
