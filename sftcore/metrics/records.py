"""Records of pictures, joined over batches: what is measured of a split is kept picture by picture.

A record is a frozen dataclass of arrays whose first axis is the pictures, so it is small, can be
kept as a table, and holds neither masks nor logits.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

R = TypeVar("R")


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
