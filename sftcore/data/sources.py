"""Where pictures come from: folders, a table, or a torchvision data set, through one registry."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sftcore.data.decode import Refused
from sftcore.data.splits import SPLIT_ORDER
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable


@dataclass(frozen=True)
class Item:
    """One picture before anyone has looked at it.

    Attributes:
        id: path inside the source with ``/``, or ``<split>/<index>`` for a torchvision data set.
        label: name of its class.
        read: its file's bytes; raises :class:`Refused` where the file must not be read.
        split: ``train``, ``val`` or ``test`` where the source says so.
        group: pictures of one group never cross splits; empty where the source says nothing.
    """

    id: str
    label: str
    read: Callable[[], bytes]
    split: str = ""
    group: str = ""


Source = Callable[[Path, str], list[Item]]
SOURCES: dict[str, Source] = {}


def register_source(name: str) -> Callable[[Source], Source]:
    """Add a source to the registry under the word before the colon of ``data.source``.

    Raises:
        ValueError: the name is taken.
    """

    def register(source: Source) -> Source:
        if name in SOURCES:
            raise ValueError(f"source {name!r} is registered already")
        SOURCES[name] = source
        return source

    return register


def read_source(source: str, path: Path, table: str) -> list[Item]:
    """All pictures of a source, sorted by id.

    Args:
        source: ``folder``, ``table`` or ``torchvision:<DatasetName>``.
        path: folder of the data.
        table: name of the table's file inside it, for the source ``table``.

    Raises:
        DataError: the folder, the table or a class is missing, or there is only one class.
    """
    if not path.is_dir():
        raise DataError(
            f"data.path: there is no folder {str(path)!r}. Put the pictures in "
            f"{path}/<class>/, or set data.path to where they are"
        )
    name, _, detail = source.partition(":")
    if name not in SOURCES:
        raise DataError(f"data.source: {source!r} is none of {', '.join(sorted(SOURCES))}")
    items = SOURCES[name](path, detail or table)
    classes = sorted({item.label for item in items})
    if len(classes) < 2:
        found = f"one class ({classes[0]!r})" if classes else "no class with a picture"
        raise DataError(
            f"{path} holds {found}; classification needs at least two. Layout: "
            f"{path}/<class>/<picture>"
        )
    return sorted(items, key=lambda item: item.id)


def _file_reader(root: Path, path: Path) -> Callable[[], bytes]:
    """Reads a file unless its name is not text or it leads out of the data's folder."""

    def read() -> bytes:
        if not _is_text(str(path)):
            raise Refused("unreadable name", "not UTF-8, or control characters: rename the file")
        try:
            if not path.resolve().is_relative_to(root.resolve()):
                raise Refused("outside the data folder", "a symlink or .. leads out of data.path")
            if not path.is_file():
                raise Refused("not a file", "missing, a broken link or a special file")
            return path.read_bytes()
        except OSError as error:  # no permission, a name too long, a disk that fails
            raise Refused("cannot be read", error.strerror or type(error).__name__) from error
        except RuntimeError as error:  # what Python before 3.13 raises for a loop of links
            raise Refused("not a file", "a symlink that leads to itself") from error

    return read


def _is_text(name: str) -> bool:
    return printable(name) == name


@register_source("folder")
def read_folder(path: Path, _: str) -> list[Item]:
    """Class folders: every file below ``path/<class>/`` is a picture of that class.

    Hidden files and folders, and files beside the class folders, are left out.

    Raises:
        DataError: a class folder is empty.
    """
    items, empty = [], []
    for folder in sorted(path.iterdir()):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        files = _walk(folder)
        if not files:
            empty.append(printable(folder.name))
        label = printable(folder.name)
        items += [
            Item(printable(file.relative_to(path).as_posix()), label, _file_reader(path, file))
            for file in files
        ]
    if empty:
        raise DataError(
            f"{path}: no picture in the class folder{'s' * (len(empty) > 1)} {', '.join(empty)}. "
            "Add pictures or remove the folder"
        )
    return items


