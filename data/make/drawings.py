"""Drawings of the Open Clip Art Library as pixels and as files."""

import csv
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from data.make.folders import DATA
from sftcore.foundations.artifacts import sha256_file


def in_clipart(folder: Path) -> set[str]:
    """The sha256 of the PNG files that ``data/clipart`` was made from.

    Args:
        folder: of the package's PNG files. Some drawings lie there several times.
    """
    with (DATA / "clipart" / "SOURCES.csv").open(encoding="utf-8", newline="") as file:
        return {sha256_file(folder / row["openclipart_path"]) for row in csv.DictReader(file)}


def num_pixels(path: Path) -> int:
    """Width times height, from the file's header."""
    with warnings.catch_warnings():
        # Whoever asks for the size wants to know of a picture that is too large.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            return image.width * image.height


def open_drawing(path: Path) -> Image.Image:
    """A drawing with its transparency (RGBA)."""
    with Image.open(path) as image:
        return image.convert("RGBA")


def on_white(image: Image.Image) -> Image.Image:
    """A drawing on white paper that is cut to what is drawn (RGB); blank paper stays whole."""
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image)
    picture = paper.convert("RGB")
    ink = ImageChops.invert(picture).getbbox()
    return picture.crop(ink) if ink else picture


def shrink(image: Image.Image, side: int) -> Image.Image:
    """An image whose longer side is ``side`` pixels; a smaller one stays as it is."""
    width, height = image.size
    longer = max(width, height)
    if longer <= side:
        return image
    size = max(1, round(width * side / longer)), max(1, round(height * side / longer))
    return image.resize(size, Image.Resampling.LANCZOS)


def as_jpeg(picture: Image.Image, quality: int) -> bytes:
    """A picture as a JPEG file."""
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def spread(picture: Image.Image) -> float:
    """Standard deviation of the grey values, 0 to 128: an empty picture has none."""
    return float(np.asarray(picture.convert("L"), dtype=np.float64).std())
