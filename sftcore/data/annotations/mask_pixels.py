"""From a mask's file to indices of classes, or the faults why not."""

import warnings
from collections.abc import Mapping
from io import BytesIO

import numpy as np
from PIL import Image

from sftcore.data.annotations.class_tables import packed
from sftcore.data.annotations.faults import MASK_MODE, MASK_UNREADABLE
from sftcore.data.kinds import Refused
from sftcore.foundations.masks import IGNORED

_PNG = b"\x89PNG\r\n\x1a\n"
_BIT_DEPTH = 24  # place of the byte in a PNG's header
# Of Pascal VOC's palette at index 255: borders of objects (VOC2012 development kit, section
# "Segmentation"). In masks of colours it stands for itself unless the table names it.
VOID_COLOUR = (224, 224, 192)


def open_mask(content: bytes, *, max_pixels: int, is_coloured: bool) -> np.ndarray:
    """The pixel values of a mask, or its packed colours.

    Args:
        content: the file's bytes.
        max_pixels: more than this is refused before anything is decoded.
        is_coloured: whether colours are wanted.

    Returns:
        int64 [H, W].

    Raises:
        Refused: ``mask cannot be read`` or ``mask of a wrong mode``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(BytesIO(content), formats=("PNG", "BMP", "GIF", "TIFF", "JPEG"))
            if image.width * image.height > max_pixels:
                raise Refused(MASK_UNREADABLE, f"{image.width} x {image.height} pixels")
            if wrong := _wrong_mode(image, content, is_coloured):
                raise Refused(MASK_MODE, wrong)
            image.load()
        except Refused:
            raise
        except Exception as error:  # Pillow's readers raise many kinds on hostile bytes
            raise Refused(MASK_UNREADABLE, str(error) or type(error).__name__) from error
    if not is_coloured:
        return np.asarray(image).astype(np.int64)
    colours = np.asarray(image.convert("RGB")).astype(np.int64)
    return colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]


def _wrong_mode(image: Image.Image, content: bytes, is_coloured: bool) -> str:
    if image.format == "JPEG":
        return "JPEG changes values; save it as PNG"
    allowed = ("P", "RGB") if is_coloured else ("P", "L")
    if image.mode not in (*allowed, "L"):
        wanted = "colours of the table" if is_coloured else "8 bits of index"
        return f"{image.mode} where {' or '.join(allowed)} is needed: {wanted}"
    # Pillow stretches greys of 2 and 4 bits to 0 to 255, which are other values.
    if image.mode == "L" and content.startswith(_PNG) and content[_BIT_DEPTH] != 8:
        return f"grey of {content[_BIT_DEPTH]} bits; save it with 8"
    return ""


def to_indices(
    found: np.ndarray, values: Mapping[int, int], *, is_coloured: bool
) -> tuple[np.ndarray, dict[int, int]]:
    """Indices of classes, and what is in no table.

    Args:
        found: int64 [H, W], pixel values or packed colours.
        values: index of the class by value or packed colour.
        is_coloured: whether colours are meant.

    Returns:
        uint8 [H, W] with :data:`IGNORED` where pixels do not count and where a value is unknown;
        and unknown values with their counts of pixels, the commonest first.
    """
    void = packed(VOID_COLOUR) if is_coloured else IGNORED
    meaning = {void: IGNORED, **values}
    present, place, counts = np.unique(found, return_inverse=True, return_counts=True)
    indices = np.array([meaning.get(value, IGNORED) for value in present.tolist()], dtype=np.uint8)
    unknown = {
        value: count
        for value, count in zip(present.tolist(), counts.tolist(), strict=True)
        if value not in meaning
    }
    ordered = dict(sorted(unknown.items(), key=lambda pair: (-pair[1], pair[0])))
    return indices[place.reshape(found.shape)], ordered
