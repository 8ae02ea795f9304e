"""Tables that name examples or hold them: CSV, TSV, JSONL, Parquet, one or one for each split."""

import posixpath
from collections.abc import Callable, Sequence

from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import Item, Layout, counted, listed
from sftcore.data.sources.names import SPLIT_NAMES, split_of, split_of_file
from sftcore.data.sources.registry import register_source
from sftcore.data.sources.rows import Rows, read_rows, shown_rows
from sftcore.data.sources.trees import TABLE_SUFFIXES
from sftcore.data.splits import SPLIT_ORDER
from sftcore.data.targets.columns import UnclearColumn
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable

_UNLABELLED = ("", "-1")  # of a row whose class is a number with a name elsewhere


def table_names(tree: Tree) -> list[str]:
    """Tables directly below the base but those that belong to another kind."""
    return [
        name
        for name in tree.top_files()
        if name.lower().endswith(TABLE_SUFFIXES) and not name.lower().startswith("metadata.")
    ]


def _usable(tree: Tree) -> list[str]:
    """Tables that have the columns."""
    usable = []
    for name in table_names(tree):
        try:
            read_rows(tree, name)
        except UnclearColumn:
            raise
        except DataError:
            continue
        usable.append(name)
    return usable


def faults_of_tables(tree: Tree) -> str:
    """Why none of the tables can be used, a line for each; empty where there is none."""
    faults = []
    for name in table_names(tree):
        try:
            read_rows(tree, name)
        except DataError as error:
            faults.append(str(error))
    return "".join(f"\n  {fault}" for fault in faults[:5])


def chosen_tables(tree: Tree, table: str) -> list[str]:
    """The tables that make one data set: the named one, the only one, or one for each split.

    Args:
        tree: holds them.
        table: ``data.table``.
    """
    usable = _usable(tree)
    if table in usable:
        return [table]
    splits = [split_of_file(name) for name in usable]
    if len(usable) > 1 and all(splits) and "train" in splits:
        return usable
    return usable[:1] if len(usable) == 1 else []


def _recognise(tree: Tree, table: str) -> str:
    if chosen := chosen_tables(tree, table):
        return f"table {listed(chosen)}"
    if len(usable := _usable(tree)) > 1:
        raise DataError(
            f"{tree.shown()} holds the tables {listed(usable)}, each with "
            f"{tree.sought.names.plural} and {tree.sought.target.kind}: "
            f"name one in data.table and set data.source: table"
        )
    return ""


@register_source("table", _recognise, is_any_kind=True, is_table=True)
def read_table(tree: Tree, table: str) -> Layout:
    """The columns path (or image, file_name; text) and label (or class), or those of the target.

    Optionally there are split and group. Paths are relative to the folder of the data.

    Raises:
        DataError: the file or a column is missing, or a cell holds what is not allowed.
    """
    if tree.base + table in tree.files:
        names = [table]
    elif not (names := chosen_tables(tree, table)):
        seen = table_names(tree)
        there = f"; there are {listed(seen)}" if seen else ""
        raise DataError(f"data.table: there is no file {tree.shown(table)!r}{there}")
    return read_tables(tree, names, f"table {listed(names)}", split_of_file if names[1:] else None)


def read_tables(
    tree: Tree, names: Sequence[str], what: str, split_of_table: Callable[[str], str] | None = None
) -> Layout:
    """The examples of some tables as one data set.

    Args:
        tree: holds them.
        names: of the tables, relative to the base.
        what: what the layout is called.
        split_of_table: the split of a whole table by its name, for rows that name none.

    Raises:
        DataError: as for :func:`read_table`.
    """
    items: list[Item] = []
    notes: list[str] = []
    sought, columns = tree.sought, None
    is_files = not tree.is_archive
    for name in names:
        rows = read_rows(tree, name)
        split = split_of_table(name) if split_of_table else ""
        if rows.class_names and set(rows.cells[rows.columns.label]) <= set(_UNLABELLED):
            notes.append(f"{counted(len(rows), sought.noun)} without a class in {name} left out")
            continue
        here = tuple(rows.columns.targets)
        if columns is not None and columns != here:
            raise DataError(
                f"{tree.shown(name)} has the {sought.target.kind} {listed(here)}, another table "
                f"has {listed(columns)}: all tables need the same columns"
            )
        columns = here
        if rows.paths is not None and tree.is_single:
            raise DataError(
                f"{tree.shown(name)} names {sought.names.plural} by their paths: set data.path to "
                "the folder that holds them with the table, and data.table to the table's name"
            )
        is_files = is_files and rows.paths is not None
        items += _items(tree, name, rows, split, len(items))
    plural = sought.names.plural
    used = f" with the {plural} in it" if len(names) == 1 else f" with {plural}"
    return Layout(
        what + used * (not is_files), items, tuple(notes), ids_are_files=is_files,
        columns=columns or (),
    )  # fmt: skip


def _items(tree: Tree, name: str, rows: Rows, split: str, before: int) -> list[Item]:
    nothing = [""] * len(rows)
    splits = rows.cells.get(rows.columns.split) or nothing
    groups = rows.cells.get(rows.columns.group) or nothing
    of_targets = [rows.cells[column] for column in rows.columns.targets.values()]
    cells = list(zip(*of_targets, strict=True)) if of_targets else [()] * len(rows)
    labels = ["; ".join(texts) for texts in cells]
    if rows.columns.label:
        labels = list(rows.cells[rows.columns.label])
    if faults := _faults(rows, labels, splits):
        raise DataError(shown_rows(faults, tree.shown(name)))
    labels = [_class_name(label, rows) for label in labels]
    given = [split_of(text) or split for text in splits]
    folder = posixpath.dirname(name)
    if rows.paths is not None:
        paths = [path if path.startswith("/") else posixpath.join(folder, path)
                 for path in rows.paths]  # fmt: skip
        return [
            tree.item(*of_row) for of_row in zip(paths, labels, given, groups, cells, strict=True)
        ]
    place = printable(tree.base + name)
    inside = tree.at(folder) if folder else tree
    return [
        Item(
            f"{place}/{row:06d}", printable(labels[row]), _row_reader(rows, row, inside),
            given[row], printable(groups[row]), before + row, cells[row],
        )
        for row in range(len(rows))
    ]  # fmt: skip


def _row_reader(rows: Rows, row: int, tree: Tree) -> Callable[[], bytes]:
    return lambda: rows.read(row, tree)


def _class_name(label: str, rows: Rows) -> str:
    if rows.class_names and label.isdecimal() and int(label) < len(rows.class_names):
        return rows.class_names[int(label)]
    return label


def _faults(rows: Rows, labels: Sequence[str], splits: Sequence[str]) -> list[str]:
    faults = []
    for row, (label, split) in enumerate(zip(labels, splits, strict=True)):
        where = f"row {row + rows.first_row}: "
        if rows.paths is not None and not rows.paths[row]:
            faults.append(where + "path is empty")
        if rows.columns.label and (not label or (rows.class_names and label == "-1")):
            faults.append(where + "label is empty")
        if split and not split_of(split):
            faults.append(
                f"{where}split {split!r} is none of {', '.join(SPLIT_ORDER)}, or of their other "
                f"names {', '.join(name for name in SPLIT_NAMES if name not in SPLIT_ORDER)}"
            )
    seen: set[str] = set()
    for path in rows.paths or ():
        if path in seen:
            faults.append(f"path {path!r} stands twice")
        seen.add(path)
    return faults
