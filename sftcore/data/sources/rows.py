"""Tables of examples row by row: CSV, TSV, JSONL, Parquet and Arrow, read without the files."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftcore.data.kinds import Refused
from sftcore.data.sources.columns import Columns, find_columns
from sftcore.data.sources.files import Tree
from sftcore.data.texts.decode import cell_bytes
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable

Cell = Callable[[int], Any]  # the example's cell of a row
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n")
_LEAST_BASE64 = 64  # characters; a shorter text is a path


@dataclass(frozen=True)
class Rows:
    """A table whose examples have not been read.

    Attributes:
        columns: which are which.
        cells: text of the columns label, split, group and of targets, by their names; empty for
            no value.
        paths: the examples' paths; None where the rows hold the examples themselves.
        example: the example's cell of a row.
        num_rows: of the table.
        class_names: names of the classes where the table keeps them and labels are their numbers.
        first_row: number of the first row in messages.
    """

    columns: Columns
    cells: Mapping[str, Sequence[str]]
    paths: list[str] | None
    example: Cell
    num_rows: int
    class_names: Sequence[str] = ()
    first_row: int = 1

    def __len__(self) -> int:
        return self.num_rows

    def read(self, row: int, tree: Tree) -> bytes:
        """The example of a row as the bytes of its file, or of its cell.

        Args:
            row: from 0.
            tree: where paths are looked up.

        Raises:
            Refused: the cell is empty, or cannot be read.
        """
        try:
            cell = self.example(row)
            if self.columns.parts:
                return record_bytes(cell)
            return cell_bytes(cell) if self.columns.is_cell else _content(cell, tree)
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


def record_bytes(cells: Mapping[str, Any]) -> bytes:
    """The cells of an example that has parts as JSON.

    Raises:
        Refused: a cell holds what JSON cannot say.
    """
    try:
        return json.dumps(cells, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused("cannot be read", str(error)) from error


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
    """A label, split or group as text, a list of labels as JSON; empty for no value."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, default=str)
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
        encoding = ". Save it as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        raise DataError(
            f"{tree.shown(name)} cannot be read as a table: {error}{encoding}"
        ) from error


def _read_csv(tree: Tree, name: str) -> Rows:
    import pandas as pd

    with tree.open(name) as file:
        # A class may well be called NA or null; spreadsheets write a mark before UTF-8.
        table = pd.read_csv(
            file, sep="\t" if name.lower().endswith(".tsv") else ",", dtype="string",
            encoding="utf-8-sig", keep_default_na=False,
        )  # fmt: skip
    if not isinstance(table.index, pd.RangeIndex):  # the first cells would be taken for names
        raise ValueError(
            "rows have more cells than there are names of columns: put texts that "
            "hold the separator into quotes"
        )
    columns = find_columns([str(column) for column in table.columns], tree.shown(name), tree.sought)
    cells = {column: table[column].fillna("").tolist() for column in columns.wanted()}
    paths = None if columns.is_cell else table[columns.example].fillna("").tolist()
    example = columns.example_of(lambda column: table[column].fillna("").tolist().__getitem__)
    return Rows(columns, cells, paths, example, len(table), first_row=2)


def _read_jsonl(tree: Tree, name: str) -> Rows:
    """Places of the lines are kept, and not their pictures; texts are small, and are."""
    places: list[int] = []
    columns: Columns | None = None
    cells: dict[str, list[str]] = {}
    paths: list[str] | None = []
    texts_of_rows: list[Any] = []
    with tree.open(name) as file:
        place = 0
        for number, line in enumerate(file, start=1):
            if line.strip():
                row = _json_row(line, number)
                if columns is None:
                    columns = find_columns(list(row), tree.shown(name), tree.sought)
                    cells = {column: [] for column in columns.wanted()}
                    is_path = not columns.is_cell and _is_path(row[columns.example])
                    paths = [] if is_path else None
                for column, texts in cells.items():
                    texts.append(text_of(row.get(column)))
                if paths is not None:
                    paths.append(text_of(row.get(columns.example)))
                elif columns.is_cell:
                    texts_of_rows.append(columns.example_of(_cell_of(row))(0))
                places.append(place)
            place += len(line)
    if columns is None:
        raise ValueError("it is empty")
    cell = _json_cell(tree, name, places, columns.example)
    read = texts_of_rows.__getitem__ if columns.is_cell else cell
    return Rows(columns, cells, paths, read, len(places))


def _cell_of(row: Mapping[str, Any]) -> Callable[[str], Cell]:
    return lambda column: lambda _: row.get(column)


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
