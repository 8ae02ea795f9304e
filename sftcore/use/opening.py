"""An example that a user named, read, or why it is not.

Processes that do nothing but read import this, and no torch, which would take each of them seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sftcore.data.kinds import Refused
from sftcore.use.inputs import Named


@dataclass(frozen=True)
class Opened:
    """An example that was looked at.

    Attributes:
        named: which.
        example: as the store would have it, uint8 [S, S, 3] or a text, or a picture's tiles; None
            where it was refused.
        reason: why it was refused.
        notes: how the network sees it; see :meth:`sftcore.evaluation.sight.Sight.note`.
    """

    named: Named
    example: Any
    reason: str = ""
    notes: Mapping[str, bool] = field(default_factory=dict)


def open_with(read: Callable[[bytes], Any], named: Named) -> Opened:
    """Read an example, or say why not.

    Args:
        read: from its bytes to what the store would have.
        named: which.
    """
    try:
        return Opened(named, read(named.read()))
    except Refused as refused:
        detail = f": {refused.detail}" if refused.detail else ""
        return Opened(named, None, f"{refused.reason}{detail}")
