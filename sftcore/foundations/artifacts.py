"""Files that mean the same bytes every time: atomic writes, canonical JSON and CSV, sha256.

Nothing written here holds a time, a path, a host name or a run id, so that equal content gives
equal hashes on every machine.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftcore.foundations.errors import OutputError

if TYPE_CHECKING:
    import pandas as pd
    import torch

CSV_FLOAT_FORMAT = "%.9g"  # enough digits to tell any two float32 apart
_CHUNK_BYTES = 1 << 20
_ENDINGS = ("tmp", "old")  # of what is being written: .<name>.<process>.<ending>


def sha256_bytes(content: bytes) -> str:
    """Hexadecimal sha256 of a byte string."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's content, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """JSON text with sorted keys; a non-finite float becomes ``null``, as JSON has no NaN."""
    return json.dumps(_without_nan(value), sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def sha256_json(value: Any) -> str:
    """Hexadecimal sha256 of a value's canonical JSON: equal content, equal key."""
    return sha256_bytes(canonical_json(value).encode())


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: temporary sibling, fsync, rename.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise output_error(path, error) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename in this folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_abandoned(folder: Path) -> None:
    """Remove what writers of this module that were killed left half-written in a folder."""
    for path in folder.glob(".*.*.*"):
        *_, pid, ending = path.name.split(".")
        if ending in _ENDINGS and pid.isdigit() and not is_alive(int(pid)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically with ``\\n`` line ends."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write canonical JSON atomically."""
    write_text(path, canonical_json(value))


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table atomically as CSV without its index, floats to nine digits."""
    text = table.to_csv(index=False, lineterminator="\n", float_format=CSV_FLOAT_FORMAT)
    write_text(path, text)


def write_tensors(path: Path, tensors: Mapping[str, "torch.Tensor"]) -> None:
    """Write tensors as safetensors, without metadata (its order in the header is not stable)."""
    from safetensors.torch import save

    write_bytes(path, save({name: tensors[name].contiguous().cpu() for name in tensors}))


def require_space(folder: Path, num_bytes: int) -> None:
    """Refuse to start work whose output does not fit on the disk.

    Args:
        folder: where the output goes; it need not exist yet.
        num_bytes: size of the output in bytes.

    Raises:
        OutputError: fewer bytes are free.
    """
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < num_bytes:
        raise OutputError(
            f"{folder} needs {num_bytes / 1e6:.1f} MB and the disk has {free / 1e6:.1f} MB left: "
            "free some space (`dvc gc --workspace` drops unused outputs) or lower "
            "data.pictures.image_size"
        )


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """Build an output folder aside and put it in place only when it is complete.

    Yields:
        An empty temporary folder beside ``folder``. It replaces ``folder`` at the end; on any
        error it is removed and the earlier ``folder`` stays as it was.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    previous = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        remove_abandoned(folder.parent)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        if folder.exists():
            folder.rename(previous)
        temporary.rename(folder)
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(previous, ignore_errors=True)


def output_error(path: Path, error: OSError) -> OutputError:
    """The :class:`OutputError` that explains an ``OSError`` met while writing ``path``."""
    reason = error.strerror or str(error)
    return OutputError(
        f"cannot write {path}: {reason}. Earlier outputs are kept; free some space or mend the "
        "permissions, then run again"
    )
