"""Grounds of scenes: photographed surfaces, scanned papers, and computed patterns.

Surfaces and papers are files that their packages' ``debian/copyright`` and, for the papers, their
authors' own notes name one by one as public domain or CC0.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from data.make.debian import PAPERS, SURFACES, DebianPackage, find_package
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.foundations.errors import DataError

SIDE = 256  # pixels of a scene
PUBLIC_DOMAIN, CC0 = "public domain", "CC0-1.0"
_ARCHIVE = "0textures.pk3"
_SURFACES = (
    "buildings/floor005.png", "buildings/floor_wood01.png", "buildings/metal01.png",
    "buildings/paving001.png", "buildings/tile01.png", "buildings/tile02.png",
    "buildings/tile03.png", "material/metall006.jpg", "material/s_wood003.png",
    "material/wood003.png", "nature/desert009.png", "nature/dirt002.png", "nature/dirt003.png",
    "nature/ice001.jpg", "nature/jungle001.png", "nature/jungle002.png", "nature/railway.png",
    "nature/rock017.png", "nature/rock018.png", "nature/stone001.png",
)  # fmt: skip
_PAPERS = (
    "mrmamurk/mamurk_a_1.png", "mrmamurk/mamurk_a_2.png", "mrmamurk/mamurk_b_1.png",
    "mrmamurk/mamurk_c_3.png", "mrmamurk/mamurk_e_2.png", "mrmamurk/mamurk_f_1.png",
    "ramon/HR_Canvas 01.png", "ramon/HR_Cork.png", "ramon/HR_DecoPaper.png",
    "ramon/HR_PastelPaper 01.png", "ramon/HR_PastelPaper 02.png", "ramon/HR_RoughPaper.png",
    "ramon/HR_SketchPaper 02.png", "ramon/HR_SketchPaper.png", "ramon/HR_WaterColor.png",
)  # fmt: skip
_SIDES = (256.0, 512.0)  # pixels that a texture's shorter side is brought to before it is cut
_GAINS = (0.8, 1.2)  # of each colour channel of a texture
_NUM_OCTAVES = 5
NUM_DRAWS = 16 + 2 * sum(4**octave for octave in range(1, _NUM_OCTAVES + 1))


@dataclass(frozen=True)
class Texture:
    """A picture of a surface.

    Attributes:
        package: that it is from.
        source: path in the package, for surfaces in the archive within it.
        licence: as the package states it for this file.
        sha256: of the file.
        image: RGB.
    """

    package: DebianPackage
    source: str
    licence: str
    sha256: str
    image: Image.Image


def read_textures(root: Path) -> list[Texture]:
    """All surfaces and papers.

    Args:
        root: that the packages are unpacked into.

    Raises:
        DataError: a package or a file of it is missing.
    """
    papers = find_package(PAPERS, root).parent
    with zipfile.ZipFile(find_package(SURFACES, root) / _ARCHIVE) as archive:
        surfaces = {name: archive.read(name) for name in map("textures/tex_{}".format, _SURFACES)}
    missing = [name for name in _PAPERS if not (papers / name).is_file()]
    if missing:
        raise DataError(f"{papers / missing[0]} is missing: install Debian's {PAPERS.name} anew")
    return [
        *(_texture(SURFACES, name, PUBLIC_DOMAIN, data) for name, data in surfaces.items()),
        *(_texture(PAPERS, name, CC0, (papers / name).read_bytes()) for name in _PAPERS),
    ]


def _texture(package: DebianPackage, name: str, licence: str, data: bytes) -> Texture:
    with Image.open(BytesIO(data)) as image:
        return Texture(package, name, licence, sha256_bytes(data), image.convert("RGB"))


def cut_texture(image: Image.Image, draws: np.ndarray) -> Image.Image:
    """A square of a texture: enlarged or reduced, cut, turned, mirrored, its channels scaled.

    Args:
        image: RGB.
        draws: uniform numbers in [0, 1), eight are used.
    """
    side = round(_SIDES[0] * (_SIDES[1] / _SIDES[0]) ** draws[0])
    scale = side / min(image.size)
    size = [max(side, round(length * scale)) for length in image.size]
    image = image.resize(size, Image.Resampling.LANCZOS)
    left, top = (int(d * (n - SIDE + 1)) for d, n in zip(draws[1:3], image.size, strict=True))
    image = image.crop((left, top, left + SIDE, top + SIDE))
    if draws[3] < 0.5:
        image = ImageOps.mirror(image)
    pixels = np.rot90(np.asarray(image), int(draws[4] * 4)).astype(np.float64)
    return _rounded(pixels * (_GAINS[0] + (_GAINS[1] - _GAINS[0]) * draws[5:8]))


def draw_pattern(draws: np.ndarray) -> Image.Image:
    """A computed ground: two colours mixed by a ramp, by stripes, by tiles or by clouds.

    Args:
        draws: uniform numbers in [0, 1), ``NUM_DRAWS`` of them.
    """
    colours = 30 + 205 * draws[1:7].reshape(2, 3)
    across, down = np.meshgrid(np.arange(SIDE) / SIDE, np.arange(SIDE) / SIDE)
    kind = _PATTERNS[int(draws[0] * len(_PATTERNS))]
    share = kind(across, down, draws[7:])[:, :, None]
    grain = 6 * _clouds(across, down, draws[7:][::-1])[:, :, None] - 3
    return _rounded(colours[0] * (1 - share) + colours[1] * share + grain)


def _ramp(across: np.ndarray, down: np.ndarray, draws: np.ndarray) -> np.ndarray:
    slope = 2 * draws[:2] - 1
    height = slope[0] * across + slope[1] * down
    return (height - height.min()) / max(float(np.ptp(height)), 1e-9)


def _stripes(across: np.ndarray, down: np.ndarray, draws: np.ndarray) -> np.ndarray:
    width = 0.05 + 0.2 * draws[0]
    where = across + (2 * draws[1] - 1) * down + draws[2]
    return np.abs(2 * (where / width % 1) - 1) * (0.4 + 0.4 * draws[3])


def _tiles(across: np.ndarray, down: np.ndarray, draws: np.ndarray) -> np.ndarray:
    width = 0.08 + 0.25 * draws[0]
    cells = np.floor(across / width + draws[1]), np.floor(down / width + draws[2])
    is_joint = np.minimum((across / width + draws[1]) % 1, (down / width + draws[2]) % 1) < 0.06
    return np.where(is_joint, 1.0, (cells[0] + cells[1]) % 2 * 0.35)


def _clouds(across: np.ndarray, down: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Value noise of five octaves (cells of 1/2 to 1/32 of the side), scaled to [0, 1]."""
    total, start = np.zeros(across.shape), 9
    for octave in range(1, _NUM_OCTAVES + 1):
        cells = draws[start : start + 4**octave].reshape(2**octave, 2**octave).astype(np.float32)
        start += 4**octave
        field = Image.fromarray(cells).resize(across.shape[::-1], Image.Resampling.BICUBIC)
        total += np.asarray(field, dtype=np.float64) / 2**octave
    return (total - total.min()) / np.ptp(total)


Pattern = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
_PATTERNS: tuple[Pattern, ...] = (_ramp, _stripes, _tiles, _clouds)


def _rounded(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
