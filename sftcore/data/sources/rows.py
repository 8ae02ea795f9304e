"""Tables of pictures row by row: CSV, TSV, JSONL, Parquet and Arrow, read without the pictures."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftcore.data.pictures.decode import Refused
from sftcore.data.sources.columns import Columns, find_columns
from sftcore.data.sources.files import Tree
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable

Cell = Callable[[int], Any]  # the picture's cell of a row
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n")
_LEAST_BASE64 = 64  # characters; a shorter text is a path


@dataclass(frozen=True)
class Rows:
    """A table whose pictures have not been read.

    Attributes:
        columns: which are which.
        cells: text of the columns label, split and group, by their names; empty for no value.
        paths: the pictures' paths; None where the rows hold the pictures themselves.
        picture: the picture's cell of a row.
        class_names: names of the classes where the table keeps them and labels are their numbers.
        first_row: number of the first row in messages.
    """

    columns: Columns
    cells: Mapping[str, Sequence[str]]
    paths: list[str] | None
    picture: Cell
    class_names: Sequence[str] = ()
    first_row: int = 1

    def __len__(self) -> int:
        return len(self.cells[self.columns.label])

    def read(self, row: int, tree: Tree) -> bytes:
        """The picture of a row as the bytes of its file.

        Args:
            row: from 0.
            tree: where paths are looked up.

        Raises:
            Refused: the cell is empty, or cannot be read.
        """
        try:
            return _content(self.picture(row), tree)
        except (ValueError, OSError) as error:
            raise Refused("cannot be read", f"row {row + self.first_row}: {error}") from error


def _content(cell: Any, tree: Tree) -> bytes:
    if isinstance(cell, Mapping):
        inner = cell.get("bytes")
        return _content(cell.get("path") if inner is None else inner, tree)
    if isinstance(cell, str):
        return from_base64(cell) if is_base64(cell) else tree.reader(cell)()
    if isinstance(cell, bytes):
        return cell
    raise Refused("empty file", "no picture in the row")


def is_base64(text: str) -> bool:
    """Whether a text is a file's bytes rather than a path."""
    if text.startswith("data:"):
        return True
    return len(text) >= _LEAST_BASE64 and set(text[:_LEAST_BASE64]) <= _BASE64 and "." not in text


def from_base64(text: str) -> bytes:
    """The bytes of a base64 text, also of one with ``data:image/png;base64,`` before it.

    Raises:
        Refused: it is not base64.
    """
    try:
        return base64.b64decode(text.rpartition(",")[2], validate=False)
    except (binascii.Error, ValueError) as error:
        raise Refused("cannot be read", f"not base64: {error}") from error


def text_of(value: Any) -> str:
    """A label, split or group as text; empty for no value."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return str(value)


def read_rows(tree: Tree, name: str) -> Rows:
    """A table by its suffix.

    Args:
        tree: holds it.
        name: relative to the tree's base.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    from sftcore.data.sources import columnar

    suffix = name.lower().rpartition(".")[2]
    readers = {
        "parquet": columnar.read_parquet,
        "arrow": columnar.read_arrow,
        "jsonl": _read_jsonl,
        "ndjson": _read_jsonl,
    }
    try:
        return readers.get(suffix, _read_csv)(tree, name)
    except (ValueError, OSError) as error:
        raise DataError(f"{tree.shown(name)} cannot be read as a table: {error}") from error


def _read_csv(tree: Tree, name: str) -> Rows:
    import pandas as pd

    with tree.open(name) as file:
        # A class may well be called NA or null; spreadsheets write a mark before UTF-8.
        table = pd.read_csv(
            file, sep="\t" if name.lower().endswith(".tsv") else ",", dtype="string",
            encoding="utf-8-sig", keep_default_na=False,
        )  # fmt: skip
    columns = find_columns([str(column) for column in table.columns], tree.shown(name))
    cells = {column: table[column].fillna("").tolist() for column in columns.wanted()}
    paths = table[columns.picture].fillna("").tolist()
    return Rows(columns, cells, paths, paths.__getitem__, first_row=2)


def _read_jsonl(tree: Tree, name: str) -> Rows:
    """Places of the lines are kept, and not their pictures."""
    places: list[int] = []
    columns: Columns | None = None
    cells: dict[str, list[str]] = {}
    paths: list[str] | None = []
    with tree.open(name) as file:
        place = 0
        for number, line in enumerate(file, start=1):
            if line.strip():
                row = _json_row(line, number)
                if columns is None:
                    columns = find_columns(list(row), tree.shown(name))
                    cells = {column: [] for column in columns.wanted()}
                    paths = [] if _is_path(row[columns.picture]) else None
                for column, texts in cells.items():
                    texts.append(text_of(row.get(column)))
                if paths is not None:
                    paths.append(text_of(row.get(columns.picture)))
                places.append(place)
            place += len(line)
    if columns is None:
        raise ValueError("it is empty")
    return Rows(columns, cells, paths, _json_cell(tree, name, places, columns.picture))


def _is_path(cell: Any) -> bool:
    return isinstance(cell, str) and not is_base64(cell)


def _json_row(line: bytes, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number}: {error}") from error
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is no object with names and values")
    return row


def _json_cell(tree: Tree, name: str, places: Sequence[int], column: str) -> Cell:
    def cell(row: int) -> Any:
        with tree.open(name) as file:
            file.seek(places[row])
            return _json_row(file.readline(), row + 1).get(column)

    return cell


def shown_rows(faults: Sequence[str], place: str) -> str:
    """The first faults of a table, and how many more there are."""
    more = f"\n  ... and {len(faults) - 10} more" if len(faults) > 10 else ""
    return f"{place}:\n  " + "\n  ".join(printable(fault) for fault in faults[:10]) + more
