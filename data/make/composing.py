"""Composed scenes: things on a ground, with the class of every pixel and the mask of every thing.

All draws are keyed by (seed, purpose, attempt) and the number of the scene.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from data.make.crowds import visible_parts
from data.make.cutouts import OPAQUE, covered_by
from data.make.grounds import SIDE
from sftcore.foundations.masks import IGNORED
from sftcore.foundations.randomness import row_uniforms

BACKGROUND = 0  # of a mask
MIN_VISIBLE = 0.4  # of every thing
_SEED = 0
_SIZES = (24.0, 128.0)  # pixels, longer side of a thing
_TURN = 15.0  # degrees, either way
_OVERHANG = 0.25  # of a thing's width or height, beyond the picture's edge at most
_SOFT = (64, 191)  # an alpha within these cannot be told to belong to one side
_NUM_PLACES = 40  # tried for one thing
_MAX_ATTEMPTS = 200  # for one scene
_MIN_CONTRAST = 40  # grey values, in one channel, from the mean of what a thing lies on ...
_MIN_CONTRASTING = 0.5  # ... for this part of it


@dataclass(frozen=True)
class Piece:
    """A cut-out with the value of its class in a mask.

    Attributes:
        value: from 1 on.
        source: path in the package.
        image: RGBA.
    """

    value: int
    source: str
    image: Image.Image


@dataclass(frozen=True)
class Instance:
    """A thing in a scene.

    Attributes:
        piece: what it shows.
        mask: its visible pixels, bool [256, 256].
        visible: what part of its pixels they are; others are under a later thing or outside.
    """

    piece: Piece
    mask: np.ndarray
    visible: float


@dataclass(frozen=True)
class Scene:
    """A composed picture and what is true of it.

    Attributes:
        picture: RGB, 256 by 256.
        mask: class of every pixel, 0 where there is only ground, 255 at soft edges,
            uint8 [256, 256].
        instances: from the lowest to the topmost.
    """

    picture: Image.Image
    mask: np.ndarray
    instances: list[Instance]


def uniforms(purpose: str, number: int, attempt: int, num: int) -> np.ndarray:
    """Numbers in [0, 1) of a scene, float64 [num]."""
    return row_uniforms(_SEED, "scenes", purpose, attempt, rows=np.array([number]), num=num)[0]


def compose(ground: Image.Image, pool: Sequence[Piece], count: int, number: int) -> Scene:
    """The scene of a number.

    An attempt whose things do not fit or cannot be told from what they lie on is drawn anew.

    Args:
        ground: RGB, 256 by 256.
        pool: pieces; a class is drawn first, then one of its pieces, as long as there are any
            that the scene does not yet show.
        count: how many things are pasted, from 0 on.
        number: of the scene, which all draws are keyed by.

    Raises:
        RuntimeError: no attempt fits.
    """
    for attempt in range(_MAX_ATTEMPTS):
        pieces = draw_pieces(pool, count, number, attempt)
        corners = _find_places(ground, pieces, number, attempt)
        if corners is not None:
            return paste(ground, pieces, corners)
    raise RuntimeError(f"scene {number} does not fit {count} things in {_MAX_ATTEMPTS} attempts")


def draw_pieces(pool: Sequence[Piece], count: int, number: int, attempt: int) -> list[Piece]:
    """Pieces of a pool in the sizes of a scene, turned and half of them mirrored."""
    draws = uniforms("pieces", number, attempt, 5 * count).reshape(count, 5)
    values = sorted({piece.value for piece in pool})
    drawn: list[Piece] = []
    for which_class, which, size, mirrored, turn in draws:
        value = values[int(which_class * len(values))]
        kin = [piece for piece in pool if piece.value == value]
        shown = {piece.source for piece in drawn}
        kin = [piece for piece in kin if piece.source not in shown] or kin
        piece = kin[int(which * len(kin))]
        image = ImageOps.mirror(piece.image) if mirrored < 0.5 else piece.image
        angle = _TURN * (2 * turn - 1)
        image = image.rotate(angle, Image.Resampling.BICUBIC, expand=True)
        image = image.crop(image.getchannel("A").getbbox())
        drawn.append(Piece(value, piece.source, _resized(image, max(piece.image.size), size)))
    return drawn


def _resized(image: Image.Image, largest: int, draw: float) -> Image.Image:
    """An image in a uniform size that is not above a cut-out's own."""
    low, high = _SIZES[0], min(_SIZES[1], largest)
    scale = (low + (high - low) * draw) / max(image.size)
    size = [max(1, round(length * scale)) for length in image.size]
    return image.resize(size, Image.Resampling.LANCZOS)


