"""Crowds: cut-outs at random places of a ground, with exact counts and covers.

All draws are keyed by (seed, purpose, attempt) and the number of the scene.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from data.make.cutouts import Cutout, covered_by
from sftcore.foundations.randomness import row_uniforms

SIDE = 128  # pixels
_SEED = 0
_SCALES = (14.0, 40.0)  # pixels, longer side of the scene's average cut-out
_RELATIVE_SIZES = (0.75, 1.33)  # of one cut-out within its scene
_COLOURS = (40, 235)  # of the ground
_TEXTURE_CELLS = 8  # a side
_MAX_TEXTURE = 20  # grey values up and down
_NUM_PLACES = 60  # tried for one cut-out
_MAX_ATTEMPTS = 400  # for one scene
_MIN_VISIBLE = 0.9  # of every cut-out
_MIN_CONTRAST = 40  # grey values, in one channel, from the ground's colour ...
_MIN_CONTRASTING = 0.6  # ... for this part of a cut-out


@dataclass(frozen=True)
class Scene:
    """A composed picture and what is true of it.

    Attributes:
        picture: RGB, 128 by 128.
        masks: what each cut-out would cover if it lay on top, bool [count, 128, 128]; later ones
            lie on earlier ones.
    """

    picture: Image.Image
    masks: np.ndarray

    @property
    def num_covered(self) -> int:
        """Pixels that some cut-out covers."""
        return int(self.masks.any(axis=0).sum())


def compose(pool: Sequence[Cutout], count: int, number: int) -> Scene:
    """The scene of a number.

    An attempt that does not fit, or whose cut-outs cannot be told from the ground, is drawn anew.

    Args:
        pool: cut-outs, drawn with replacement.
        count: how many are pasted.
        number: of the scene, which all draws are keyed by.

    Raises:
        RuntimeError: no attempt fits.
    """
    for attempt in range(_MAX_ATTEMPTS):
        colour, ground = draw_ground(number, attempt)
        pieces = draw_pieces(pool, count, number, attempt)
        if all(_stands_out(piece, colour) for piece in pieces):
            scene = _place(ground, pieces, number, attempt)
            if scene is not None:
                return scene
    raise RuntimeError(f"scene {number} does not fit {count} cut-outs in {_MAX_ATTEMPTS} attempts")


def _uniforms(purpose: str, number: int, attempt: int, num: int) -> np.ndarray:
    return row_uniforms(_SEED, "counts", purpose, attempt, rows=np.array([number]), num=num)[0]


def draw_ground(number: int, attempt: int) -> tuple[np.ndarray, Image.Image]:
    """A ground's colour (int [3]) and the ground (RGB); every other one has soft spots."""
    draws = _uniforms("ground", number, attempt, 4 + _TEXTURE_CELLS**2)
    low, high = _COLOURS
    colour = low + (draws[:3] * (high - low + 1)).astype(np.int64)
    amplitude = max(0.0, 2 * draws[3] - 1) * _MAX_TEXTURE
    spots = np.rint(128 + (2 * draws[4:] - 1) * amplitude).astype(np.uint8)
    small = Image.fromarray(spots.reshape(_TEXTURE_CELLS, _TEXTURE_CELLS))
    texture = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.int64) - 128
    ground = np.clip(colour + texture[:, :, None], 0, 255).astype(np.uint8)
    return colour, Image.fromarray(ground)


def draw_pieces(pool: Sequence[Cutout], count: int, number: int, attempt: int) -> list[Image.Image]:
    """Cut-outs of a pool in the scene's sizes, some of them mirrored (RGBA)."""
    scale, *draws = _uniforms("pieces", number, attempt, 1 + 3 * count)
    side = _between(_SCALES, scale)
    pieces = []
    for which, size, mirrored in zip(draws[::3], draws[1::3], draws[2::3], strict=True):
        image = pool[int(which * len(pool))].image
        longer = round(side * _between(_RELATIVE_SIZES, size))
        image = image.resize(
            [max(1, round(length * longer / max(image.size))) for length in image.size],
            Image.Resampling.LANCZOS,
        )
        pieces.append(ImageOps.mirror(image) if mirrored < 0.5 else image)
    return pieces


def _between(limits: tuple[float, float], draw: float) -> float:
    """Log-uniform between two limits."""
    low, high = limits
    return low * (high / low) ** draw


def _stands_out(piece: Image.Image, colour: np.ndarray) -> bool:
    pixels = np.asarray(piece.convert("RGB"), dtype=np.int64)[covered_by(piece)]
    is_other = np.abs(pixels - colour).max(axis=1) >= _MIN_CONTRAST
    return bool(is_other.mean() >= _MIN_CONTRASTING) if len(pixels) else False


def _place(
    ground: Image.Image, pieces: Sequence[Image.Image], number: int, attempt: int
) -> Scene | None:
    """Paste all pieces where every one stays visible, or None."""
    shape = len(pieces), _NUM_PLACES, 2
    draws = _uniforms("places", number, attempt, shape[0] * shape[1] * shape[2]).reshape(shape)
    picture, masks = ground.convert("RGBA"), np.zeros((0, SIDE, SIDE), dtype=bool)
    for piece, places in zip(pieces, draws, strict=True):
        for across, down in places:
            left = int(across * (SIDE - piece.width + 1))
            top = int(down * (SIDE - piece.height + 1))
            tried = np.concatenate([masks, _mask_at(piece, left, top)[None]])
            if visible_parts(tried).min() >= _MIN_VISIBLE:
                masks = tried
                picture.alpha_composite(piece, (left, top))
                break
        else:
            return None
    return Scene(picture.convert("RGB"), masks)


def _mask_at(piece: Image.Image, left: int, top: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[top : top + piece.height, left : left + piece.width] = covered_by(piece)
    return mask


def visible_parts(masks: np.ndarray, totals: Sequence[int] | None = None) -> np.ndarray:
    """What part of each mask no later mask lies on, float64 [N].

    Args:
        masks: bool [N, height, width], none of them empty.
        totals: pixels that each is a part of, more than its own where some are outside.
    """
    above = np.zeros(masks.shape[1:], dtype=bool)
    parts = np.empty(len(masks))
    for i in reversed(range(len(masks))):
        parts[i] = (masks[i] & ~above).sum() / (totals[i] if totals else masks[i].sum())
        above |= masks[i]
    return parts
