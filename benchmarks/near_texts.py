"""How many edited texts are found to be near-duplicates, and how many different ones are not.

``python -m benchmarks.near_texts planted|random|speed <file>``

The file holds short texts, one a line: for the numbers in the docs the first parts of all
definitions of nouns in WordNet 3.0 (Debian's wordnet-base, ``data.noun``).

planted: 1,000 of 4,000 texts are copied with one edit; what the search and the confirmation find.
random: similarity of 100,000 pairs of different texts.
speed: seconds for the first 20,000 texts, and what was grouped.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sftcore.data.hash_pairs import near_pairs
from sftcore.data.near_duplicates import Looks, confirmed_pairs
from sftcore.data.texts.fingerprints import character_grams
from sftcore.data.texts.kind import TextKind, TextPile, similarity

DISTANCES = (40, 64, 80)  # bits of 256
MAX_CHARACTERS = 10_000
_NUM_BASE, _NUM_EDITED, _NUM_PAIRS, _NUM_FAST = 4000, 1000, 100_000, 20_000
_LEAST_WORDS = 6  # of a text that is edited
Edit = Callable[[list[str], np.random.Generator, list[str]], list[str]]


def _exchange(words: list[str], stream: np.random.Generator, others: list[str]) -> list[str]:
    place = int(stream.integers(len(words)))
    return [*words[:place], str(stream.choice(others)), *words[place + 1 :]]


def _remove(words: list[str], stream: np.random.Generator, _: list[str]) -> list[str]:
    place = int(stream.integers(len(words)))
    return [*words[:place], *words[place + 1 :]]


def _misspell(words: list[str], stream: np.random.Generator, _: list[str]) -> list[str]:
    text = " ".join(words)
    place = int(stream.integers(len(text)))
    return [text[:place] + "abcdefgh"[stream.integers(8)] + text[place + 1 :]]


EDITS: dict[str, Edit] = {
    "another word": _exchange,
    "a word less": _remove,
    "another letter": _misspell,
    "upper case": lambda words, *_: [word.upper() for word in words],
    "punctuation": lambda words, *_: [f"{word}," for word in words],
}


def _piled(texts: list[str], folder: Path) -> tuple[TextPile, np.ndarray, list[str]]:
    pile = TextKind(MAX_CHARACTERS).start(folder, len(texts))
    seen = [pile.add(row, text.encode()) for row, text in enumerate(texts)]
    return pile, np.stack([one.hashes for one in seen]), [one.key for one in seen]


def planted(lines: list[str]) -> None:
    """A row for each edit: how similar it leaves texts, and how many are found."""
    base, words = lines[:_NUM_BASE], [word for line in lines[-5000:] for word in line.split()]
    chosen = [i for i, line in enumerate(base) if len(line.split()) >= _LEAST_WORDS][:_NUM_EDITED]
    heads = " | ".join(f"found within {distance}" for distance in DISTANCES)
    print(f"| edit | n | similarity, 5 % and median | confirmed | {heads} |")
    print("|---" * (4 + len(DISTANCES)) + "|")
    for name, edit in EDITS.items():
        stream = np.random.default_rng(0)
        edited = [" ".join(edit(base[i].split(), stream, words)) for i in chosen]
        likeness = [
            similarity(character_grams(base[i]), character_grams(text))
            for i, text in zip(chosen, edited, strict=True)
        ]
        with tempfile.TemporaryDirectory() as temporary:
            pile, hashes, _ = _piled([*base, *edited], Path(temporary))
            wanted = np.array([[i, _NUM_BASE + n, 0] for n, i in enumerate(chosen)])
            is_same = pile.are_same(wanted)
            cells = []
            for distance in DISTANCES:
                proposed = {tuple(pair) for pair in near_pairs(hashes, distance).tolist()}
                found = [
                    same and tuple(pair) in proposed
                    for pair, same in zip(wanted.tolist(), is_same, strict=True)
                ]
                cells.append(f"{np.mean(found):.1%}")
        low, middle = np.percentile(likeness, [5, 50])
        print(
            f"| {name} | {len(chosen)} | {low:.2f}, {middle:.2f} | {is_same.mean():.1%} | "
            + " | ".join(cells) + " |"
        )  # fmt: skip


def random(lines: list[str]) -> None:
    """Quantiles of the similarity of different texts."""
    grams = [character_grams(line) for line in lines[:_NUM_FAST]]
    pairs = np.random.default_rng(0).integers(0, len(grams), (_NUM_PAIRS, 2))
    found = [similarity(grams[i], grams[j]) for i, j in pairs.tolist() if i != j]
    quantiles = ", ".join(f"{q:g} %: {np.percentile(found, q):.2f}" for q in (50, 99, 99.9, 100))
    print(f"similarity of {len(found)} pairs: {quantiles}")


def speed(lines: list[str]) -> None:
    """Seconds for fingerprints and for the search with its confirmation."""
    texts = lines[:_NUM_FAST]
    with tempfile.TemporaryDirectory() as temporary:
        began = time.monotonic()
        pile, hashes, keys = _piled(texts, Path(temporary))
        hashed = time.monotonic()
        looks = Looks(hashes, pile.are_same, np.arange(len(texts)))
        pairs = confirmed_pairs(looks, keys, DISTANCES[1])
        print(
            f"{len(texts)} texts: fingerprints {hashed - began:.1f} s, search and confirmation "
            f"{time.monotonic() - hashed:.1f} s, {len(pairs)} pairs of "
            f"{len(np.unique(pairs))} texts within {DISTANCES[1]} bits"
        )


CHECKS = {check.__name__: check for check in (planted, random, speed)}


def main() -> None:
    """Run one check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    lines = sorted(set(options.file.read_text(encoding="utf-8").splitlines()) - {""})
    np.random.default_rng(0).shuffle(lines)
    CHECKS[options.check](lines)


if __name__ == "__main__":
    main()
