"""What is handed to a model that answers over HTTP or in a notebook, as pictures."""

import base64
import binascii
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.pictures.decode import Decoding, Refused, decode_square
from sftcore.foundations.errors import DataError
from sftcore.use.tiles import Cutting, TiledPicture, cut_picture, whole_squares

Read = Callable[[bytes], Any]
ACCEPTED = "uint8 pictures [N, S, S, 3], or a list of picture files as bytes or base64"


def read_request(given: Any, decoding: Decoding) -> np.ndarray:
    """Pictures of whatever was handed over.

    Args:
        given: an array of pixels [N, S, S, 3] (whole numbers from 0 to 255), or N encoded pictures:
            ``bytes`` or base64 text in a list, an array, a series or a table with one column.
        decoding: how encoded pictures become pixels.

    Returns:
        uint8 [N, S, S, 3].

    Raises:
        DataError: one line that says which picture is wrong and why.
    """
    read = partial(_square, decoding)
    found = _read_all(given, decoding.image_size, read)
    return found if isinstance(found, np.ndarray) else np.stack(found)


def read_placed_request(given: Any, decoding: Decoding) -> list[TiledPicture]:
    """The same with the pictures' sizes, for answers that lie in them; pixels are their own.

    Args:
        given: see :func:`read_request`.
        decoding: how encoded pictures become pixels.

    Raises:
        DataError: one line that says which picture is wrong and why.
    """
    read = partial(cut_picture, cutting=Cutting(decoding))
    found = _read_all(given, decoding.image_size, read)
    return whole_squares(found) if isinstance(found, np.ndarray) else found


def _square(decoding: Decoding, content: bytes) -> np.ndarray:
    return decode_square(content, decoding).pixels


def _read_all(given: Any, size: int, read: Read) -> Any:
    """Pixels [N, S, S, 3], or what is read of each of N files."""
    values = _values(given)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iub":
        return _read_pixels(values, size)
    flat = values.ravel().tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(flat, list) or not flat:
        raise DataError(f"no picture was given: give {ACCEPTED}")
    return [_read_file(index, of, read) for index, of in enumerate(flat)]


def _values(given: Any) -> Any:
    if isinstance(given, str | bytes | bytearray):
        return [given]
    if isinstance(given, pd.DataFrame):
        if given.shape[1] != 1:
            raise DataError(f"a table of {given.shape[1]} columns was given, wanted: one, of files")
        return given.iloc[:, 0].tolist()
    if isinstance(given, pd.Series):
        return given.tolist()
    if isinstance(given, dict):
        if len(given) != 1:
            raise DataError(f"{len(given)} inputs were given, wanted: one; give {ACCEPTED}")
        return _values(next(iter(given.values())))
    if isinstance(given, list) and given and isinstance(given[0], list | np.ndarray):
        try:
            return np.asarray(given)
        except ValueError as error:
            raise DataError(f"rows of unequal length were given: give {ACCEPTED}") from error
    return given


def _read_pixels(values: np.ndarray, size: int) -> np.ndarray:
    if values.ndim != 4 or values.shape[1:] != (size, size, 3) or not len(values):
        raise DataError(f"an array {list(values.shape)} was given, wanted: [N, {size}, {size}, 3]")
    if values.dtype.kind == "b" or values.min() < 0 or values.max() > 255:
        raise DataError("pixels should be whole numbers from 0 to 255")
    return values.astype(np.uint8)


def _read_file(index: int, given: Any, read: Read) -> Any:
    if isinstance(given, str):
        try:
            given = base64.b64decode("".join(given.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise DataError(f"picture {index}: not base64 ({error})") from error
    if not isinstance(given, bytes | bytearray):
        raise DataError(f"picture {index}: {type(given).__name__} was given, wanted: {ACCEPTED}")
    try:
        return read(bytes(given))
    except Refused as refused:
        reason = " ".join(str(refused).split())
        raise DataError(f"picture {index}: {reason}") from refused
