"""What words and names say about dialogues, and about prompts that are to be answered."""

from dataclasses import replace

from sftcore.data.file_names import OTHER_SUFFIXES, PICTURE_SUFFIXES, TEXT_SUFFIXES
from sftcore.data.kinds import Names, Parts

DIALOGUE_NAMES = Names(
    noun="dialogue",
    sameness="turns",
    suffixes=frozenset(),
    others=PICTURE_SUFFIXES | TEXT_SUFFIXES | OTHER_SUFFIXES,
    columns=("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat"),
    is_cell=True,
    parts=(
        Parts(
            {"prompt": ("prompt", "instruction", "question", "query"),
             "completion": ("completion", "response", "output", "answer")},
            {"context": ("input", "context"), "system": ("system", "system_prompt")},
        ),
        Parts({"text": ("text", "content", "document")}),
    ),
)  # fmt: skip
_PAIR, _TEXT = DIALOGUE_NAMES.parts
PROMPT_NAMES = replace(
    DIALOGUE_NAMES,
    noun="prompt",
    suffixes=TEXT_SUFFIXES,
    others=PICTURE_SUFFIXES | OTHER_SUFFIXES,
    parts=(Parts({"prompt": _PAIR.needed["prompt"]}, _PAIR.optional), _TEXT),
)
