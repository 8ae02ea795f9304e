"""One picture of a source, and all that a layout says about its pictures."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sftcore.foundations.tables import printable


@dataclass(frozen=True)
class Item:
    """One picture before anyone has looked at it.

    Attributes:
        id: path inside the source with ``/``, or ``<file>/<row>`` where pictures are rows.
        label: name of its class.
        read: its file's bytes; raises :class:`Refused` where the file must not be read.
        split: ``train``, ``val`` or ``test`` where the source says so.
        group: pictures of one group never cross splits; empty where the source says nothing.
        position: place in what holds it. A compressed archive is read from front to back, so
            another order would decompress it again and again.
    """

    id: str
    label: str
    read: Callable[[], bytes]
    split: str = ""
    group: str = ""
    position: int = 0


@dataclass(frozen=True)
class Layout:
    """What one kind of source found.

    Attributes:
        what: what the data were taken for, in a few words.
        items: the pictures, in any order.
        notes: what a reader should know of it, each a clause.
        others: files beside the pictures that are none by their name, by suffix.
        ids_are_files: whether each id is the path of a file below ``data.path``.
    """

    what: str
    items: list[Item]
    notes: tuple[str, ...] = ()
    others: Counter[str] = field(default_factory=Counter)
    ids_are_files: bool = False


def reading_order(items: Sequence[Item]) -> list[int]:
    """Indices of the items in the order in which reading them costs least."""
    return sorted(range(len(items)), key=lambda index: items[index].position)


def is_text(name: str) -> bool:
    """Whether a name is UTF-8 without control characters."""
    return printable(name) == name


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names with commas, and how many more there are."""
    shown = ", ".join(printable(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def counted(count: int, word: str) -> str:
    """``1 picture``, ``2 pictures``, ``2 classes``."""
    ending = "" if count == 1 else "es" if word.endswith("s") else "s"
    return f"{count} {word}{ending}"
