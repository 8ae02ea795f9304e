"""Where the tiles of a large picture lie, what each pixel takes of them, and how they are cut.

A network sees squares of S pixels. A large picture that is made so small loses its small things, so
it may be cut into tiles that overlap, each of which becomes a square. All tiles of a picture have
one size: the side that is asked for, or the picture's own where that is less. A picture that fits
one tile is seen whole, as without tiles.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sftcore.data.kinds import Refused
from sftcore.data.pictures.decode import Decoding, decode, fit_square
from sftcore.data.pictures.letterbox import Letterbox

MOST_TILES = 4096  # of a picture: at S = 192 they take 450 MB


@dataclass(frozen=True)
class Tiling:
    """The tiles of a picture, row by row.

    Attributes:
        width: of the picture in pixels.
        height: of the picture in pixels.
        box: how each tile lies in its square.
        lefts: left edges of the columns in pixels of the picture, ascending.
        tops: upper edges of the rows likewise.
    """

    width: int
    height: int
    box: Letterbox
    lefts: tuple[int, ...]
    tops: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lefts) * len(self.tops)

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Left and upper edge of each tile in pixels of the picture."""
        return [(left, top) for top in self.tops for left in self.lefts]

    @property
    def edges(self) -> np.ndarray:
        """Left, top, right, bottom of each tile in pixels of the picture, int64 [T, 4]."""
        begins = np.array(self.corners, dtype=np.int64)
        size = np.array([self.box.width, self.box.height])
        return np.concatenate([begins, begins + size], axis=1)


@dataclass(frozen=True)
class TiledPicture:
    """A picture as the network sees it.

    Attributes:
        squares: uint8 [T, S, S, 3], on the background.
        tiling: where they lie in the picture.
    """

    squares: np.ndarray
    tiling: Tiling


@dataclass(frozen=True)
class TiledAnswers:
    """What the network says of a picture.

    Attributes:
        answers: of its tiles [T, ...], in the pixels of their squares.
        tiling: where they lie in the picture.
    """

    answers: np.ndarray
    tiling: Tiling


@dataclass(frozen=True)
class Cutting:
    """How files become tiles; it crosses to other processes.

    Attributes:
        decoding: how they become pictures.
        tile: side of a tile in pixels of the picture; 0: the picture is not cut.
        overlap: least part of a tile that the next one shows, too, in [0, 1).
    """

    decoding: Decoding
    tile: int = 0
    overlap: float = 0.0


def tiling_of(width: int, height: int, side: int, tile: int = 0, overlap: float = 0.0) -> Tiling:
    """The fewest tiles that cover a picture, at equal steps.

    Args:
        width: of the picture in pixels.
        height: of the picture in pixels.
        side: S, of the square in pixels.
        tile: see :class:`Cutting`.
        overlap: likewise.
    """
    wide, high = (min(tile, length) if tile else length for length in (width, height))
    return Tiling(
        width,
        height,
        Letterbox(wide, high, side),
        tile_starts(width, wide, overlap),
        tile_starts(height, high, overlap),
    )


def tile_starts(length: int, tile: int, overlap: float) -> tuple[int, ...]:
    """Where tiles along a side begin: the first at 0, the last so that it ends with the side.

    Args:
        length: of the side in pixels.
        tile: of a tile in pixels, at most the length.
        overlap: least part of a tile that the next one shows, too, in [0, 1).
    """
    span = length - tile
    if not span:
        return (0,)
    step = max(1, int(tile * (1 - overlap)))
    num_steps = -(-span // step)
    return tuple(
        (2 * number * span + num_steps) // (2 * num_steps) for number in range(num_steps + 1)
    )


def tile_weights(starts: tuple[int, ...], tile: int, length: int) -> np.ndarray:
    """What each pixel along a side takes of each tile.

    A tile's weight is the distance to its nearer end, divided by the sum of those of all tiles that
    show the pixel: where two tiles share pixels, one fades out while the other fades in. What only
    one tile shows is wholly its own, also at the border of the picture.

    Args:
        starts: of the n tiles, see :func:`tile_starts`.
        tile: of a tile in pixels.
        length: of the side in pixels.

    Returns:
        float64 [n, tile]; over the tiles of a pixel they sum to one.
    """
    place = np.arange(tile) + 0.5
    depth = np.minimum(place, tile - place)
    total = np.zeros(length)
    for start in starts:
        total[start : start + tile] += depth
    return np.stack([depth / total[start : start + tile] for start in starts])


def cut_picture(content: bytes, cutting: Cutting) -> TiledPicture:
    """A picture file as its tiles.

    Args:
        content: the file's bytes.
        cutting: how.

    Raises:
        Refused: see :func:`sftcore.data.pictures.decode.decode`; or there are too many tiles.
    """
    how = cutting.decoding
    picture = decode(content, max_pixels=how.max_pixels, background=how.background)
    tiling = tiling_of(*picture.size, how.image_size, cutting.tile, cutting.overlap)
    if len(tiling) > MOST_TILES:
        raise Refused(
            "too many tiles", f"{len(tiling)}, and at most {MOST_TILES}: choose a larger --tile"
        )
    return TiledPicture(_squares(picture, tiling, how), tiling)


def _squares(picture: Image.Image, tiling: Tiling, how: Decoding) -> np.ndarray:
    if len(tiling) == 1:
        return fit_square(picture, how.image_size, how.background)[None]
    parts = (picture.crop(tuple(edges)) for edges in tiling.edges.tolist())
    return np.stack([fit_square(part, how.image_size, how.background) for part in parts])


def whole_squares(squares: np.ndarray) -> list[TiledPicture]:
    """Pictures that are squares already, each its own single tile.

    Args:
        squares: uint8 [N, S, S, 3].
    """
    side = squares.shape[1]
    return [TiledPicture(of[None], tiling_of(side, side, side)) for of in squares]
