"""Checkpoints: whole or not at all, the last two, read without running code from them.

They lie outside of the outputs that DVC deletes, in a folder named by all that the training depends
on, so that a training can only ever continue itself.
"""

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from sftcore.foundations.artifacts import (
    read_json,
    remove_abandoned,
    sha256_bytes,
    write_bytes,
    write_json,
)
from sftcore.foundations.errors import OutputError
from sftcore.foundations.interruption import uninterrupted

LOGGER = logging.getLogger("sftcore")
NUM_KEPT = 2
_SUFFIX = ".checkpoint"
_FINISHED_FILE = "finished.json"


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: of this training alone; created with the first checkpoint.
        every_seconds: least time between two checkpoints; 0 writes one after every update.
    """

    def __init__(self, folder: Path, every_seconds: float) -> None:
        self._folder = folder
        self._every_seconds = every_seconds
        self._last = time.monotonic()
        self._has_failed = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process do this training at the same time: wait until it has finished.

        The lock ends with the process that holds it, however that ends.
        """
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._folder.with_name(f"{self._folder.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            LOGGER.warning("another process is at this very training: waiting for it")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def save_if_due(self, order: tuple[int, ...], state: Callable[[], dict[str, Any]]) -> None:
        """:meth:`save` if ``every_seconds`` have passed since the last checkpoint."""
        if time.monotonic() - self._last >= self._every_seconds:
            self.save(order, state())

    def save(self, order: tuple[int, ...], state: dict[str, Any]) -> None:
        """Write a checkpoint and drop all but the last two; no signal interrupts this.

        A checkpoint that cannot be written is a warning: training is worth more than its backup.

        Args:
            order: grows with every update; names the file.
            state: tensors and plain values.
        """
        buffer = BytesIO()
        torch.save(state, buffer)
        payload = buffer.getvalue()
        name = "-".join(f"{number:08d}" for number in order) + _SUFFIX
        with uninterrupted():
            try:
                write_bytes(self._folder / name, sha256_bytes(payload).encode() + b"\n" + payload)
            except OutputError as error:
                if not self._has_failed:
                    LOGGER.warning("no checkpoint: %s", error)
                self._has_failed = True
            else:
                for old in self._files()[:-NUM_KEPT]:
                    old.unlink(missing_ok=True)
            self._last = time.monotonic()

    def load(self, device: torch.device) -> Iterator[dict[str, Any]]:
        """The checkpoints from the newest on; one that is damaged is skipped with a warning."""
        remove_abandoned(self._folder)
        for path in reversed(self._files()):
            try:
                digest, payload = path.read_bytes().split(b"\n", 1)
                if sha256_bytes(payload).encode() != digest:
                    raise ValueError("its content is not what was written")
                state = torch.load(BytesIO(payload), map_location=device, weights_only=True)
            except Exception as error:  # whatever a damaged file makes of the reader
                LOGGER.warning("checkpoint %s is damaged and skipped: %s", path.name, error)
                continue
            yield state

    def has_any(self) -> bool:
        """Whether a training may be continued."""
        return bool(self._files())

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SUFFIX}"))

    def mark_finished(self, digest: str) -> None:
        """Note that the training's result, of this sha256, has been written."""
        write_json(self._folder / _FINISHED_FILE, {"result_sha256": digest})

    def discard(self) -> None:
        """Remove them all."""
        shutil.rmtree(self._folder, ignore_errors=True)


def discard_finished(root: Path, digest: str) -> None:
    """Remove the checkpoints of trainings under ``root`` whose result has this sha256.

    To be called when the result is safe elsewhere; until then a training killed after its last
    update has only its checkpoint.
    """
    for marker in root.glob(f"*/{_FINISHED_FILE}"):
        try:
            is_this = read_json(marker)["result_sha256"] == digest
        except (OSError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
            continue
        if is_this:
            shutil.rmtree(marker.parent, ignore_errors=True)
