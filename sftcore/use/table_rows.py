"""The rows of a table that hold texts or prompts, or name their files, as examples of their own."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from sftcore.data.kinds import Names
from sftcore.data.sources.files import Tree, file_reader, refusing
from sftcore.data.sources.rows import Rows, read_rows
from sftcore.data.sources.sought import Sought
from sftcore.data.targets.columns import MissingColumn, UnclearColumn
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable
from sftcore.use.inputs import Named, archive_members, file_named


def rows_of(table: Named, column: str, names: Names) -> Iterator[Named]:
    """A table's rows, named by their number from 0, as prepared data name them.

    Args:
        table: CSV, TSV, JSONL, Parquet or Arrow, in a folder or an archive.
        column: that the user has named, or nothing.
        names: of the examples, with that column alone, or with the usual ones as for training.

    Yields:
        The rows; of a table that cannot be read and was not asked for by its name, itself with the
        reason.

    Raises:
        DataError: one that was asked for cannot be read, or lacks the column.
    """
    tree = _tree(table)
    name = table.member or Path(table.path).name
    try:
        rows = read_rows(replace(tree, sought=Sought(names, has_target=False)), name)
    except DataError as error:
        is_unclear = isinstance(error, MissingColumn | UnclearColumn) and not column
        advice = "; or name the column after --column" if is_unclear else ""
        if table.is_asked:
            raise DataError(f"{error}{advice}") from error
        reason = refusing(f"no table of {names.plural}", f"{error}{advice}")
        yield replace(table, content=reason)
        return
    for row in range(len(rows)):
        yield Named(
            f"{table.name}/{row:06d}", table.path, table.member,
            f"{table.stamp}{_stamp_of_file(rows, row, tree)}",
            content=partial(rows.read, row, tree),
        )  # fmt: skip


def _tree(table: Named) -> Tree:
    """What the table's rows may name: the files below its folder, or in its archive."""
    path = Path(table.path)
    if table.member:
        files = {of.member: of.read for of in archive_members(table.path)}
        return Tree(path, files, frozenset(), is_archive=True)
    return Tree(path.parent, {path.name: file_reader(path.parent, path)}, frozenset())


def _stamp_of_file(rows: Rows, row: int, tree: Tree) -> str:
    """Of the file that a row names: its text may change while the table stays."""
    if rows.paths is None or tree.is_archive:
        return ""
    return f" {printable(file_named(str(tree.path / rows.paths[row])).stamp)}"
