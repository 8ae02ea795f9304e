"""The kinds of sources by name, each with how a look at the names recognises it."""

from collections.abc import Callable
from dataclasses import dataclass

from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import Layout

Read = Callable[[Tree, str], Layout]
# Why a tree looks like this kind, in a few words; empty where it does not.
Recognise = Callable[[Tree, str], str]


@dataclass(frozen=True)
class Source:
    """One kind.

    Attributes:
        read: the pictures of a tree; the text is ``data.table``, or what follows the colon.
        recognise: used by ``data.source: auto``.
    """

    read: Read
    recognise: Recognise


SOURCES: dict[str, Source] = {}


def register_source(name: str, recognise: Recognise) -> Callable[[Read], Read]:
    """Add a kind to the registry under the word before the colon of ``data.source``.

    Args:
        name: the word.
        recognise: whether a tree looks like this kind.

    Raises:
        ValueError: the name is taken.
    """

    def register(read: Read) -> Read:
        if name in SOURCES:
            raise ValueError(f"source {name!r} is registered already")
        SOURCES[name] = Source(read, recognise)
        return read

    return register
