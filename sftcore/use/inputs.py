"""What a user names: files, folders, globs and zip archives.

Nothing is unpacked onto the disk, and nothing is opened here but folders and lists of archives.
"""

import glob
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from sftcore.data.kinds import Refused
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable

MOST_BYTES = 1 << 28  # of one file, packed or not
_ENCRYPTED = 1  # flag of a member of an archive


@dataclass(frozen=True)
class Named:
    """An example before anyone has looked at it: a file, or a part of one.

    Attributes:
        name: as the user would find it, fit for a line of text.
        path: of the file, or of the archive that holds it.
        member: inside the archive; empty for a file.
        stamp: changes when the content does: size and times of change in nanoseconds.
        fault: why it cannot be read, where that is known already.
        is_asked: whether the user named the file itself, and not a folder or archive around it.
        content: what reads an example that is no file of its own; raises :class:`Refused`.
    """

    name: str
    path: str
    member: str = ""
    stamp: str = ""
    fault: str = ""
    is_asked: bool = False
    content: Callable[[], bytes] | None = None

    def read(self) -> bytes:
        """The example's bytes.

        Raises:
            Refused: it cannot be read, is too large, or must not be read.
        """
        if self.fault:
            raise Refused("cannot be read", self.fault)
        try:
            if self.content is not None:
                return self.content()
            return self._read_member() if self.member else self._read_file()
        except Refused:
            raise
        except OSError as error:
            raise Refused("cannot be read", error.strerror or type(error).__name__) from error
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise Refused("cannot be read", f"in the archive: {error}") from error
        except Exception as error:  # decompressors raise kinds of their own on hostile bytes
            raise Refused("cannot be read", type(error).__name__) from error

    def _read_file(self) -> bytes:
        status = Path(self.path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise Refused("not a file", "a folder, a device or another special file")
        _check_size(status.st_size)
        return Path(self.path).read_bytes()

    def _read_member(self) -> bytes:
        archive = _open_archive(self.path, self.stamp)
        member = archive.getinfo(self.member)
        if is_outside(self.member):
            raise Refused("outside the archive", "its name leads out of the archive")
        if member.flag_bits & _ENCRYPTED:
            raise Refused("cannot be read", "encrypted")
        _check_size(member.file_size)
        with archive.open(member) as file:
            content = file.read(MOST_BYTES + 1)  # the size in the list may be a lie
        _check_size(len(content))
        return content


def _check_size(num_bytes: int) -> None:
    if num_bytes > MOST_BYTES:
        raise Refused("over the size limit", f"more than {MOST_BYTES >> 20} MiB")


@lru_cache(maxsize=4)
def _open_archive(path: str, stamp: str) -> zipfile.ZipFile:
    del stamp  # another content is another archive
    return zipfile.ZipFile(path)


def is_outside(member: str) -> bool:
    """Whether the name of an archive's member leads out of the archive."""
    parts = PurePosixPath(member.replace("\\", "/"))
    return parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]


def find_files(arguments: Sequence[str], output: Path, plural: str) -> list[Named]:
    """All that the user names, in the order of the arguments, each file once.

    Folders are walked, sorted by name; hidden files and folders inside them are left out, links to
    folders are not followed. What cannot be read is kept, as a row with its reason.

    Args:
        arguments: files, folders, globs, zip archives.
        output: the file that will be written, which is no input.
        plural: what the files are to hold.

    Raises:
        DataError: an argument names nothing, or a zip archive is none.
    """
    found: dict[tuple[str, str], Named] = {}
    own = output.resolve()
    for argument in arguments:
        for path in _expand(argument):
            for named in _files_of(path):
                if Path(named.path).resolve() != own or named.member:
                    found.setdefault((named.path, named.member), named)
    if not found:
        raise DataError(
            f"no file in {', '.join(printable(a) for a in arguments)}: name {plural}, folders of "
            "them, globs in quotes, or zip archives"
        )
    return list(found.values())


def _expand(argument: str) -> list[str]:
    if os.path.lexists(argument):
        return [argument]
    if not glob.has_magic(argument):
        raise DataError(f"there is no file or folder {printable(argument)!r}")
    matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 (may be absolute)
    if not matches:
        raise DataError(f"no file matches {printable(argument)!r}")
    return matches


def _files_of(path: str) -> Iterator[Named]:
    if Path(path).is_dir():
        yield from _walk(path)
    elif path.lower().endswith(".zip") and Path(path).is_file():
        yield from archive_members(path)
    else:
        yield replace(file_named(path), is_asked=True)


def file_named(path: str) -> Named:
    """A file as an example, with the fault of one that cannot be looked at."""
    try:
        stamp = stamp_of(path)
    except OSError as error:
        fault = error.strerror or type(error).__name__
        return Named(printable(path), path, fault=fault)
    return Named(printable(path), path, stamp=stamp)


def stamp_of(path: str) -> str:
    """Size and times of change of a file, which tell whether it is the one that was read."""
    status = Path(path).stat()
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"  # chmod moves the last


def _walk(folder: str) -> Iterator[Named]:
    faults: list[Named] = []

    def note(error: OSError) -> None:
        path = str(error.filename or folder)
        reason = f"folder: {error.strerror or type(error).__name__}"
        faults.append(Named(printable(path), path, fault=reason))

    for root, folders, files in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield file_named(f"{root.rstrip(os.sep)}{os.sep}{name}")
    yield from faults


def archive_members(path: str) -> Iterator[Named]:
    """The files in a zip archive but hidden ones.

    Raises:
        DataError: it is none.
    """
    try:
        stamp = stamp_of(path)
        members = _open_archive(path, stamp).infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{printable(path)} cannot be read as a zip archive: {error}") from error
    for member in members:
        hidden = any(
            part.startswith((".", "__MACOSX")) and part != ".."
            for part in PurePosixPath(member.filename).parts
        )
        if not member.is_dir() and not hidden:
            yield Named(printable(f"{path}/{member.filename}"), path, member.filename, stamp)
