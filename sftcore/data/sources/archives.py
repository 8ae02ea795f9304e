"""Archives, read without unpacking: nothing is written, and no member is trusted.

Names that lead out of the archive stop the run: nobody makes them by accident. Links and special
files are refused like broken pictures, members have a size limit, and the whole has one too.
"""

import posixpath
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from sftcore.data.kinds import Refused
from sftcore.data.sources.files import Reader, Tree, refusing
from sftcore.data.sources.items import is_text
from sftcore.data.sources.names import is_hidden
from sftcore.data.sources.streams import (
    READ_ERRORS,
    TAR_SUFFIXES,
    LastOpened,
    TarStream,
    swollen_limit,
)
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable

MAX_MEMBER_BYTES = 256 << 20
ARCHIVE_SUFFIXES = (".zip", *TAR_SUFFIXES)
_ZIP_ERRORS = (*READ_ERRORS, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError)
_ENCRYPTED = 0x1
_LINK = refusing("not a file", "a link or a special file in an archive")


def is_archive(name: str) -> bool:
    """Whether a name ends as that of a readable archive."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def archive_tree(path: Path, archive: Path, opened: LastOpened | None = None) -> Tree:
    """The files of an archive.

    Args:
        path: ``data.path``, for messages.
        archive: a zip or a tar, compressed or not.
        opened: shared by the shards of a set.

    Raises:
        DataError: it cannot be read, swells beyond the limit, or has names that lead out of it.
    """
    is_zip = archive.name.lower().endswith(".zip")
    try:
        members = list(
            _zip_members(archive) if is_zip else _tar_members(archive, opened or LastOpened())
        )
    except _ZIP_ERRORS as error:
        raise DataError(
            f"{printable(str(archive))} cannot be read as an archive: "
            f"{str(error) or type(error).__name__}. Is it whole? Download or make it again"
        ) from error
    files: dict[str, Reader] = {}
    folders: set[str] = set()
    positions: dict[str, int] = {}
    for number, (given, reader) in enumerate(members):
        name = _clean(given, archive)
        if is_hidden(name) or not name:
            continue
        _add_folders(name if reader is None else posixpath.dirname(name), folders)
        if reader is not None:  # of a name that stands twice the later one counts, as on unpacking
            files[name], positions[name] = reader, number
            if not is_text(name):
                files[name] = refusing("unreadable name", "not UTF-8, or control characters")
    return Tree(path, files, frozenset(folders), "", True, positions)


def _add_folders(folder: str, folders: set[str]) -> None:
    """The folder and those around it."""
    while folder and folder not in folders:
        folders.add(folder)
        folder = posixpath.dirname(folder)


def _clean(name: str, archive: Path) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")):
        raise DataError(
            f"{printable(str(archive))} holds {printable(name)!r}, a name that leads out of it. "
            "Do not unpack it either; make the archive anew with names relative to its folder"
        )
    return "/".join(parts)


def _zip_members(path: Path) -> Iterator[tuple[str, Reader | None]]:
    archive = zipfile.ZipFile(path)
    infos = archive.infolist()
    limit = swollen_limit(path.stat().st_size)
    if sum(info.file_size for info in infos) > limit:
        raise zipfile.BadZipFile(
            f"it would become more than {limit >> 20} MiB: unpack it yourself if it is what you "
            "expect"
        )
    for info in infos:
        # Archives made by some Windows programs separate folders by backslashes.
        name = info.filename.replace("\\", "/") if "/" not in info.filename else info.filename
        mode = stat.S_IFMT(info.external_attr >> 16)
        if name.endswith("/"):
            yield name, None
        elif mode and mode != stat.S_IFREG:
            yield name, _LINK
        else:
            yield name, _zip_reader(archive, info)


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Reader:
    def read() -> bytes:
        if info.flag_bits & _ENCRYPTED:
            raise Refused("cannot be read", "encrypted in the archive")
        _check_size(info.file_size)
        try:
            with archive.open(info) as file:
                return file.read(MAX_MEMBER_BYTES)
        except _ZIP_ERRORS as error:
            raise Refused("cannot be read", f"damaged in the archive: {error}") from error

    return read


def _tar_members(path: Path, opened: LastOpened) -> Iterator[tuple[str, Reader | None]]:
    stream = TarStream(path, is_indexing=True)
    try:
        with tarfile.TarFile(fileobj=stream) as archive:  # type: ignore[arg-type]
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]
                # it would keep every header, and they are seen once
                yield member.name, _tar_member(member, path, opened)
            # The reader takes a damaged header in the middle for the end.
            stream.seek(archive.offset)
            end = stream.read(tarfile.BLOCKSIZE)
            if end.strip(b"\0") or not end:
                raise tarfile.ReadError("it is damaged in the middle" if end else "it is cut")
    finally:
        stream.close()


def _tar_member(member: tarfile.TarInfo, path: Path, opened: LastOpened) -> Reader | None:
    if member.isdir():
        return None
    if not member.isreg() or member.issparse():
        return _LINK
    return tar_reader(opened, path, member.offset_data, member.size)


def tar_reader(opened: LastOpened, path: Path, place: int, size: int) -> Reader:
    """What reads a member of a tar.

    Args:
        opened: shared by all members, so that one stream goes through them.
        path: the tar.
        place: first byte of the member in the tar's content.
        size: its bytes.
    """

    def read() -> bytes:
        _check_size(size)
        try:
            content = opened.read(path, place, size)
        except READ_ERRORS as error:
            opened.close()
            raise Refused("cannot be read", f"damaged in the archive: {error}") from error
        if len(content) < size:
            raise Refused("cannot be read", "the archive ends too early")
        return content

    return read


def _check_size(size: int) -> None:
    if size > MAX_MEMBER_BYTES:
        raise Refused("over the size limit", f"{size >> 20} MiB, {MAX_MEMBER_BYTES >> 20} allowed")
