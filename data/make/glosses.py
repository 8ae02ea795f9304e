"""``data/glosses``: definitions of WordNet's nouns and their lexicographer files.

``python -m data.make.glosses`` reads Debian's wordnet-base.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data.make.debian import WORDNET, find_package
from data.make.folders import Files, command, csv_bytes
from data.make.wordnet import CLASSES, Synset, licence_of, parse_nouns

NUM_PER_CLASS = 60
# 51 and 42 synsets in all; "tops" are the roots of the other files.
LEFT_OUT = frozenset({"tops", "motive"})
_LENGTHS = range(24, 241)  # in characters
_MIN_WORDS = 5
# Insults and sex: an example that anybody may print on a slide needs neither.
_UNFIT = re.compile(
    r"\b(offensive|disparag|derogat|slur|sexual|obscen|ejaculat|genital|copulat|prostitut)",
    re.IGNORECASE,
)


def usable(synsets: Sequence[Synset]) -> list[Synset]:
    """Those whose definition can be an example.

    It is ASCII of 24 to 240 characters and at least five words, starts with a letter, a digit or
    a bracket (a spreadsheet runs nothing of it), holds no quotation, insult or sex, and is no other
    synset's.
    """
    times = Counter(synset.definition.casefold() for synset in synsets)
    return [
        synset
        for synset in synsets
        if synset.label not in LEFT_OUT
        and times[synset.definition.casefold()] == 1
        and _is_plain(synset.definition)
    ]


def _is_plain(text: str) -> bool:
    is_long_enough = len(text) in _LENGTHS and len(text.split()) >= _MIN_WORDS
    is_clean = text.isascii() and '"' not in text and (text[:1].isalnum() or text[:1] == "(")
    return is_long_enough and is_clean and not _UNFIT.search(text)


def choose(synsets: Sequence[Synset], num_per_class: int) -> list[Synset]:
    """The first of each class in the order of sha256("glosses/<offset>"), sorted by class."""

    def position(synset: Synset) -> str:
        return hashlib.sha256(f"glosses/{synset.offset}".encode()).hexdigest()

    ordered = sorted(synsets, key=position)
    labels = [label for label in CLASSES.values() if label not in LEFT_OUT]
    return [
        synset
        for label in sorted(labels)
        for synset in [s for s in ordered if s.label == label][:num_per_class]
    ]


def group(synsets: Sequence[Synset]) -> list[str]:
    """What must not cross a split: synsets joined, in any number of steps, by likeness.

    Two are alike if they share a word, share a hypernym, or one is the other's hypernym:
    definitions under one hypernym often are one sentence with another name in it.

    Returns:
        For each synset the smallest offset of its group.
    """
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        while parents.setdefault(key, key) != key:
            key = parents[key]
        return key

    for synset in synsets:
        for key in (*(f"word {word}" for word in synset.words), *synset.hypernyms):
            parents[root(key)] = root(synset.offset)
    smallest: dict[str, str] = {}
    for synset in synsets:
        key = root(synset.offset)
        smallest[key] = min(smallest.get(key, synset.offset), synset.offset)
    return [smallest[root(synset.offset)] for synset in synsets]


def make(root: Path) -> Files:
    """The contents of ``data/glosses`` by path.

    Raises:
        DataError: the package is not below ``root``.
    """
    path = find_package(WORDNET, root) / "data.noun"
    lines = path.read_text(encoding="ascii").splitlines()
    chosen = choose(usable(parse_nouns(lines)), NUM_PER_CLASS)
    rows = [
        (synset.definition, synset.label, f"n{synset.offset}", f"n{name}")
        for synset, name in zip(chosen, group(chosen), strict=True)
    ]
    return {
        "glosses.csv": csv_bytes(("text", "label", "id", "group"), rows),
        "LICENSE.txt": licence_of(lines).encode(),
    }


if __name__ == "__main__":
    command("glosses", make)
