"""Cut-outs: drawings of one piece whose background is transparent."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from data.make.drawings import num_pixels, open_drawing, shrink
from sftcore.foundations.artifacts import sha256_bytes

SIDE = 64  # pixels of the longer side
OPAQUE = 128  # an alpha from here on counts as covered
_MAX_PIXELS = 50_000_000
_FILL = (0.25, 0.95)  # of the bounding box: neither a line drawing nor a sheet
_MIN_OF_LARGEST_PIECE = 0.98
_MAX_ASPECT = 2.5


@dataclass(frozen=True)
class Cutout:
    """A drawing without its surroundings.

    Attributes:
        source: path in the package.
        image: RGBA, cut to what is opaque.
    """

    source: str
    image: Image.Image


def covered_by(image: Image.Image) -> np.ndarray:
    """Which pixels of an RGBA image hide what is under them, bool [height, width]."""
    return np.asarray(image.getchannel("A")) >= OPAQUE


def is_one_piece(mask: np.ndarray) -> bool:
    """Whether a mask, cut to its bounding box, can be counted as one thing.

    It fills 25 to 95 % of the box, whose sides are at most 1 to 2.5, and 98 % of it hang
    together (over edges and corners).

    Args:
        mask: bool [height, width].
    """
    if min(mask.shape) == 0 or max(mask.shape) > _MAX_ASPECT * min(mask.shape):
        return False
    pieces, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    largest = np.bincount(pieces[mask], minlength=1).max()
    is_filled = _FILL[0] <= mask.mean() <= _FILL[1]
    return bool(is_filled and largest >= _MIN_OF_LARGEST_PIECE * mask.sum())


def open_cutout(folder: Path, source: str, side: int) -> Cutout | None:
    """A drawing cut to what is opaque, or None where it is too large to open or all transparent.

    Args:
        folder: of the package's PNG files.
        source: path below it.
        side: pixels of the longer side at most; a smaller one stays as it is.
    """
    if num_pixels(folder / source) > _MAX_PIXELS:
        return None
    image = shrink(open_drawing(folder / source), 4 * side)
    box = Image.fromarray(covered_by(image)).getbbox()
    return Cutout(source, shrink(image.crop(box), side)) if box else None


def read_cutout(folder: Path, source: str) -> Cutout | None:
    """A drawing as a cut-out of one piece, longer side 64 pixels, or None where it is none.

    Args:
        folder: of the package's PNG files.
        source: path below it.
    """
    cutout = open_cutout(folder, source, SIDE)
    if cutout is None or max(cutout.image.size) < SIDE:
        return None
    return cutout if is_one_piece(covered_by(cutout.image)) else None


def identity(cutout: Cutout) -> str:
    """Equal for equal pixels."""
    return sha256_bytes(f"{cutout.image.size}".encode() + cutout.image.tobytes())
