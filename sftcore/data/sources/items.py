"""One example of a source, and all that a layout says about its examples."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sftcore.foundations.tables import printable


@dataclass(frozen=True)
class Item:
    """One example before anyone has looked at it.

    Attributes:
        id: path inside the source with ``/``, or ``<file>/<row>`` where examples are rows.
        label: name of its class; what the source says of its labels or numbers otherwise.
        read: its file's or cell's bytes; raises :class:`Refused` where it must not be read.
        split: ``train``, ``val`` or ``test`` where the source says so.
        group: examples of one group never cross splits; empty where the source says nothing.
        position: place in what holds it. A compressed archive is read from front to back, so
            another order would decompress it again and again.
        cells: texts of the columns that hold labels or numbers; none for classes.
    """

    id: str
    label: str
    read: Callable[[], bytes]
    split: str = ""
    group: str = ""
    position: int = 0
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """What one kind of source found.

    Attributes:
        what: what the data were taken for, in a few words.
        items: the examples, in any order.
        notes: what a reader should know of it, each a clause.
        others: files beside the examples that are none by their name, by suffix.
        ids_are_files: whether each id is the path of a file below ``data.path``.
        columns: names of the labels or numbers, or of the one column that lists labels.
    """

    what: str
    items: list[Item]
    notes: tuple[str, ...] = ()
    others: Counter[str] = field(default_factory=Counter)
    ids_are_files: bool = False
    columns: tuple[str, ...] = ()


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
