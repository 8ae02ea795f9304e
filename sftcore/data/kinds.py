"""What prepared data can hold: one contract for pictures and texts, and for what comes next.

A kind says what names tell of its files, turns bytes into a value or refuses them with a reason,
finds values that are nearly the same, and keeps values as files. Nothing else in this room knows
which kind it has before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np


class Refused(Exception):
    """An example that is not used.

    Attributes:
        reason: one of a few fixed phrases, counted in the summary.
        detail: what to know beyond it.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Parts:
    """Columns of a table that make one example together.

    Attributes:
        needed: names of the column of each part, all of which must be there.
        optional: of parts that may be missing.
    """

    needed: Mapping[str, tuple[str, ...]]
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Names:
    """What words and names say about a kind before anything is opened.

    Attributes:
        noun: one example in messages; with an ``s`` it is the kind's name.
        sameness: what two copies have in common: ``bytes`` of a file, ``characters``.
        suffixes: of files that are examples by their name, in lower case with the dot.
        others: of files that are none by their name. A closed list: what is on neither is judged
            by its bytes.
        columns: names of a table's column that holds or names the example, the usual one first.
        paths: of a column that names files instead, looked for after those.
        is_cell: whether a cell of ``columns`` is the example itself rather than a file's path.
        parts: where no column holds the whole, the parts that it may have; the first that are
            there. An example of such a kind is a row's cells by the names of their parts.
    """

    noun: str
    sameness: str
    suffixes: frozenset[str]
    others: frozenset[str]
    columns: tuple[str, ...]
    paths: tuple[str, ...] = ()
    is_cell: bool = False
    parts: tuple[Parts, ...] = ()

    @property
    def plural(self) -> str:
        """The kind's name: ``pictures``, ``texts``."""
        return f"{self.noun}s"


class Seen(NamedTuple):
    """What is kept of an example in memory.

    Attributes:
        key: sha256 of what makes two examples the same.
        hashes: uint64 [V, W]; the example as it is first, then its variants. V and W are the
            kind's own.
    """

    key: str
    hashes: np.ndarray


class Pile(Protocol):
    """The values of a source while it is judged, in files of a folder; row i is item i."""

    def add(self, row: int, content: bytes) -> Seen:
        """Decode one example and keep it.

        Raises:
            Refused: it cannot be used.
        """

    def are_same(self, pairs: np.ndarray) -> np.ndarray:
        """Whether pairs of near hashes are near-duplicates indeed.

        Args:
            pairs: int64 [P, 3]: row, row, and the variant of the first that is meant.

        Returns:
            bool [P].
        """

    def write(self, rows: Sequence[int]) -> None:
        """Leave the values of these rows, in this order, in the folder, and nothing else."""


class Kind(Protocol):
    """One kind of examples, with its own limits."""

    @property
    def names(self) -> Names:
        """What words and names say about it."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the manifest says of the values: how they were decoded."""

    def num_bytes(self, count: int) -> int:
        """Bytes on the disk that preparing so many examples takes, as far as is known before."""

    def start(self, folder: Path, count: int) -> Pile:
        """An empty pile for so many examples."""
