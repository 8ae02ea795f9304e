"""From ``data.source`` and ``data.path`` to the pictures, and one line that says what was found."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sftcore.data.sources.auto import choose
from sftcore.data.sources.items import Item, Layout, counted, listed
from sftcore.data.sources.registry import SOURCES
from sftcore.data.sources.trees import open_tree
from sftcore.data.splits import SPLIT_ORDER
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable


@dataclass(frozen=True)
class Contents:
    """All that a source holds.

    Attributes:
        items: the pictures, sorted by id.
        description: one line: what the data were taken for, and what to know of it.
        others: files beside the pictures that are none by their name, by suffix.
        ids_are_files: whether each id is the path of a file below ``data.path``.
    """

    items: list[Item]
    description: str
    others: dict[str, int]
    ids_are_files: bool

    def lines(self) -> list[str]:
        """What to print: the description, and the files that are no pictures if there are any."""
        return [self.description, *([others_line(self.others)] if self.others else [])]


def others_line(others: dict[str, int]) -> str:
    """``not pictures by their name: 3 .txt, 1 .ogg``, the most frequent first."""
    ordered = sorted(others.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{count} {printable(kind)}" for kind, count in ordered]
    return f"not pictures by their name: {listed(shown, 12)}"


def read_source(source: str, path: Path, table: str) -> list[Item]:
    """All pictures of a source, sorted by id; see :func:`open_source`."""
    return open_source(source, path, table).items


def open_source(source: str, path: Path, table: str) -> Contents:
    """Look at the layout of a source; no picture is read.

    Args:
        source: ``auto``, or a kind by name, for some with a colon and a detail.
        path: folder of the data, or an archive or a table.
        table: name of the table's file inside it, for the source ``table``.

    Raises:
        DataError: nothing is there, the layout can be read in several ways or in none, or fewer
            than two classes are found.
    """
    name, _, detail = source.partition(":")
    if name not in SOURCES and name != "auto":
        raise DataError(
            f"data.source: {source!r} is none of {', '.join(['auto', *sorted(SOURCES)])}"
        )
    tree = open_tree(path, is_searching=name == "auto")
    if name == "auto":
        name, tree, detail = choose(tree, table)
    layout = SOURCES[name].read(tree, detail or table)
    _check_classes(layout.items, path, tree.shown())
    layout = _complete_splits(layout, path)
    inside = f", in {printable(tree.base)}" if tree.base else ""
    classes = len({item.label for item in layout.items})
    counts = f"{counted(classes, 'class')}, {counted(len(layout.items), 'picture')}"
    return Contents(
        sorted(layout.items, key=lambda item: item.id),
        "; ".join([f"{printable(str(path))}: {layout.what}{inside} ({counts})", *layout.notes]),
        dict(layout.others),
        layout.ids_are_files,
    )


def _check_classes(items: Sequence[Item], path: Path, place: str) -> None:
    classes = sorted({item.label for item in items})
    if len(classes) < 2:
        found = f"one class ({classes[0]!r})" if classes else "no class with a picture"
        raise DataError(
            f"{place} holds {found}; classification needs at least two. Layout: "
            f"{path}/<class>/<picture>"
        )
    same = [name for name, count in Counter(item.id for item in items).items() if count > 1]
    if same:
        raise DataError(f"{place}: {listed(same)} would stand twice; rename the files")


def _complete_splits(layout: Layout, path: Path) -> Layout:
    """Let pictures named train be tested on where no other picture could, and say what is missing.

    Raises:
        DataError: a class stands in val or test and not in train.
    """
    classes = {
        split: {item.label for item in layout.items if item.split == split}
        for split in ("", *SPLIT_ORDER)
    }
    given = [name for name in SPLIT_ORDER if classes[name]]
    if not given:
        return layout
    learnt = classes["train"] | classes[""]
    notes = list(layout.notes)
    for name in ("val", "test"):
        if unknown := sorted(classes[name] - learnt):
            raise DataError(
                f"{printable(str(path))}: {counted(len(unknown), 'class')} of {name} "
                f"{'is' if len(unknown) == 1 else 'are'} not in train: {listed(unknown)}. Nothing "
                "can be learnt of a class without training pictures: add some, remove the class "
                "from the other splits, or mend the spelling where it is another class's"
            )
        if classes[name] and (absent := sorted(learnt - classes[name])):
            notes.append(f"{name} has no picture of {listed(absent)}")
    items = layout.items
    if not classes["test"] and not classes[""]:
        items = [replace(i, split="") if i.split == "train" else i for i in items]
    missing = [name for name in ("val", "test") if not classes[name]]
    if missing:
        settings = " and ".join(f"data.{name}_fraction" for name in missing)
        notes.append(f"{' and '.join(missing)} taken out of train by {settings}")
    return replace(layout, items=items, notes=tuple(notes))
