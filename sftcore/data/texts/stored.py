"""Texts as two files that a memory map can read: UTF-8 one after the other, and where each ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TEXTS_FILE = "texts.bin"
OFFSETS_FILE = "offsets.npy"


@dataclass(frozen=True)
class Texts:
    """Prepared texts, none of which is read before it is asked for.

    Attributes:
        content: uint8 [B], UTF-8; may be a memory map.
        offsets: int64 [N + 1]: text i lies at ``offsets[i]`` and ends before ``offsets[i + 1]``.
    """

    content: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def read(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """The texts of some rows, in their order.

        Args:
            rows: from 0, below N.

        Raises:
            IndexError: there is no such row.
        """
        found = []
        for row in rows:
            if not 0 <= row < len(self):
                raise IndexError(f"text {row} of {len(self)}")
            found.append(self.content[self.offsets[row] : self.offsets[row + 1]].tobytes().decode())
        return found


def write_texts(folder: Path, encoded: Iterable[bytes]) -> None:
    """Write texts in the order of their rows.

    Args:
        folder: gets two files.
        encoded: their UTF-8.
    """
    lengths = []
    with (folder / TEXTS_FILE).open("wb") as file:
        for content in encoded:
            lengths.append(file.write(content))
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype("<i8")
    np.save(folder / OFFSETS_FILE, offsets)


def open_texts(folder: Path) -> Texts:
    """Texts of a folder as memory maps.

    Raises:
        OSError: they are not there.
        ValueError: the files do not belong together.
    """
    content = np.memmap(folder / TEXTS_FILE, dtype=np.uint8, mode="r")
    offsets = np.load(folder / OFFSETS_FILE, mmap_mode="r", allow_pickle=False)
    is_whole = offsets.ndim == 1 and len(offsets) and offsets[0] == 0
    if not is_whole or offsets[-1] != len(content) or (np.diff(offsets) < 0).any():
        raise ValueError(f"{TEXTS_FILE} and {OFFSETS_FILE} do not belong together")
    return Texts(content, offsets)
