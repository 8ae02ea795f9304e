"""What is around an object: polygons, or runs of pixels as COCO writes them; and as masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sftcore.data.kinds import Refused

_FIRST_LETTER, _LETTER_BITS = 48, 5  # of compressed counts
_MOST_LETTERS = 13  # of one count: 65 bits hold any int64
_FARTHEST = 1e9  # pixels


@dataclass(frozen=True)
class Runs:
    """A mask as lengths of runs, column by column, the first run being of 0 (COCO's RLE).

    Attributes:
        height: of the mask in pixels.
        width: of the mask in pixels.
        counts: int64 [k], lengths; the sum is ``height * width``.
    """

    height: int
    width: int
    counts: np.ndarray


@dataclass(frozen=True)
class Polygons:
    """Rings of which each is filled and all are joined.

    Attributes:
        rings: float64 [k, 2] each: x and y in pixels, k at least 3.
    """

    rings: tuple[np.ndarray, ...]


Outline = Runs | Polygons


def outline_mask(outline: Outline, width: int, height: int) -> np.ndarray:
    """The pixels of an outline.

    Args:
        outline: in pixels of the picture.
        width: of the picture.
        height: of the picture.

    Returns:
        bool [height, width].

    Raises:
        Refused: runs of another size.
    """
    if isinstance(outline, Polygons):
        mask = np.zeros((height, width), dtype=bool)
        for ring in outline.rings:
            mask |= _ring_mask(ring, width, height)
        return mask
    if (outline.width, outline.height) != (width, height):
        raise Refused(
            "outline of another size",
            f"{outline.width} x {outline.height} on a picture of {width} x {height}",
        )
    return decode_runs(outline)


def decode_runs(runs: Runs) -> np.ndarray:
    """The mask of runs, bool [height, width]."""
    values = np.arange(len(runs.counts)) % 2 == 1
    flat = np.repeat(values, runs.counts)
    return np.ascontiguousarray(flat.reshape(runs.width, runs.height).T)


def encode_runs(mask: np.ndarray) -> Runs:
    """The runs of a mask, the inverse of :func:`decode_runs`.

    Args:
        mask: bool [height, width].
    """
    height, width = mask.shape
    flat = mask.T.ravel().astype(bool)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    counts = np.diff(edges).astype(np.int64)
    if flat.size and flat[0]:
        counts = np.concatenate([[0], counts])
    return Runs(height, width, counts)


def checked_runs(height: int, width: int, counts: Sequence[int] | np.ndarray) -> Runs:
    """Runs from anywhere.

    Raises:
        Refused: a negative length, or lengths that do not fill the mask.
    """
    lengths = [int(count) for count in counts]
    if min(height, width) < 0 or any(count < 0 for count in lengths):
        raise Refused("malformed runs", "a negative length")
    if sum(lengths) != height * width:
        raise Refused(
            "malformed runs", f"lengths of {sum(lengths)} pixels for {width} x {height} of them"
        )
    return Runs(height, width, np.array(lengths, dtype=np.int64))


def decompress_counts(text: str) -> list[int]:
    """Lengths of runs from COCO's compressed text.

    Groups of 5 bits, the lowest first, each as a letter from ``0`` on with a sixth bit for "more
    follow"; the highest bit of the last group is the sign. From the fourth on, a number is the
    difference from the length two before (COCO API, ``maskApi.c``).

    Args:
        text: of the field ``counts``.

    Raises:
        Refused: a letter that cannot be, an end within a number, or a number beyond 64 bits.
    """
    counts: list[int] = []
    number, shift = 0, 0
    for letter in text:
        group = ord(letter) - _FIRST_LETTER
        if not 0 <= group < 64 or shift >= _MOST_LETTERS * _LETTER_BITS:
            raise Refused("malformed runs", f"{letter!r} in the compressed lengths")
        number |= (group & 31) << shift
        shift += _LETTER_BITS
        if group & 32:
            continue
        if group & 16:
            number -= 1 << shift
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        number, shift = 0, 0
    if shift:
        raise Refused("malformed runs", "the compressed lengths end within a number")
    return counts


def compress_counts(counts: Sequence[int] | np.ndarray) -> str:
    """COCO's compressed text of lengths, the inverse of :func:`decompress_counts`."""
    lengths = [int(count) for count in counts]
    letters = []
    for place, length in enumerate(lengths):
        number = length - lengths[place - 2] if place > 2 else length
        while True:
            group = number & 31
            number >>= _LETTER_BITS
            has_more = number != (-1 if group & 16 else 0)
            letters.append(chr(_FIRST_LETTER + group + 32 * has_more))
            if not has_more:
                break
    return "".join(letters)


def _ring_mask(ring: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pixels whose centre is inside of a ring by the even-odd rule, bool [height, width].

    Along the row of centres at ``y + 1/2`` the ring is crossed an even number of times; between the
    first and the second crossing is inside, and so on. A centre that lies on an edge belongs to
    what is right of it, so two polygons that share an edge share no pixel.
    """
    mask = np.zeros((height, width), dtype=bool)
    start, end = ring, np.roll(ring, -1, axis=0)
    # An edge that two rings share is computed in one direction for both, or they might part.
    is_down = (start[:, 1] < end[:, 1])[:, None]
    start, end = np.where(is_down, start, end), np.where(is_down, end, start)
    low, high = ring[:, 1].min(), ring[:, 1].max()
    first = int(np.clip(np.floor(low - 0.5), 0, height))
    last = int(np.clip(np.ceil(high + 0.5), 0, height))
    for row in range(first, last):
        y = row + 0.5
        is_crossing = (start[:, 1] <= y) != (end[:, 1] <= y)
        (x0, y0), (x1, y1) = start[is_crossing].T, end[is_crossing].T
        crossings = np.sort(x0 + (y - y0) / (y1 - y0) * (x1 - x0))
        columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)
        for left, right in list(pairwise(columns))[::2]:
            mask[row, left:right] = True
    return mask


def ring_of(numbers: Sequence[float]) -> np.ndarray:
    """A ring from ``x1, y1, x2, y2, ...``, float64 [k, 2].

    Raises:
        Refused: an odd number of numbers, fewer than three points, or a coordinate that is not
            finite or beyond any picture.
    """
    if len(numbers) % 2 or len(numbers) < 6:
        raise Refused("malformed polygon", f"{len(numbers)} numbers are not three points or more")
    ring = np.array(numbers, dtype=np.float64).reshape(-1, 2)
    if not (np.abs(ring) < _FARTHEST).all():
        raise Refused("malformed polygon", "a coordinate is not finite or beyond any picture")
    return ring
