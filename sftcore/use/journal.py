"""Rows that are done, kept beside the output until it is whole, so that a killed run goes on."""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from sftcore.foundations.artifacts import output_error, remove_abandoned
from sftcore.foundations.errors import OutputError
from sftcore.use.inputs import Named


class Journal:
    """A file of done rows: a line for what they depend on, then a line of JSON for each.

    Rows stand in the order of the examples. Of an earlier run those are kept that come first and
    whose files have not changed; all others are predicted again. A row depends on its example
    alone, so the output is the same whoever computed it when.

    Args:
        output: the table that is written at the end.
        key: of all that the rows depend on besides the examples.
        examples: in their order.

    Raises:
        OutputError: it cannot be written, or another process writes it.
    """

    def __init__(self, output: Path, key: str, examples: Sequence[Named]) -> None:
        self._output, self._path = output, output.with_name(f".{output.name}.part")
        if output.is_dir():
            raise OutputError(f"{output} is a folder: name a file after --out")
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(output.parent)
            if output.exists() and not os.access(output, os.W_OK):
                raise PermissionError(13, os.strerror(13))
            self._file: IO[bytes] = self._path.open("a+b")
            self._lock()
            self.num_done = self._take_over(key, examples)
        except OSError as error:
            raise output_error(output, error) from error

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise OutputError(
                f"{self._output} is being written by another process: wait for it, or name another "
                "file after --out"
            ) from error

    def _take_over(self, key: str, examples: Sequence[Named]) -> int:
        """Keep what still holds of an earlier run; gives the number of its rows."""
        self._file.seek(0)
        first = json.dumps({"key": key}).encode() + b"\n"
        if self._file.readline() != first:
            self._file.truncate(0)
            self._file.write(first)
            self._file.flush()
            return 0
        num_done, end = 0, self._file.tell()
        for named in examples:
            line = self._file.readline()
            if not _is_of(line, named):
                break
            num_done, end = num_done + 1, self._file.tell()
        self._file.truncate(end)
        return num_done

    def add(self, examples: Sequence[Named], rows: Sequence[str]) -> None:
        """Keep the next rows, each a line of CSV, also through a power cut.

        Raises:
            OutputError: the disk is full.
        """
        lines = [
            json.dumps({"name": named.name, "stamp": named.stamp, "row": row})
            for named, row in zip(examples, rows, strict=True)
        ]
        try:
            self._file.write("".join(f"{line}\n" for line in lines).encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise output_error(self._output, error) from error

    def finish(self, header: str) -> None:
        """Put the table in place, whole or not at all, and forget the rows.

        Raises:
            OutputError: the disk is full or the folder cannot be written.
        """
        temporary = self._output.with_name(f".{self._output.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                file.write(header)
                file.writelines(self.rows())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._output)
            self._path.unlink()
            self._file.close()
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise output_error(self._output, error) from error

    def rows(self) -> Iterator[str]:
        """The lines of CSV that are done."""
        self._file.seek(0)
        self._file.readline()
        for line in self._file:
            yield json.loads(line)["row"]

    def close(self) -> None:
        """Let another process write; rows that are done stay."""
        self._file.close()


def _is_of(line: bytes, named: Named) -> bool:
    """Whether a line is whole and of this example as it is now."""
    if not line.endswith(b"\n"):
        return False
    try:
        found = json.loads(line)
        is_same = (found["name"], found["stamp"]) == (named.name, named.stamp)
        return is_same and isinstance(found["row"], str)
    except (ValueError, KeyError, TypeError):
        return False
