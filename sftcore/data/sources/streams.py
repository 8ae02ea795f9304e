"""Compressed tars as one stream that is read from front to back, with limits on what it becomes."""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from pathlib import Path
from typing import Any

TAR_SUFFIXES = (
    ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2",
)  # fmt: skip
READ_ERRORS = (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError)
MAX_HEADER_BYTES = 1 << 20
_FREE_BYTES, _MAX_RATIO = 1 << 30, 100


def swollen_limit(num_bytes: int) -> int:
    """Bytes that an archive of this size may hold: 1 GiB, or 100 times its own size.

    Files of pictures are compressed already and hardly shrink; what shrinks a hundredfold was made
    to fill a disk, or should be unpacked by somebody who knows it.
    """
    return max(_FREE_BYTES, _MAX_RATIO * num_bytes)


class TarStream:
    """A tar's content as a seekable stream; a step back in a compressed one starts it again.

    Args:
        path: the archive.
        is_indexing: whether headers are read, so that one piece larger than 1 MiB is an attack.

    Raises:
        tarfile.ReadError: on reading, where the content passes a limit.
    """

    def __init__(self, path: Path, is_indexing: bool = False) -> None:
        self._stream = _decompressed(path)
        self._is_limited = not path.name.lower().endswith(".tar")
        self._limit = swollen_limit(path.stat().st_size)
        self._most = MAX_HEADER_BYTES if is_indexing else self._limit

    def read(self, count: int) -> bytes:
        """So many bytes, or what is left."""
        if count > self._most:
            raise tarfile.ReadError(f"a header of {count} bytes")
        return self._stream.read(count)

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte of the content."""
        if self._is_limited and place > self._limit:
            raise tarfile.ReadError(
                f"it would become more than {self._limit >> 20} MiB: unpack it yourself if it is "
                "what you expect"
            )
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        """The byte of the content that comes next."""
        return self._stream.tell()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _decompressed(path: Path) -> Any:
    name = path.name.lower()
    if name.endswith((".gz", ".tgz")):
        return gzip.open(path)
    if name.endswith((".xz", ".txz")):
        return lzma.open(path)
    if name.endswith((".bz2", ".tbz2")):
        return bz2.open(path)
    return path.open("rb")


class LastOpened:
    """Keeps the archive open that was read last: shards may be more than a process may open."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._stream: TarStream | None = None

    def read(self, path: Path, place: int, count: int) -> bytes:
        """So many bytes of an archive's content.

        Args:
            path: the archive.
            place: first byte of the content.
            count: bytes.
        """
        if self._stream is None or self._path != path:
            self.close()
            self._stream, self._path = TarStream(path), path
        self._stream.seek(place)
        return self._stream.read(count)

    def close(self) -> None:
        """Close what is open."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def __del__(self) -> None:
        self.close()