def _find_places(
    ground: Image.Image, pieces: Sequence[Piece], number: int, attempt: int
) -> list[tuple[int, int]] | None:
    """Left upper corners that leave enough of every piece visible, or None."""
    shape = len(pieces), _NUM_PLACES, 2
    draws = uniforms("places", number, attempt, shape[0] * shape[1] * shape[2]).reshape(shape)
    masks, corners, below = np.zeros((0, SIDE, SIDE), dtype=bool), [], ground.copy()
    for i, (piece, places) in enumerate(zip(pieces, draws, strict=True)):
        totals = [int(covered_by(other.image).sum()) for other in pieces[: i + 1]]
        for place in places:
            corner = _corner(piece.image, place)
            tried = np.concatenate([masks, alpha_at(piece.image, corner)[None] >= OPAQUE])
            is_seen = visible_parts(tried, totals).min() >= MIN_VISIBLE
            if is_seen and _stands_out(piece.image, np.asarray(below)[tried[-1]]):
                masks = tried
                corners.append(corner)
                below.paste(piece.image, corner, piece.image)
                break
        else:
            return None
    return corners


def _corner(image: Image.Image, place: np.ndarray) -> tuple[int, int]:
    """Left and upper edge, so that at most a quarter of the width and of the height is outside."""
    over = [int(length * _OVERHANG) for length in image.size]
    left, top = (
        int(draw * (SIDE - length + 2 * out + 1)) - out
        for draw, length, out in zip(place, image.size, over, strict=True)
    )
    return left, top


def _stands_out(image: Image.Image, under: np.ndarray) -> bool:
    pixels = np.asarray(image.convert("RGB"), dtype=np.float64)[covered_by(image)]
    is_other = np.abs(pixels - under.mean(axis=0)).max(axis=1) >= _MIN_CONTRAST
    return bool(is_other.mean() >= _MIN_CONTRASTING)


def alpha_at(image: Image.Image, corner: tuple[int, int]) -> np.ndarray:
    """The opacity of an RGBA image that lies at a corner of the scene, uint8 [256, 256]."""
    sheet = Image.new("L", (SIDE, SIDE))
    sheet.paste(image.getchannel("A"), corner)
    return np.asarray(sheet)


def paste(
    ground: Image.Image, pieces: Sequence[Piece], corners: Sequence[tuple[int, int]]
) -> Scene:
    """Pieces on a ground, later ones on top.

    A pixel belongs to the topmost piece whose alpha is at least a half there. It is ignored in the
    mask where no piece of an alpha of three quarters lies over an alpha of a quarter.

    Args:
        ground: RGB, 256 by 256.
        pieces: in their final sizes.
        corners: left and upper edge of each; what is outside is cut.
    """
    picture = ground.convert("RGBA")
    mask = np.full((SIDE, SIDE), BACKGROUND, dtype=np.uint8)
    owner = np.full((SIDE, SIDE), -1)
    totals = [int(covered_by(piece.image).sum()) for piece in pieces]
    for i, (piece, corner) in enumerate(zip(pieces, corners, strict=True)):
        sheet = Image.new("RGBA", (SIDE, SIDE))
        sheet.paste(piece.image, corner)
        picture.alpha_composite(sheet)
        alpha = alpha_at(piece.image, corner)
        owner[covered_by(sheet)] = i
        mask[alpha > _SOFT[1]] = piece.value
        mask[(alpha >= _SOFT[0]) & (alpha <= _SOFT[1])] = IGNORED
    instances = [
        Instance(piece, owner == i, float((owner == i).sum() / totals[i]))
        for i, piece in enumerate(pieces)
    ]
    return Scene(picture.convert("RGB"), mask, instances)
