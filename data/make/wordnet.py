"""WordNet's nouns, as ``data.noun`` holds them (wndb(5WN), lexnames(5WN))."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Lexicographer files 3 to 28; their names without "noun.".
_NAMES = (
    "tops", "act", "animal", "artifact", "attribute", "body", "cognition", "communication",
    "event", "feeling", "food", "group", "location", "motive", "object", "person", "phenomenon",
    "plant", "possession", "process", "quantity", "relation", "shape", "state", "substance", "time",
)  # fmt: skip
CLASSES = dict(enumerate(_NAMES, start=3))
_OUTSIDE_QUOTES = r'(?=(?:[^"]*"[^"]*")*[^"]*$)'
_HYPERNYMS = ("@", "@i")  # of a kind and of an instance


@dataclass(frozen=True)
class Synset:
    """A set of words of one meaning.

    Attributes:
        offset: eight digits, its name within WordNet 3.0.
        label: name of the lexicographer file.
        words: in lower case.
        hypernyms: offsets of those directly above.
        definition: the gloss without the sentences that show a use.
    """

    offset: str
    label: str
    words: tuple[str, ...]
    hypernyms: tuple[str, ...]
    definition: str


def parse_nouns(lines: Iterable[str]) -> list[Synset]:
    """All synsets of ``data.noun``; the licence in front, indented by two blanks, is left out."""
    return [_parse(line) for line in lines if not line.startswith("  ")]


def _parse(line: str) -> Synset:
    """One line: ``offset file type num (word id)… num (symbol offset type ends)… | gloss``.

    The first number, of words, is hexadecimal; the second, of pointers, decimal.
    """
    head, gloss = line.rstrip().split(" | ", 1)
    fields = head.split()
    end_of_words = 4 + 2 * int(fields[3], 16)
    num_pointers = int(fields[end_of_words])
    pointers = fields[end_of_words + 1 :]
    return Synset(
        offset=fields[0],
        label=CLASSES[int(fields[1])],
        words=tuple(word.lower() for word in fields[4:end_of_words:2]),
        hypernyms=tuple(
            pointers[4 * i + 1] for i in range(num_pointers) if pointers[4 * i] in _HYPERNYMS
        ),
        definition=definition_of(gloss),
    )


def definition_of(gloss: str) -> str:
    """A gloss without its examples, which are parts in quotation marks between semicolons."""
    parts = [part.strip() for part in re.split(";" + _OUTSIDE_QUOTES, gloss)]
    return "; ".join(part for part in parts if part and not part.startswith('"'))


def licence_of(lines: Iterable[str]) -> str:
    """WordNet's licence: the numbered lines in front of the data, without their numbers."""
    numbered = (re.match(r"  \d+ ?(.*)", line) for line in lines)
    return "".join(match[1].rstrip() + "\n" for match in numbered if match)
