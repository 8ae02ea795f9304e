"""IDX files, in which MNIST and its successors come, gzipped or not, wherever they lie."""

import gzip
import zlib
from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np

from sftcore.data.kinds import Refused
from sftcore.data.sources.files import Tree
from sftcore.foundations.errors import DataError

# Sets of these names, halves and shapes; the files themselves do not say which set they are.
IDX_SETS = ("MNIST", "FashionMNIST", "KMNIST")
_HALVES = {"train": "train", "test": "t10k"}
_MAX_BYTES = 1 << 30


def find_idx(tree: Tree) -> dict[tuple[str, str], str]:
    """The four files of a set by (half, ``images`` or ``labels``); empty where one is missing.

    An unpacked file is taken before a gzipped one.
    """
    found: dict[tuple[str, str], str] = {}
    by_name: dict[str, str] = {}
    for name in sorted(tree.files):
        by_name.setdefault(PurePosixPath(name).name, name)
    for half, prefix in _HALVES.items():
        for what, number in (("images", 3), ("labels", 1)):
            for joint in "-.":
                stem = f"{prefix}-{what}{joint}idx{number}-ubyte"
                for name in (stem, f"{stem}.gz"):
                    if name in by_name:
                        found.setdefault((half, what), by_name[name])
    return found if len(found) == 2 * len(_HALVES) else {}


def sets_named(parts: Iterable[str]) -> list[str]:
    """The sets that parts of a path name, such as ``fashion-mnist``."""
    plain = {part.lower().replace("-", "").replace("_", "") for part in parts}
    return [name for name in IDX_SETS if name.lower() in plain]


def read_idx(tree: Tree, name: str, num_sides: int) -> np.ndarray:
    """One IDX file of bytes.

    Args:
        tree: holds it.
        name: whole name in the tree.
        num_sides: dimensions that it should have.

    Returns:
        uint8, of the shape that the file names.

    Raises:
        DataError: it is damaged or of another shape.
    """
    place = f"{tree.path}/{name}"
    try:
        content = tree.files[name]()
        if name.endswith(".gz"):
            content = _unzipped(content)
    except (Refused, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{place} cannot be read: {error}") from error
    start = 4 + 4 * num_sides
    if content[:4] != bytes([0, 0, 8, num_sides]) or len(content) < start:
        raise DataError(f"{place} is no IDX file of {num_sides} dimensions: download it again")
    shape = tuple(int(side) for side in np.frombuffer(content[4:start], dtype=">u4"))
    values = np.frombuffer(content, dtype=np.uint8, offset=start)
    if len(values) != int(np.prod(shape, dtype=object)):
        raise DataError(f"{place} has {len(values)} values, its header says {shape}: it is cut")
    return values.reshape(shape)


def _unzipped(content: bytes) -> bytes:
    unpacked = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    result = unpacked.decompress(content, _MAX_BYTES)
    if not unpacked.eof:
        raise gzip.BadGzipFile("cut, or more than 1 GiB")
    return result
