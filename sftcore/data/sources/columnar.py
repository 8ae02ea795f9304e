"""Parquet and Arrow files, as hubs hand them out: labels at once, examples as they come."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sftcore.data.sources.columns import find_columns
from sftcore.data.sources.files import Tree
from sftcore.data.sources.rows import Cell, Rows, text_of

_BATCH_ROWS = 64  # examples in memory at once
_INFO_KEY = b"huggingface"


def read_parquet(tree: Tree, name: str) -> Rows:
    """A Parquet file.

    Args:
        tree: holds it.
        name: relative to the tree's base.

    Raises:
        DataError: a column is missing.
        ValueError: it is no Parquet file.
    """
    with tree.open(name) as stream, pq.ParquetFile(stream) as file:
        schema = file.schema_arrow

        def column(wanted: str) -> Sequence[Any]:
            return file.read(columns=[wanted]).column(wanted).to_pylist()

        return _rows(
            tree, name, schema, column, _ParquetExamples(tree, name), file.metadata.num_rows
        )


def read_arrow(tree: Tree, name: str) -> Rows:
    """An Arrow file in either of its formats, mapped into memory where it lies in a folder.

    Args:
        tree: holds it.
        name: relative to the tree's base.

    Raises:
        DataError: a column is missing.
        ValueError: it is no Arrow file.
    """
    table = _open_arrow(tree, name)

    def column(wanted: str) -> Sequence[Any]:
        return table.column(wanted).to_pylist()

    def examples(wanted: str) -> Cell:
        return lambda row: table.column(wanted)[row].as_py()

    return _rows(tree, name, table.schema, column, examples, table.num_rows)


def _open_arrow(tree: Tree, name: str) -> pa.Table:
    def source() -> Any:
        if tree.is_archive:
            return pa.py_buffer(tree.files[tree.base + name]())
        return pa.memory_map(str(tree.path / (tree.base + name)))

    try:
        return pa.ipc.open_stream(source()).read_all()
    except pa.ArrowInvalid:
        return pa.ipc.open_file(source()).read_all()


def _rows(
    tree: Tree, name: str, schema: pa.Schema, column: Any, examples: Any, num_rows: int
) -> Rows:
    features = _features(schema, tree, name)
    class_labels = {
        key: names
        for key, feature in features.items()
        if (names := _class_names(feature)) and key in schema.names
    }
    columns = find_columns(
        schema.names,
        tree.shown(name),
        tree.sought,
        bytes_columns=[field.name for field in schema if _holds_bytes(field.type)],
        class_labels=class_labels,
    )
    cells = {wanted: [text_of(v) for v in column(wanted)] for wanted in columns.wanted()}
    for wanted in columns.targets.values():
        if names := _listed_names(features.get(wanted)):
            cells[wanted] = [text_of(_by_name(v, names)) for v in column(wanted)]
    is_path = not columns.is_cell and not _holds_bytes(schema.field(columns.example).type)
    paths = [text_of(value) for value in column(columns.example)] if is_path else None
    return Rows(
        columns, cells, paths, columns.example_of(examples), num_rows,
        class_labels.get(columns.label, []),
    )  # fmt: skip


def _class_names(feature: Any) -> list[str]:
    """Names of the classes, of a column that holds their numbers; none of others."""
    if not isinstance(feature, Mapping) or feature.get("_type") != "ClassLabel":
        return []
    names = feature.get("names")
    return [str(name) for name in names] if isinstance(names, list) else []


def _listed_names(feature: Any) -> list[str]:
    """The same of a column that holds lists of such numbers, in either spelling."""
    if isinstance(feature, list):
        return _class_names(feature[0]) if len(feature) == 1 else []
    return _class_names(feature.get("feature")) if isinstance(feature, Mapping) else []


def _by_name(cell: Any, names: Sequence[str]) -> Any:
    """A list of numbers as one of names; what is no such list stays, to be refused as it is."""
    if not isinstance(cell, list) or not all(isinstance(v, int) and v < len(names) for v in cell):
        return cell
    return [names[v] for v in cell]


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)  # of no type where all are paths
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _features(schema: pa.Schema, tree: Tree, name: str) -> Mapping[str, Any]:
    """What the columns mean: beside an Arrow file, else in the schema, by ``datasets``."""
    folder = name.rpartition("/")[0]
    beside = f"{folder}/dataset_info.json".lstrip("/")
    try:
        if tree.base + beside in tree.files:
            with tree.open(beside) as file:
                found = json.load(file).get("features")
        else:
            found = json.loads((schema.metadata or {})[_INFO_KEY])["info"]["features"]
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    return found if isinstance(found, Mapping) else {}


class _ParquetExamples:
    """Examples of a Parquet file in the order of its rows; a step back starts it again."""

    def __init__(self, tree: Tree, name: str) -> None:
        self._tree, self._name = tree, name

    def __call__(self, column: str) -> Cell:
        state = _Walk(self._tree, self._name, column)
        return state.cell


class _Walk:
    """A place in a Parquet file's column, and the few rows around it."""

    def __init__(self, tree: Tree, name: str, column: str) -> None:
        self._tree, self._name, self._column = tree, name, column
        self._stream: Any = None
        self._start, self._cells = 0, []  # type: tuple[int, Sequence[Any]]

    def cell(self, row: int) -> Any:
        """The cell of a row."""
        if self._stream is None or row < self._start:
            self._restart()
        while row >= self._start + len(self._cells):
            self._start += len(self._cells)
            self._cells = next(self._batches).column(0).to_pylist()
        found = self._cells[row - self._start]
        if row + 1 == self._num_rows:
            self.close()  # shards may be more than a process may open
        return found

    def _restart(self) -> None:
        self.close()
        self._stream = self._tree.open(self._name)
        file = pq.ParquetFile(self._stream, pre_buffer=False)
        self._num_rows = file.metadata.num_rows
        self._batches = file.iter_batches(batch_size=_BATCH_ROWS, columns=[self._column])
        self._start, self._cells = 0, []

    def close(self) -> None:
        """Close the file and forget its rows."""
        if self._stream is not None:
            self._batches = iter(())
            self._stream.close()
        self._stream, self._start, self._cells = None, 0, []

    def __del__(self) -> None:
        self.close()
