"""Texts: what bytes become, what is refused, which two are the same, how they are kept."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftcore.data.hash_pairs import near_pairs
from sftcore.data.kinds import Refused
from sftcore.data.texts import fingerprints
from sftcore.data.texts.decode import cell_bytes, decode_text
from sftcore.data.texts.fingerprints import character_grams, folded, min_hashes
from sftcore.data.texts.kind import TextKind, similarity
from sftcore.data.texts.stored import open_texts, write_texts
from sftcore.foundations.artifacts import sha256_bytes
from tests.texts import compose


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain", "plain"),
        ("\ufeffmark".encode(), "mark"),
        ("größer".encode("utf-16"), "größer"),
        ("größer".encode("utf-16-be").join([b"\xfe\xff", b""]), "größer"),
        ("e\u0301".encode(), "é"),  # composed
        (b" \t around\n\n", "around"),
        ("a\r\nb\rc\x0cd\u2028e\x85f".encode(), "a\nb\nc\nd\ne\nf"),
        (b"a\tb  c", "a\tb  c"),  # nothing inside is removed
        ("\U0001f600".encode(), "\U0001f600"),
    ],
)
def test_what_bytes_become(content: bytes, text: str) -> None:
    assert decode_text(content) == text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n\t ", "empty"),
        ("\u200b\ufeff\u00a0".encode(), "empty"),
        ("größer".encode("cp1252"), "not UTF-8"),
        (b"\xff\xfea", "not UTF-16"),
        (b"\xed\xa0\x80", "not UTF-8"),  # half of a character
        (b"a\0b", "control characters"),
        (b"\x1b[31mred", "control characters"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8"),
        (b"a" * 101, "over the character limit"),
        (b" " * 10_000, "over the character limit"),
        (b"e" + "\u0301\u0316".encode() * 16, "not a text"),
    ],
)
def test_what_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        decode_text(content, max_characters=100)
    assert refused.value.reason == reason


def test_the_reason_says_where_and_what_to_do() -> None:
    with pytest.raises(Refused, match="0xe9 at byte 4: save it as UTF-8"):
        decode_text("café".encode("cp1252"))
    with pytest.raises(Refused, match=r"U\+0000 at character 3"):
        decode_text(b"ab\0")


def test_a_text_at_the_limit_is_whole_however_it_is_written() -> None:
    korean = "\ud55c" * 100
    for form in ("NFC", "NFD"):
        assert (
            decode_text(unicodedata.normalize(form, korean).encode(), max_characters=100) == korean
        )


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda t: t.encode("utf-16")))
def test_any_bytes_are_a_text_or_refused(content: bytes) -> None:
    try:
        text = decode_text(content, max_characters=60)
    except Refused:
        return
    assert 0 < len(text) <= 60
    assert text == text.strip()
    assert decode_text(text.encode(), max_characters=60) == text, "normal is normal"
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in text)


@settings(max_examples=200, deadline=None)
@given(st.none() | st.integers() | st.floats() | st.binary() | st.lists(st.text())
       | st.text(st.characters(codec=None, exclude_categories=[])))  # fmt: skip
def test_any_cell_is_a_text_or_refused(cell: object) -> None:
    try:
        text = decode_text(cell_bytes(cell))
    except Refused:
        return
    assert isinstance(cell, str | bytes)
    assert text


def plain_grams(text: str) -> set[str]:
    padded = f" {folded(text)} ".ljust(4, "\0")
    return {padded[i : i + 4] for i in range(len(padded) - 3)}


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_similarity_is_that_of_the_sets_of_grams(first: str, second: str) -> None:
    try:
        first, second = (decode_text(cell_bytes(text)) for text in (first, second))
    except Refused:
        return
    one, two = plain_grams(first), plain_grams(second)
    assert len(character_grams(first)) == len(one)
    found = similarity(character_grams(first), character_grams(second))
    assert found == len(one & two) / len(one | two)


def test_case_punctuation_and_spaces_change_nothing() -> None:
    text = compose("harbour", 0)
    for other in (text.upper(), text.replace(" ", ",  "), f"«{text}»!"):
        np.testing.assert_array_equal(character_grams(text), character_grams(other))
    assert set(character_grams("!!!").tolist()).isdisjoint(character_grams("?!?").tolist())


def test_mixing_is_splitmix64() -> None:
    """Its published stream from the seed 0."""
    step = 0x9E3779B97F4A7C15
    seeds = np.array([0, step, 2 * step % 2**64], dtype=np.uint64)
    wanted = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert fingerprints._mixed(seeds).tolist() == wanted


def test_hashes_stay_as_they_are() -> None:
    words = min_hashes(character_grams("The same on every machine: größer, \U0001f600."))
    assert words.shape == (1, 4)
    assert sha256_bytes(words.astype("<u8").tobytes())[:12] == "541bb6df0d3b"


@pytest.mark.parametrize("common", [20, 60, 100])
def test_bits_differ_as_the_similarity_says(common: int) -> None:
    """In expectation 128·(1 − J), over 300 pairs of sets; 5 standard errors."""
    distances = []
    for seed in range(300):
        numbers = np.random.default_rng(seed).integers(0, 2**62, 240 - common).astype(np.uint64)
        first, second = numbers[:120], numbers[120 - common :]
        hashes = min_hashes(np.sort(first)), min_hashes(np.sort(second))
        distances.append(int(np.bitwise_count(hashes[0] ^ hashes[1]).sum()))
    wanted = 128 * (1 - common / (240 - common))
    assert np.mean(distances) == pytest.approx(wanted, abs=5 * np.std(distances) / 300**0.5)


EDITS = {
    "a word": lambda words, n: [*words[:n], "other", *words[n + 1 :]],
    "a word less": lambda words, n: [*words[:n], *words[n + 1 :]],
    "a letter": lambda words, n: [*words[:n], f"x{words[n][1:]}", *words[n + 1 :]],
    "case": lambda words, n: [word.upper() for word in words],
    "punctuation": lambda words, n: [f"{word}," for word in words],
}


@pytest.mark.parametrize("edit", EDITS)
def test_edited_texts_are_found_and_others_are_not(tmp_path: Path, edit: str) -> None:
    count = 60
    plain = [compose("harbour", seed, 14) for seed in range(count)]
    texts = [*plain, *(" ".join(EDITS[edit](text.split(), 2 + i % 10))
                       for i, text in enumerate(plain))]  # fmt: skip
    pile = TextKind(1000).start(tmp_path, len(texts))
    hashes = np.stack([pile.add(row, text.encode()).hashes for row, text in enumerate(texts)])
    pairs = near_pairs(hashes, 64)
    found = {(first, second) for first, second, _ in pairs[pile.are_same(pairs)].tolist()}
    assert found <= {(row, row + count) for row in range(count)}
    assert len(found) >= 0.9 * count


@pytest.mark.parametrize("texts", [["a", "A!", "b"], ["\U0001f600", "\U0001f600 ", "\U0001f601"]])
def test_short_texts_work(tmp_path: Path, texts: list[str]) -> None:
    pile = TextKind(10).start(tmp_path, 3)
    for row, text in enumerate(texts):
        pile.add(row, text.encode())
    assert pile.are_same(np.array([[0, 1, 0], [0, 2, 0], [1, 2, 0]])).tolist() == [
        True, False, False,
    ]  # fmt: skip
    assert pile.are_same(np.empty((0, 3), dtype=np.int64)).shape == (0,)


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_texts_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    write_texts(folder, (text.encode() for text in texts))
    found = open_texts(folder)
    assert len(found) == len(texts)
    order = np.arange(len(texts))[::-1]
    assert found.read(order) == texts[::-1]
    for row in (-1, len(texts)):
        with pytest.raises(IndexError):
            found.read([row])


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    write_texts(tmp_path, [b"abc", b"de"])
    (tmp_path / "texts.bin").write_bytes(b"abcd")
    with pytest.raises(ValueError, match="do not belong together"):
        open_texts(tmp_path)
