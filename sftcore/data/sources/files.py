"""Files by name, wherever they lie: the view of a folder or an archive that all layouts share."""

import os
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from sftcore.data.kinds import Refused
from sftcore.data.sources.items import Item, is_text
from sftcore.data.sources.sought import PICTURES_WITH_CLASSES, Sought
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable

Reader = Callable[[], bytes]


@dataclass(frozen=True)
class Tree:
    """Names of files, none of which has been opened.

    Attributes:
        path: ``data.path``.
        files: what reads each, by its whole name with ``/``.
        folders: names of all folders, also of empty ones.
        base: folder that is looked at, with a ``/`` at its end; empty for all.
        is_archive: whether the files lie inside an archive.
        positions: place of each file in its archive; empty for a folder.
        is_single: whether ``data.path`` is the one file, which is no archive.
        sought: what is looked for in them.
    """

    path: Path
    files: Mapping[str, Reader]
    folders: frozenset[str]
    base: str = ""
    is_archive: bool = False
    positions: Mapping[str, int] = field(default_factory=dict)
    is_single: bool = False
    sought: Sought = PICTURES_WITH_CLASSES

    def at(self, folder: str) -> "Tree":
        """The same files, seen from a folder inside it."""
        return replace(self, base=f"{self.base}{folder}/")

    def names(self) -> list[str]:
        """Names below the base, relative to it, sorted."""
        return self._names

    @cached_property
    def _names(self) -> list[str]:
        start = len(self.base)
        return sorted(name[start:] for name in self.files if name.startswith(self.base))

    def top_folders(self) -> list[str]:
        """Folders directly below the base, sorted."""
        start = len(self.base)
        inside = (name[start:] for name in self.folders if name.startswith(self.base))
        return sorted({name.partition("/")[0] for name in inside} - {""})

    def top_files(self) -> list[str]:
        """Files directly below the base, sorted."""
        return self._top_files

    @cached_property
    def _top_files(self) -> list[str]:
        return [name for name in self.names() if "/" not in name]

    def item(
        self, name: str, label: str, split: str = "", group: str = "", cells: tuple[str, ...] = ()
    ) -> Item:
        """The example of a name relative to the base, also if nothing or an outside file bears it.

        Args:
            name: relative to the base, with ``/``.
            label: name of its class.
            split: as the source names it.
            group: as the source names it.
            cells: of its labels or numbers.
        """
        whole = name if name.startswith("/") else self.base + name
        return Item(
            printable(whole), printable(label), self.reader(name), split, printable(group),
            self.positions.get(posixpath.normpath(whole), 0), cells,
        )  # fmt: skip

    def reader(self, name: str) -> Reader:
        """What reads a name relative to the base; raises :class:`Refused` for impossible ones."""
        whole = name if name.startswith("/") else self.base + name
        if whole in self.files:
            return self.files[whole]
        if not self.is_archive:
            return file_reader(self.path, self.path / whole)
        normal = posixpath.normpath(whole)
        if normal.startswith(("../", "/")) or normal == "..":
            return refusing("outside the data folder", "the name leads out of the archive")
        return self.files.get(normal) or refusing("not a file", "missing in the archive")

    def open(self, name: str) -> BinaryIO:
        """A file as a stream: a table, not an example.

        Raises:
            DataError: it cannot be read.
        """
        try:
            if self.is_archive:
                return BytesIO(self.files[self.base + name]())
            return (self.path / (self.base + name)).open("rb")
        except (OSError, Refused) as error:
            raise DataError(f"{self.shown(name)} cannot be read: {error}") from error

    def shown(self, name: str = "") -> str:
        """The place of a name as messages call it."""
        return printable(f"{self.path}/{self.base}{name}".rstrip("/"))


def refusing(reason: str, detail: str) -> Reader:
    """What reads a file that must not be read."""

    def read() -> bytes:
        raise Refused(reason, detail)

    return read


def folder_tree(path: Path) -> Tree:
    """All files below a folder but hidden ones; links to folders are not followed."""
    files, folders = {}, set()
    for name, is_folder in _walk(path):
        if is_folder:
            folders.add(name)
        else:
            files[name] = file_reader(path, path / name)
    return Tree(path, files, frozenset(folders))


def _walk(path: Path) -> Iterator[tuple[str, bool]]:
    """Names relative to the path, and whether each is a folder; class folders may be links."""
    for top in sorted(path.iterdir()):
        if top.name.startswith("."):
            continue
        yield top.name, top.is_dir()
        for root, folders, files in os.walk(top) if top.is_dir() else ():
            before = Path(root).relative_to(path).as_posix()
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in folders:
                yield f"{before}/{name}", not (Path(root) / name).is_symlink()
            for name in files:
                if not name.startswith("."):
                    yield f"{before}/{name}", False


def file_reader(root: Path, path: Path) -> Reader:
    """Reads a file unless its name is not text or it leads out of the data's folder."""

    def read() -> bytes:
        if not is_text(str(path)):
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
