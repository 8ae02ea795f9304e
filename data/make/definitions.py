"""``data/definitions``: words as prompts, and what the Devil's Dictionary says of them.

``python -m data.make.definitions`` reads Debian's dict-devil.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.make.debian import DICTIONARY, find_package
from data.make.folders import Files, command

NUM_ENTRIES = 320
_LENGTHS = range(30, 241)  # in characters
_PARTS = {"n": "noun", "n.pl": "noun", "adj": "adjective", "adv": "adverb"}
_HEAD = re.compile(r"^([A-Z][A-Z' -]+), ([a-z.]+)\.  ", re.MULTILINE)
# The author was a man of 1911: what mocks a people, a faith or one of the sexes is left out.
_UNFIT = re.compile(
    r"\b(negro|nigger|dark(e?y|ies)|squaw|jew|hebrew|israel|mulatto|ethiop|mongol|chin(ese|aman)|"
    r"indian|savage|african|asiatic|arab|turk|moham|mussul|christian|heathen|pagan|irish|lynch|"
    r"slave|whore|harlot|rape|concubine|prostitut|hang|wom[ae]n|female|wi(fe|ves)|lad(y|ies)|"
    r"girl|maid|marri|husband|virgin|kill|murder|suicid)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Entry:
    """A word and a definition of it.

    Attributes:
        word: in lower case.
        part: of speech.
        definition: on one line.
    """

    word: str
    part: str
    definition: str

    @property
    def prompt(self) -> str:
        """What a model is asked."""
        return f'Define the {self.part} "{self.word}".'


def parse(text: str) -> Iterator[Entry]:
    """The entries of the dictionary with the first paragraph of each.

    Args:
        text: of the dictionary.
    """
    heads = list(_HEAD.finditer(text))
    for head, end in zip(heads, [*(of.start() for of in heads[1:]), len(text)], strict=True):
        part = "verb" if head[2].startswith("v") else _PARTS.get(head[2], "")
        paragraph = text[head.end() : end].split("\n\n")[0]
        if part:
            yield Entry(head[1].lower(), part, " ".join(paragraph.replace("_", "").split()))


def usable(entries: Sequence[Entry]) -> list[Entry]:
    """Those whose definition can be an example: ASCII, of 30 to 240 characters, a whole sentence
    that introduces no verse, without notes in brackets, and of nobody whom it would mock."""
    return [
        entry
        for entry in entries
        if len(entry.definition) in _LENGTHS
        and entry.definition.isascii()
        and entry.definition[-1] in ".!?"
        and "[" not in entry.definition
        and not _UNFIT.search(f"{entry.word} {entry.definition}")
    ]


def choose(entries: Sequence[Entry], count: int) -> list[Entry]:
    """The first in the order of sha256("definitions/<word>/<definition>"), sorted by word."""

    def position(entry: Entry) -> str:
        content = f"definitions/{entry.word}/{entry.definition}"
        return hashlib.sha256(content.encode()).hexdigest()

    chosen = sorted(entries, key=position)[:count]
    return sorted(chosen, key=lambda entry: (entry.word, entry.definition))


def make(root: Path) -> Files:
    """The contents of ``data/definitions`` by path.

    Raises:
        DataError: the package is not below ``root``.
    """
    packed = find_package(DICTIONARY, root) / "devil.dict.dz"
    text = gzip.decompress(packed.read_bytes()).decode("utf-8")
    chosen = choose(usable(list(parse(text))), NUM_ENTRIES)
    lines = [
        json.dumps({"prompt": of.prompt, "completion": of.definition, "group": of.word})
        for of in chosen
    ]
    return {"definitions.jsonl": "".join(f"{line}\n" for line in lines).encode()}


if __name__ == "__main__":
    command("definitions", make)
