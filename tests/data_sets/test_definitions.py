"""The dictionary is read entry by entry, and what is shipped is what was promised."""

import json

from data.make.definitions import NUM_ENTRIES, Entry, choose, parse, usable
from data.make.folders import DATA

TEXT = """PREFACE, which is no entry.

ABATIS, n.  Rubbish in front of a _fort_, to prevent the rubbish
outside from molesting the rubbish inside.

    A verse that follows.

ABRACADABRA.

BEG, v.  To ask for something with an
earnestness.

BLACK-GUARD, n.  A man: as follows:

JEALOUS, adj.  Unduly concerned about the preservation.
"""


def test_an_entry_is_its_word_and_its_first_paragraph() -> None:
    found = list(parse(TEXT))
    assert [(of.word, of.part) for of in found] == [
        ("abatis", "noun"), ("beg", "verb"), ("black-guard", "noun"), ("jealous", "adjective"),
    ]  # fmt: skip
    assert found[0].definition == (
        "Rubbish in front of a fort, to prevent the rubbish outside from molesting the rubbish "
        "inside."
    )
    assert found[1].prompt == 'Define the verb "beg".'


def test_what_introduces_a_verse_or_mocks_somebody_is_left_out() -> None:
    long = "A word that is long enough to be a definition of it."
    good = Entry("word", "noun", long)
    bad = [
        Entry("word", "noun", "Too short."),
        Entry("word", "noun", f"{long} [sic]"),
        Entry("word", "noun", f"{long[:-1]}:"),
        Entry("word", "noun", f"{long} Of women."),
        Entry("hebrew", "noun", long),
        Entry("word", "noun", f"{long} Café."),
    ]
    assert usable([good, *bad]) == [good]


def test_the_choice_does_not_depend_on_the_order() -> None:
    entries = [Entry(f"w{n}", "noun", f"Definition {n}.") for n in range(9)]
    chosen = choose(entries, 4)
    assert choose(entries[::-1], 4) == chosen == sorted(chosen, key=lambda of: of.word)


def test_what_is_shipped_is_what_was_promised() -> None:
    lines = (DATA / "definitions" / "definitions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == NUM_ENTRIES == len({row["completion"] for row in rows})
    assert all(list(row) == ["prompt", "completion", "group"] for row in rows)
    assert all(f'"{row["group"]}".' in row["prompt"] for row in rows)
