"""The kinds of sources by name, each with how a look at the names recognises it."""

from collections.abc import Callable
from dataclasses import dataclass

from sftcore.data.pictures.names import PICTURE_NAMES
from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import Layout
from sftcore.data.sources.sought import Sought

Read = Callable[[Tree, str], Layout]
# Why a tree looks like this kind, in a few words; empty where it does not.
Recognise = Callable[[Tree, str], str]


@dataclass(frozen=True)
class Source:
    """One kind.

    Attributes:
        read: the examples of a tree; the text is ``data.table``, or what follows the colon.
        recognise: used by ``data.source: auto``.
        is_any_kind: whether it can hold texts as well as pictures.
        is_table: whether it can hold labels and numbers, which stand in columns.
    """

    read: Read
    recognise: Recognise
    is_any_kind: bool = False
    is_table: bool = False

    def fits(self, sought: Sought) -> bool:
        """Whether it can hold what is looked for."""
        is_kind = self.is_any_kind or sought.names == PICTURE_NAMES
        return is_kind and (self.is_table or sought.is_class)


SOURCES: dict[str, Source] = {}


def register_source(
    name: str, recognise: Recognise, *, is_any_kind: bool = False, is_table: bool = False
) -> Callable[[Read], Read]:
    """Add a kind to the registry under the word before the colon of ``data.source``.

    Args:
        name: the word.
        recognise: whether a tree looks like this kind.
        is_any_kind: see :class:`Source`.
        is_table: see :class:`Source`.

    Raises:
        ValueError: the name is taken.
    """

    def register(read: Read) -> Read:
        if name in SOURCES:
            raise ValueError(f"source {name!r} is registered already")
        SOURCES[name] = Source(read, recognise, is_any_kind, is_table)
        return read

    return register
