"""Records of pictures, joined over batches: what is measured of a split is kept picture by picture.

A record is a frozen dataclass of arrays whose first axis is the pictures, so it is small, can be
kept as a table, and holds neither masks nor logits.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np


class Numbered(Protocol):
    """A record with a row for each detection, and one for each picture."""

    @property
    def picture(self) -> np.ndarray:
        """Number of each row's picture, int64 [D]."""

    @property
    def num_truths(self) -> np.ndarray:
        """A row for each picture [N, ...]."""


R = TypeVar("R")
B = TypeVar("B", bound=Numbered)


def joined(parts: Sequence[R]) -> R:
    """The records of all pictures, in the order of the parts.

    Args:
        parts: at least one, all of one class of records whose fields are arrays.

    Raises:
        ValueError: there is no part.
    """
    if not parts:
        raise ValueError("nothing to join: at least one part is needed")
    kind: Any = type(parts[0])
    return kind(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])}
    )


def joined_numbered(parts: Sequence[B]) -> B:
    """The records of the pictures of all parts, which are numbered on from part to part.

    Args:
        parts: at least one, each with its own pictures counted from 0.

    Raises:
        ValueError: there is no part.
    """
    firsts = np.cumsum([0, *(len(part.num_truths) for part in parts)])
    moved: list[Any] = [
        replace(part, picture=part.picture + first)  # type: ignore[type-var]
        for part, first in zip(parts, firsts, strict=False)
    ]
    return joined(moved)