def _walk(folder: Path) -> list[Path]:
    """All files below a folder but hidden ones; links to folders are not followed."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root) / name for name in sorted(files) if not name.startswith(".")]
        found += [Path(root) / name for name in folders if (Path(root) / name).is_symlink()]
    return found


@register_source("table")
def read_table(path: Path, table: str) -> list[Item]:
    """A CSV or Parquet file with the columns path, label and optionally split and group.

    Picture paths are relative to the folder of the data.

    Raises:
        DataError: the file or a column is missing, or a cell holds what is not allowed.
    """
    import pandas as pd

    file = path / table
    if not file.is_file():
        raise DataError(f"data.table: there is no file {str(file)!r}")
    try:
        if file.suffix == ".parquet":
            rows = pd.read_parquet(file).astype("string")
        else:
            # A class may well be called NA or null.
            rows = pd.read_csv(file, dtype="string", encoding="utf-8", keep_default_na=False)
    except (ValueError, OSError) as error:
        raise DataError(f"{file} cannot be read as a table: {error}") from error
    missing = {"path", "label"} - set(rows.columns)
    if missing:
        raise DataError(
            f"{file} lacks the column{'s' * (len(missing) > 1)} {', '.join(sorted(missing))}; it "
            f"has {', '.join(rows.columns)}. Wanted: path, label, and if you like split and group"
        )
    rows = rows.reindex(columns=["path", "label", "split", "group"]).astype("string").fillna("")
    faults = [
        f"row {index + 2}: {what}"
        for index, row in enumerate(rows.itertuples(index=False))
        for what in _row_faults(row)
    ]
    faults += [f"path {name!r} stands twice" for name in rows["path"][rows["path"].duplicated()]]
    if faults:
        more = f"\n  ... and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise DataError(f"{file}:\n  " + "\n  ".join(faults[:10]) + more)
    return [
        Item(
            printable(row.path),
            printable(row.label),
            _file_reader(path, path / row.path),
            row.split,
            row.group,
        )
        for row in rows.itertuples(index=False)
    ]


def _row_faults(row: Any) -> list[str]:
    faults = [f"{column} is empty" for column in ("path", "label") if not getattr(row, column)]
    if row.split not in ("", *SPLIT_ORDER):
        faults.append(f"split {row.split!r} is none of {', '.join(SPLIT_ORDER)}")
    return faults


@register_source("torchvision")
def read_torchvision(path: Path, name: str) -> list[Item]:
    """A classification data set of ``torchvision.datasets``, by its own download code.

    Its test half is the test split; validation is taken from its training half.

    Raises:
        DataError: no such data set, or its files are not there and cannot be downloaded.
    """
    from torchvision import datasets

    if name not in datasets.__all__:
        near = get_close_matches(name, datasets.__all__, n=3)
        raise DataError(
            f"data.source: torchvision has no data set {name!r}"
            + (f"; did you mean {', '.join(near)}?" if near else "")
        )
    halves = {
        half: _open_torchvision(getattr(datasets, name), path, half) for half in ("train", "test")
    }
    return [
        Item(f"{half}/{index:06d}", label, _picture_reader(data, index), given)
        for (half, data), given in zip(halves.items(), ("", "test"), strict=True)
        for index, label in enumerate(_torchvision_labels(data, name))
    ]


def _torchvision_labels(data: Any, name: str) -> list[str]:
    """The class name of every picture."""
    try:
        targets = getattr(data, "targets", None)
        if targets is None:
            targets = [data[index][1] for index in range(len(data))]
        return [str(data.classes[int(target)]) for target in targets]
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"data.source: torchvision.datasets.{name} does not name one class per picture; use "
            "the source folder or table"
        ) from error


def _open_torchvision(dataset: Any, path: Path, half: str) -> Any:
    """One half of a data set, downloaded only if its files are not there."""
    import inspect

    accepted = inspect.signature(dataset).parameters
    which = {"train": half == "train"} if "train" in accepted else {"split": half}
    try:
        return dataset(path, download=False, **which)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"data.source: torchvision.datasets.{dataset.__name__} has no train and test half; "
            "use the source folder or table"
        ) from error
    except RuntimeError:
        try:
            return dataset(path, download=True, **which)
        except Exception as error:
            raise DataError(
                f"torchvision could not download {dataset.__name__} into {path}: {error}. Without "
                "a network, put its files there beforehand"
            ) from error


def _picture_reader(data: Any, index: int) -> Callable[[], bytes]:
    """A picture of a torchvision data set as the bytes of a PNG file."""

    def read() -> bytes:
        from io import BytesIO

        file = BytesIO()
        data[index][0].save(file, format="PNG", compress_level=1)
        return file.getvalue()

    return read
