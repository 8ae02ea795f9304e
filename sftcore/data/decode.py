"""From a file's bytes to a square uint8 picture, or the reason why not."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Colour = tuple[int, int, int]
_TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


class Refused(Exception):
    """A picture that is not used.

    Attributes:
        reason: one of a few fixed phrases, counted in the summary.
        detail: what to know beyond it.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode(content: bytes, *, max_pixels: int, background: Colour) -> Image.Image:
    """Read a picture file into RGB.

    EXIF rotation is applied; transparent pictures are laid on the background; 16-bit and float
    greys are scaled to 8 bits; CMYK and palettes are converted.

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
    """Greys of more than 8 bits to uint8: 16-bit integers by /257, others from their own range.

    Wider integers that never pass 255 are 8-bit greys in a wider box and stay as they are.
    """
    numbers = np.nan_to_num(values.astype(np.float64))
    if values.dtype == np.int32 and 0 <= numbers.min() <= numbers.max() <= 255:
        return numbers.astype(np.uint8)
    if np.issubdtype(values.dtype, np.integer) and 0 <= numbers.min() <= numbers.max() <= 65535:
        return np.round(numbers / 257).astype(np.uint8)
    if np.issubdtype(values.dtype, np.floating) and 0 <= numbers.min() <= numbers.max() <= 1:
        return np.round(numbers * 255).astype(np.uint8)
    low, high = numbers.min(), numbers.max()
    return np.round((numbers - low) / max(high - low, 1e-12) * 255).astype(np.uint8)


def fit_square(image: Image.Image, size: int, background: Colour) -> np.ndarray:
    """The whole picture, resized to a longer side of ``size`` and centred on the background.

    Returns:
        uint8 [size, size, 3].
    """
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (size, size), background)
    canvas.paste(small, ((size - width) // 2, (size - height) // 2))
    return np.asarray(canvas)
