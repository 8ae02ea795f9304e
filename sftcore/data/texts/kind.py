"""Texts as a kind of examples: their characters as UTF-8, one after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sftcore.data.kinds import Names, Seen
from sftcore.data.texts.decode import decode_text
from sftcore.data.texts.fingerprints import character_grams, min_hashes
from sftcore.data.texts.names import TEXT_NAMES
from sftcore.data.texts.stored import write_texts
from sftcore.foundations.artifacts import sha256_bytes

# Jaccard similarity of the grams from which on two texts are one. Of 1,000 short definitions of a
# dictionary all are with another letter, 95 % with a word less, 79 % with another word; of 100,000
# pairs of two the likest had .57, and templates such as "a native of <country>" have up to .7.
# Measured: benchmarks.near_texts.
LEAST_SIMILARITY = 0.7
_ALL = "all.bin"
_GRAMS_KEPT = 1024  # texts whose grams stay in memory


@dataclass(frozen=True)
class TextKind:
    """Texts as they are, normalised.

    Attributes:
        max_characters: longer texts are refused.
    """

    max_characters: int

    @property
    def names(self) -> Names:
        """What words and names say about texts."""
        return TEXT_NAMES

    @property
    def facts(self) -> Mapping[str, Any]:
        """The limit."""
        return {"max_characters": self.max_characters}

    def num_bytes(self, count: int) -> int:
        """The places of the texts; how long these are is known when they have been read."""
        return 8 * (count + 1)

    def start(self, folder: Path, count: int) -> "TextPile":
        """A file for all texts."""
        return TextPile(folder, count, self.max_characters)


class TextPile:
    """Texts in the order in which they were read, and where each of them lies."""

    def __init__(self, folder: Path, count: int, max_characters: int) -> None:
        self._folder, self._max_characters = folder, max_characters
        self._num_bytes = 0
        self._places = np.zeros(
            (count, 2), dtype=np.int64
        )  # first byte, and the one after the last
        self._grams = lru_cache(_GRAMS_KEPT)(self._grams_of)

    def add(self, row: int, content: bytes) -> Seen:
        """Keep the text; texts are the same if their normalised characters are.

        Raises:
            Refused: see :func:`sftcore.data.texts.decode.decode_text`.
        """
        text = self._kept(content)
        encoded = text.encode()
        # Opened each time: whatever stops the run leaves no open file behind.
        with (self._folder / _ALL).open("ab") as file:
            file.write(encoded)
        self._places[row] = self._num_bytes, self._num_bytes + len(encoded)
        self._num_bytes += len(encoded)
        return Seen(sha256_bytes(encoded), min_hashes(character_grams(self._compared(text))))

    def are_same(self, pairs: np.ndarray) -> np.ndarray:
        """Whether the sets of grams have a Jaccard similarity of at least .7."""
        return np.array(
            [
                similarity(self._grams(first), self._grams(second)) >= LEAST_SIMILARITY
                for first, second, _ in pairs.tolist()
            ],
            dtype=bool,
        )

    def write(self, rows: Sequence[int]) -> None:
        """Copy the texts into one file, with their offsets beside it."""
        write_texts(self._folder, (self._encoded(row) for row in rows))
        self._grams.cache_clear()
        (self._folder / _ALL).unlink()

    def _encoded(self, row: int) -> bytes:
        start, end = self._places[row].tolist()
        with (self._folder / _ALL).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def _grams_of(self, row: int) -> np.ndarray:
        return character_grams(self._compared(self._encoded(row).decode()))

    def _kept(self, content: bytes) -> str:
        """What is stored of an example's bytes."""
        return decode_text(content, max_characters=self._max_characters)

    def _compared(self, kept: str) -> str:
        """What of it makes two examples alike."""
        return kept


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Jaccard similarity of two sets: what is common as part of what either holds.

    Args:
        first: different numbers [G].
        second: likewise [H].
    """
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common / (len(first) + len(second) - common)
