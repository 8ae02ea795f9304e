"""From a file's bytes to a square uint8 picture, or the reason why not."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sftcore.data.kinds import Refused as Refused

Colour = tuple[int, int, int]
MAX_PIXELS = 50_000_000  # of a picture, where no parameter says so
_TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_DEPTHS = (8, 10, 12, 14, 16)  # bits of grey that cameras and scanners write


@dataclass(frozen=True)
class Decoding:
    """How files become pictures.

    Attributes:
        image_size: S, side of the square in pixels.
        max_pixels: larger pictures are refused before anything is decoded.
        background: colour behind transparent pictures and around oblong ones.
    """

    image_size: int
    max_pixels: int
    background: Colour


@dataclass(frozen=True)
class Square:
    """A picture as the network sees it.

    Attributes:
        pixels: uint8 [S, S, 3], on the background.
        box: where the picture itself is: left, top, width, height in pixels.
    """

    pixels: np.ndarray
    box: tuple[int, int, int, int]


def decode_square(content: bytes, decoding: Decoding) -> Square:
    """The only way from a picture file to pixels, for training and for use alike.

    Args:
        content: the file's bytes.
        decoding: how.

    Raises:
        Refused: see :func:`decode`.
    """
    background = decoding.background
    picture = decode(content, max_pixels=decoding.max_pixels, background=background)
    pixels = fit_square(picture, decoding.image_size, background)
    return Square(pixels, content_box(picture.size, decoding.image_size))


def decode(content: bytes, *, max_pixels: int, background: Colour) -> Image.Image:
    """Read a picture file into RGB.

    EXIF rotation is applied; transparent pictures are laid on the background; float greys and
    greys of 10 to 16 bits are scaled to 8 bits; CMYK and palettes are converted.

    Args:
        content: the file's bytes.
        max_pixels: more than this is refused before anything is decoded.
        background: colour behind transparent pictures.

    Raises:
        Refused: empty, not a picture, over the pixel limit, or truncated.
    """
    if not content:
        raise Refused("empty file")
    with warnings.catch_warnings(), _pillow_limit(max_pixels):
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(BytesIO(content))
        except _TOO_LARGE as error:
            raise Refused("over the pixel limit", str(error)) from error
        except UnidentifiedImageError as error:
            raise Refused("not a picture", "no known picture format") from error
        except Exception as error:  # Pillow's readers raise many kinds on hostile bytes
            raise Refused("not a picture", type(error).__name__) from error
        if image.format == "EPS":
            # Pillow hands it to Ghostscript: a program inside a picture would be run.
            raise Refused("not a picture", "EPS is a program; convert it")
        if image.width * image.height > max_pixels:
            raise Refused("over the pixel limit", f"{image.width} x {image.height}")
        try:
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image), background)
        except _TOO_LARGE as error:
            raise Refused("over the pixel limit", str(error)) from error
        except Exception as error:  # likewise, while decoding
            raise Refused("truncated", str(error)) from error


@contextmanager
def _pillow_limit(max_pixels: int) -> Iterator[None]:
    """Let Pillow's own guard, which also looks at pictures inside others, use our limit."""
    earlier = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = earlier


def _to_rgb(image: Image.Image, background: Colour) -> Image.Image:
    if image.mode in _WIDE_MODES:
        return Image.fromarray(_to_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        under = Image.new("RGBA", image.size, (*background, 255))
        return Image.alpha_composite(under, image).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(values: np.ndarray) -> np.ndarray:
    """Greys of more than 8 bits to uint8; whole numbers by the depth that their maximum tells.

    Files with 16 bits a pixel often hold fewer: cameras and scanners write 10, 12 or 14, and
    nothing in most files says so. Whole numbers are therefore taken for the smallest depth of 8,
    10, 12, 14 and 16 bits that holds the picture's maximum, and that depth's range becomes 0 to
    255. The rule looks at one file alone. It errs on the bright side: a dark picture that does use
    16 bits is lifted, 4 times for each missing pair of bits, but never to more than the range of a
    depth in use; it is not stretched to its own minimum and maximum.

    Floats within 0 to 1 are taken as they are; numbers beyond all this by their own range.
    """
    numbers = np.nan_to_num(values.astype(np.float64))
    low, high = numbers.min(), numbers.max()
    if np.issubdtype(values.dtype, np.integer) and 0 <= low <= high < 2 ** _DEPTHS[-1]:
        top = next(2**depth - 1 for depth in _DEPTHS if high < 2**depth)
        # In whole numbers; no value lies between two greys, since every top is odd.
        return ((values.astype(np.int64) * 510 + top) // (2 * top)).astype(np.uint8)
    if np.issubdtype(values.dtype, np.floating) and 0 <= low <= high <= 1:
        return np.round(numbers * 255).astype(np.uint8)
    return np.round((numbers - low) / max(high - low, 1e-12) * 255).astype(np.uint8)


def fit_square(image: Image.Image, size: int, background: Colour) -> np.ndarray:
    """The whole picture, resized to a longer side of ``size`` and centred on the background.

    Returns:
        uint8 [size, size, 3].
    """
    left, top, width, height = content_box(image.size, size)
    small = image.resize((width, height), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (size, size), background)
    canvas.paste(small, (left, top))
    return np.asarray(canvas)


def content_box(sides: tuple[int, int], size: int) -> tuple[int, int, int, int]:
    """Where :func:`fit_square` puts a picture of these sides: left, top, width, height."""
    scale = size / max(sides)
    width, height = (max(1, round(side * scale)) for side in sides)
    return (size - width) // 2, (size - height) // 2, width, height
