"""Pictures as a kind of examples: squares of pixels in one array."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sftcore.data.kinds import Names, Seen
from sftcore.data.pictures.decode import Decoding, decode_square
from sftcore.data.pictures.fingerprints import SMALL_SIDE, perceptual_hashes, small_copy
from sftcore.data.pictures.names import PICTURE_NAMES
from sftcore.data.pictures.same_picture import are_same
from sftcore.data.pictures.stored import IMAGES_FILE
from sftcore.foundations.artifacts import sha256_bytes

_ALL, _SMALL = "all.npy", "small.npy"


@dataclass(frozen=True)
class PictureKind:
    """Pictures, fitted into squares of one size.

    Attributes:
        decoding: how files become pictures.
    """

    decoding: Decoding

    @property
    def names(self) -> Names:
        """What words and names say about pictures."""
        return PICTURE_NAMES

    @property
    def facts(self) -> Mapping[str, Any]:
        """Side and background of the squares."""
        return {
            "image_size": self.decoding.image_size,
            "background": list(self.decoding.background),
        }

    def num_bytes(self, count: int) -> int:
        """Two arrays: all pictures are decoded into one, then the used ones are copied."""
        return count * 3 * (2 * self.decoding.image_size**2 + SMALL_SIDE**2)

    def start(self, folder: Path, count: int) -> "PicturePile":
        """Arrays for so many squares and small copies."""
        return PicturePile(folder, count, self.decoding)


class PicturePile:
    """Squares uint8 [N, S, S, 3] and small copies uint8 [N, 64, 64, 3], as memory maps."""

    def __init__(self, folder: Path, count: int, decoding: Decoding) -> None:
        self._folder, self._decoding = folder, decoding
        self._images, self._small = (
            np.lib.format.open_memmap(
                folder / name, mode="w+", dtype=np.uint8, shape=(count, side, side, 3)
            )
            for name, side in ((_ALL, decoding.image_size), (_SMALL, SMALL_SIDE))
        )

    def add(self, row: int, content: bytes) -> Seen:
        """Keep the square and the small copy; pictures are the same if their files' bytes are.

        Raises:
            Refused: see :func:`sftcore.data.pictures.decode.decode`.
        """
        square = decode_square(content, self._decoding)
        left, top, width, height = square.box
        self._images[row] = square.pixels
        self._small[row] = small_copy(square.pixels[top : top + height, left : left + width])
        return Seen(sha256_bytes(content), perceptual_hashes(self._small[row]))

    def are_same(self, pairs: np.ndarray) -> np.ndarray:
        """By their pixels; see :func:`sftcore.data.pictures.same_picture.are_same`."""
        return are_same(self._small, pairs)

    def write(self, rows: Sequence[int]) -> None:
        """Copy the squares into ``images.npy``."""
        shape = (len(rows), *self._images.shape[1:])
        images = np.lib.format.open_memmap(
            self._folder / IMAGES_FILE, mode="w+", dtype=np.uint8, shape=shape
        )
        for position, row in enumerate(rows):
            images[position] = self._images[row]
        images.flush()
        del images, self._images, self._small
        for name in (_ALL, _SMALL):
            (self._folder / name).unlink()
