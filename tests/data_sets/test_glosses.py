"""WordNet's lines are read as wndb(5WN) says, and what is alike is one group."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from data.make.debian import WORDNET
from data.make.folders import DATA, sums_text
from data.make.glosses import choose, group, make, usable
from data.make.wordnet import Synset, definition_of, licence_of, parse_nouns

LINE = (
    "00007846 18 n 03 Person 0 some_body 0 soul 1 003 @ 00004475 n 0000 @i 00007347 n 0000 "
    '+ 02390724 a 0101 | a human being; "there was too much; for one person"; not a thing  \n'
)


def synset(offset: int, text: str = "", label: str = "act", **members: tuple[str, ...]) -> Synset:
    words, hypernyms = members.get("words", ()), members.get("hypernyms", ())
    return Synset(f"{offset:08d}", label, words, hypernyms, text)


def test_a_line_becomes_a_synset() -> None:
    assert parse_nouns(["  1 a licence\n", LINE]) == [
        Synset(
            offset="00007846",
            label="person",
            words=("person", "some_body", "soul"),
            hypernyms=("00004475", "00007347"),
            definition="a human being; not a thing",
        )
    ]


def test_the_number_of_words_is_hexadecimal() -> None:
    words = " ".join(f"w{i} 0" for i in range(16))
    (found,) = parse_nouns([f"00000001 04 n 10 {words} 001 @ 00000009 n 0000 | to do"])
    assert len(found.words) == 16
    assert found.hypernyms == ("00000009",)


@pytest.mark.parametrize(
    ("gloss", "definition"),
    [
        ("one; two", "one; two"),
        ('one; "said; so"', "one"),
        ('one; "a" ; two; "b"', "one; two"),
        ('his "so-called" way; x', 'his "so-called" way; x'),
    ],
)
def test_examples_are_taken_out(gloss: str, definition: str) -> None:
    assert definition_of(gloss) == definition


def test_the_licence_is_what_stands_in_front() -> None:
    assert licence_of(["  1 You may\n", "  2   \n", "  10 do it.\n", LINE]) == "You may\n\ndo it.\n"


@pytest.mark.parametrize(
    "text",
    [
        "too short a text",
        "one two three andaverylongwordthatfollows",
        'a place where many people say "no" at once',
        "=a formula that a spreadsheet would run",
        "a caf\xe9 where one drinks and reads the papers",
        "an offensive term for a person of some kind",
        "word " * 60,
    ],
)
def test_texts_that_are_no_examples(text: str) -> None:
    assert usable([synset(1, text)]) == []


def test_a_doubled_text_is_no_example_of_either_class() -> None:
    text = "the state of being one of two alike"
    other = synset(3, "the state of being quite alone here")
    assert usable([synset(1, text), synset(2, text.title(), "state"), other]) == [other]


def test_the_choice_does_not_depend_on_the_order_and_grows() -> None:
    synsets = [synset(i, label=label) for i in range(40) for label in ("act", "food")]
    few = choose(synsets, 5)
    assert choose(synsets[::-1], 5) == few
    assert [s.label for s in few] == ["act"] * 5 + ["food"] * 5
    assert {s.offset for s in few} < {s.offset for s in choose(synsets, 9)}


def test_groups_are_the_connected_components_of_likeness() -> None:
    stream = np.random.default_rng(0)
    names = [f"{i:08d}" for i in range(300)]
    synsets = [
        synset(
            i,
            words=tuple(f"w{w}" for w in stream.integers(0, 200, 2)),
            hypernyms=(names[stream.integers(0, 300)],),
        )
        for i in range(0, 300, 5)
    ]

    def alike(a: Synset, b: Synset) -> bool:
        own = {a.offset} & {*b.hypernyms} | {b.offset} & {*a.hypernyms}
        return bool(own or {*a.words} & {*b.words} or {*a.hypernyms} & {*b.hypernyms})

    graph = np.array([[alike(a, b) for b in synsets] for a in synsets])
    number, expected = connected_components(graph, directed=False)
    found = group(synsets)
    assert 1 < number < len(synsets)
    assert len(set(found)) == number
    for name in set(found):
        members = {expected[i] for i, other in enumerate(found) if other == name}
        assert len(members) == 1
        assert name == min(
            s.offset for s, other in zip(synsets, found, strict=True) if other == name
        )


@pytest.mark.skipif(
    not (Path("/") / WORDNET.folder).is_dir(), reason=f"needs Debian's {WORDNET.name}"
)
def test_the_package_gives_the_committed_bytes() -> None:
    assert sums_text(make(Path("/"))) == (DATA / "glosses" / "SHA256SUMS").read_text()
