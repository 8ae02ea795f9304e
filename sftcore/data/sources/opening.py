"""From ``data.source`` and ``data.path`` to the examples, and one line that says what was found."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sftcore.data.sources.auto import choose
from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import Item, Layout, counted, listed
from sftcore.data.sources.registry import SOURCES
from sftcore.data.sources.sought import PICTURES_WITH_CLASSES, Sought
from sftcore.data.sources.trees import open_tree
from sftcore.data.splits import SPLIT_ORDER
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable


@dataclass(frozen=True)
class Contents:
    """All that a source holds.

    Attributes:
        items: the examples, sorted by id.
        description: one line: what the data were taken for, and what to know of it.
        others: files beside the examples that are none by their name, by suffix.
        ids_are_files: whether each id is the path of a file below ``data.path``.
        columns: names of the labels or numbers, or of the one column that lists labels.
        plural: what the examples are called.
    """

    items: list[Item]
    description: str
    others: dict[str, int]
    ids_are_files: bool
    columns: tuple[str, ...] = ()
    plural: str = "pictures"

    def lines(self) -> list[str]:
        """What to print: the description, and the files that are no examples if there are any."""
        others = [others_line(self.others, self.plural)] if self.others else []
        return [self.description, *others]


def others_line(others: Mapping[str, int], plural: str = "pictures") -> str:
    """``not pictures by their name: 3 .txt, 1 .ogg``, the most frequent first."""
    ordered = sorted(others.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{count} {printable(kind)}" for kind, count in ordered]
    return f"not {plural} by their name: {listed(shown, 12)}"


def read_source(
    source: str, path: Path, table: str, sought: Sought = PICTURES_WITH_CLASSES
) -> list[Item]:
    """All examples of a source, sorted by id; see :func:`open_source`."""
    return open_source(source, path, table, sought).items


def open_source(
    source: str, path: Path, table: str, sought: Sought = PICTURES_WITH_CLASSES
) -> Contents:
    """Look at the layout of a source; no example is read.

    Args:
        source: ``auto``, or a kind by name, for some with a colon and a detail.
        path: folder of the data, or an archive or a table.
        table: name of the table's file inside it, for the source ``table``.
        sought: which kind of examples, with which targets.

    Raises:
        DataError: nothing is there, the layout can be read in several ways or in none, it cannot
            hold what is looked for, or fewer than two classes are found.
    """
    name, _, detail = source.partition(":")
    if name not in SOURCES and name != "auto":
        raise DataError(
            f"data.source: {source!r} is none of {', '.join(['auto', *sorted(SOURCES)])}"
        )
    tree = open_tree(path, is_searching=name == "auto", sought=sought)
    if name == "auto":
        name, tree, detail = choose(tree, table)
    check_fit(name, sought)
    layout = SOURCES[name].read(tree, detail or table)
    _check_items(layout, path, tree)
    layout = complete_splits(layout, path, sought)
    inside = f", in {printable(tree.base)}" if tree.base else ""
    outside = sum(not file.startswith(tree.base) for file in tree.files)
    notes = [f"{counted(outside, 'file')} outside of it left out"] if outside else []
    return Contents(
        sorted(layout.items, key=lambda item: item.id),
        "; ".join(
            [
                f"{printable(str(path))}: {layout.what}{inside} ({_counts(layout, sought)})",
                *layout.notes,
                *notes,
            ]
        ),
        dict(layout.others),
        layout.ids_are_files,
        layout.columns,
        sought.names.plural,
    )


def _counts(layout: Layout, sought: Sought) -> str:
    """``3 classes, 54 pictures``."""
    classes = len({item.label for item in layout.items})
    what = counted(classes, "class") if sought.is_class else (
        f"{sought.target.kind}: {listed(layout.columns)}"
    )  # fmt: skip
    how_many = counted(len(layout.items), sought.noun)
    return f"{what}, {how_many}" if sought.is_class or layout.columns else how_many


def check_fit(name: str, sought: Sought) -> None:
    """Refuse a kind of source that cannot hold what is looked for.

    Args:
        name: of the kind, without what follows the colon.
        sought: which kind of examples, with which targets.

    Raises:
        DataError: names those that can.
    """
    if SOURCES[name].fits(sought):
        return
    others = ", ".join(sorted(other for other in SOURCES if SOURCES[other].fits(sought)))
    plural = sought.names.plural
    if sought.is_class or SOURCES[name].is_table:
        raise DataError(f"data.source: {name} holds no {plural}; {others} do")
    raise DataError(
        f"data.source: {name} says one class for each {sought.noun}; {sought.target.kind} stand in "
        f"the columns of a table. Sources with columns: {others}"
    )


def _check_items(layout: Layout, path: Path, tree: Tree) -> None:
    sought, items = tree.sought, layout.items
    classes = sorted({item.label for item in items})
    if sought.is_class and len(classes) < 2:
        found = f"one class ({classes[0]!r})" if classes else f"no class with a {sought.noun}"
        raise DataError(
            f"{tree.shown()} holds {found}; classification needs at least two. Layout: "
            f"{path}/<class>/<{sought.noun}>"
        )
    if not items:
        raise DataError(f"{tree.shown()} holds no {sought.noun}")
    same = [name for name, count in Counter(item.id for item in items).items() if count > 1]
    if same:
        raise DataError(f"{tree.shown()}: {listed(same)} would stand twice; rename the files")


def complete_splits(layout: Layout, path: Path, sought: Sought) -> Layout:
    """Let examples named train be tested on where no other could, and say what is missing.

    Raises:
        DataError: a class stands in val or test and not in train, or nothing is left for train.
    """
    classes = {
        split: {
            item.label if sought.is_class else "" for item in layout.items if item.split == split
        }
        for split in ("", *SPLIT_ORDER)
    }
    given = [name for name in SPLIT_ORDER if classes[name]]
    if not given:
        return layout
    learnt = classes["train"] | classes[""]
    if not learnt and not sought.is_class:
        raise DataError(f"{printable(str(path))}: no {sought.noun} of the split train")
    notes = list(layout.notes)
    for name in ("val", "test"):
        if unknown := sorted(classes[name] - learnt):
            raise DataError(
                f"{printable(str(path))}: {counted(len(unknown), 'class')} of {name} "
                f"{'is' if len(unknown) == 1 else 'are'} not in train: {listed(unknown)}. Nothing "
                f"can be learnt of a class without training {sought.names.plural}: add some, "
                "remove the class from the other splits, or mend the spelling where it is another "
                "class's"
            )
        if classes[name] and (absent := sorted(learnt - classes[name])):
            notes.append(f"{name} has no {sought.noun} of {listed(absent)}")
    items = layout.items
    if not classes["test"] and not classes[""]:
        items = [replace(i, split="") if i.split == "train" else i for i in items]
    missing = [name for name in ("val", "test") if not classes[name]]
    if missing:
        settings = " and ".join(f"data.{name}_fraction" for name in missing)
        notes.append(f"{' and '.join(missing)} taken out of train by {settings}")
    return replace(layout, items=items, notes=tuple(notes))
