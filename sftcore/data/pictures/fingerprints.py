"""What is kept of a picture for finding others that look like it: hashes and a small copy.

All sums are of whole numbers below 2^53, so they are exact and equal on every processor.
"""

import numpy as np
from PIL import Image

SMALL_SIDE = 64
HASH_SIDE = 16
HASH_WORDS = HASH_SIDE * HASH_SIDE // 64
_COSINE_SCALE = 1 << 10
_CROP = 0.05
Window = tuple[float, float]

WHOLE: Window = (0.0, SMALL_SIDE)
# What a crop by 5 % leaves of one side: the first, the middle and the last 95 %.
CROPPED: tuple[Window, ...] = tuple(
    (SMALL_SIDE * start, SMALL_SIDE * (start + 1 - _CROP)) for start in (0.0, _CROP / 2, _CROP)
)
MIRRORED = 1
FIRST_CROP = 2
# Rows and columns of each variant; the one at MIRRORED is mirrored besides.
VARIANTS: tuple[tuple[Window, Window], ...] = (
    (WHOLE, WHOLE),
    (WHOLE, WHOLE),
    *((rows, columns) for rows in CROPPED for columns in CROPPED),
)


def small_copy(image: np.ndarray) -> np.ndarray:
    """The picture stretched to 64 x 64.

    Args:
        image: uint8 [H, W, 3], without a border.

    Returns:
        uint8 [64, 64, 3].
    """
    resample = Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(image).resize((SMALL_SIDE, SMALL_SIDE), resample))


def perceptual_hashes(small: np.ndarray) -> np.ndarray:
    """256 bits of the coarse structure of a picture and of its variants.

    pHash (Zauner, 2010, section 3.2.1): of the grey picture's cosine transform the 16 x 16 lowest
    frequencies but the constant column and row are compared with their median. The bits stand in
    the order of their frequency, lowest first. Variants are the picture as it is, mirrored, and
    cropped by 5 % in nine places; their transforms come from the same 64 x 64 greys.

    Args:
        small: uint8 [64, 64, 3], see :func:`small_copy`.

    Returns:
        uint64 [11, 4].
    """
    grey = np.asarray(Image.fromarray(small).convert("L"), dtype=np.float64)
    spectrum = _BASES @ grey @ _BASES.T
    blocks = spectrum.reshape(len(CROPPED) + 1, HASH_SIDE, len(CROPPED) + 1, HASH_SIDE)
    blocks = blocks.transpose(0, 2, 1, 3)
    whole = blocks[0, 0]
    crops = blocks[1:, 1:].reshape(-1, HASH_SIDE, HASH_SIDE)
    low = np.concatenate([whole[None], (whole * _MIRROR)[None], crops])
    low = low.reshape(len(VARIANTS), -1)[:, _BY_FREQUENCY]
    is_above = low > np.median(low, axis=1, keepdims=True)
    return np.ascontiguousarray(np.packbits(is_above, axis=1)).view(np.uint64)


def _cosines(window: Window) -> np.ndarray:
    """Whole-numbered cosines of the frequencies 1 to 16 over a part of the side, [16, 64]."""
    low, high = window
    pixel = np.arange(SMALL_SIDE)
    inside = np.clip(np.minimum(pixel + 1, high) - np.maximum(pixel, low), 0, 1)
    angle = np.pi * (pixel + 0.5 - low) / (high - low)
    frequency = np.arange(1, HASH_SIDE + 1)[:, None]
    return np.round(np.cos(frequency * angle) * inside * _COSINE_SCALE)


_BASES = np.concatenate([_cosines(window) for window in (WHOLE, *CROPPED)])
# Mirroring turns the sign of the odd frequencies of the columns.
_MIRROR = np.where(np.arange(1, HASH_SIDE + 1) % 2 == 1, -1.0, 1.0)
_SQUARES = np.add.outer(np.arange(1, HASH_SIDE + 1) ** 2, np.arange(1, HASH_SIDE + 1) ** 2)
_BY_FREQUENCY = np.argsort(_SQUARES.ravel(), kind="stable")
