"""``data/scenes``: composed scenes with the class of every pixel, a box and a mask of every thing.

``python -m data.make.scenes`` reads Debian's openclipart-png and openclipart-svg, and for the
grounds mypaint-data-extras and ufoai-textures.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data.make.coco import annotation, to_json
from data.make.composing import BACKGROUND, IGNORED, Piece, Scene, compose, uniforms
from data.make.cutouts import open_cutout
from data.make.debian import DRAWINGS, KEYWORDS, DebianPackage, find_package
from data.make.drawings import as_jpeg, in_clipart
from data.make.folders import Files, command, csv_bytes
from data.make.grounds import (
    CC0,
    NUM_DRAWS,
    PUBLIC_DOMAIN,
    SIDE,
    Texture,
    cut_texture,
    draw_pattern,
    read_textures,
)
from data.make.keywords import is_public_domain, is_whole
from data.make.things import CLASSES, Thing, deal, read_things
from sftcore.foundations.artifacts import sha256_file
from sftcore.foundations.errors import DataError

NUM_POOLS = 60
SCENES_PER_POOL = 6
NUM_EMPTY = 15
MAX_COUNT = 6  # scenes that are not empty have two things to so many, each equally often
PATTERN_SHARE = 0.2  # of the grounds are computed
QUALITY = 75
_CUTOUT_SIDE = 192  # pixels
_PALETTE = ((0, 0, 0), (230, 25, 75), (245, 130, 48), (0, 130, 200), (145, 30, 180),
            (60, 180, 75), (170, 255, 195), (255, 225, 25), (70, 240, 240))  # fmt: skip
_PALETTE_IGNORED = (255, 255, 255)
_LICENCES = {
    PUBLIC_DOMAIN: "https://creativecommons.org/publicdomain/mark/1.0/",
    CC0: "https://creativecommons.org/publicdomain/zero/1.0/",
}
_INFO = {
    "description": "Composed scenes: drawings pasted on photographed, scanned or computed grounds. "
    "Boxes, areas and masks are of visible pixels.",
    "version": "1",
    "contributor": "Drawings: Open Clip Art Library. Surfaces: UFO: Alien Invasion. Papers: "
    "MrMamurk, Ramón Miranda.",
}


@dataclass(frozen=True)
class Ground:
    """What a scene lies on.

    Attributes:
        image: RGB, 256 by 256.
        source: path in its package; empty where it is computed.
        licence: of the texture; public domain where it is computed.
    """

    image: Image.Image
    source: str
    licence: str


def counts_of(num_scenes: int) -> list[int]:
    """How many things each scene has: a few have none, others two to six, equally often.

    Args:
        num_scenes: more than ``NUM_EMPTY``.
    """
    order = sorted(
        range(num_scenes), key=lambda n: hashlib.sha256(f"scenes/{n}".encode()).hexdigest()
    )
    counts = [0] * num_scenes
    for rank, number in enumerate(order[NUM_EMPTY:]):
        counts[number] = 2 + rank % (MAX_COUNT - 1)
    return counts


def open_pieces(things: Sequence[Thing], pictures: Path, keywords: Path) -> list[Piece]:
    """Things as cut-outs with the values of their classes.

    Args:
        things: that are in no picture of ``data/clipart``.
        pictures: folder of the PNG files.
        keywords: folder of the SVG files, which tell what is public.

    Raises:
        DataError: a drawing is not public, not whole, shown elsewhere or cannot be opened.
    """
    values = {name: value for value, name in enumerate(CLASSES, start=1)}
    shown, pieces = in_clipart(pictures), []
    for thing in things:
        svg = (keywords / thing.source).with_suffix(".svg").read_text("utf-8", errors="replace")
        is_fit = is_public_domain(svg) and is_whole(svg)
        cutout = open_cutout(pictures, thing.source, _CUTOUT_SIDE)
        if not is_fit or cutout is None or sha256_file(pictures / thing.source) in shown:
            raise DataError(f"{thing.source} must not be shown: take it out of things.csv")
        pieces.append(Piece(values[thing.label], thing.source, cutout.image))
    return pieces


def ground_of(textures: Sequence[Texture], number: int) -> Ground:
    """The ground of a scene.

    Args:
        textures: one is drawn of them, or a pattern is computed.
        number: of the scene.
    """
    is_pattern, which, *draws = uniforms("ground", number, 0, 2 + NUM_DRAWS)
    if is_pattern < PATTERN_SHARE:
        return Ground(draw_pattern(np.array(draws)), "", PUBLIC_DOMAIN)
    texture = textures[int(which * len(textures))]
    return Ground(cut_texture(texture.image, np.array(draws)), texture.source, texture.licence)


def mask_png(mask: np.ndarray) -> bytes:
    """A mask of values as a PNG file with a palette, so that it can be looked at.

    Args:
        mask: 0 to the number of classes, and 255, uint8 [height, width].
    """
    image = Image.fromarray(mask).convert("P")
    image.putdata(mask.ravel().tolist())
    colours = [*_PALETTE, *[(0, 0, 0)] * (IGNORED - len(_PALETTE)), _PALETTE_IGNORED]
    image.putpalette([channel for colour in colours for channel in colour])
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def scenes(
    pools: Sequence[Sequence[Piece]], textures: Sequence[Texture]
) -> Iterator[tuple[int, str, Ground, Scene]]:
    """Number from 1 on, group, ground and scene, one after the other."""
    for place, count in enumerate(counts_of(NUM_POOLS * SCENES_PER_POOL)):
        pool, number = place // SCENES_PER_POOL, place + 1
        ground = ground_of(textures, number)
        scene = compose(ground.image, pools[pool], count, number)
        yield number, f"pool{pool:02d}", ground, scene


def make(root: Path) -> Files:
    """The contents of ``data/scenes`` by path.

    Raises:
        DataError: a package is not below ``root``.
    """
    pictures, keywords = find_package(DRAWINGS, root), find_package(KEYWORDS, root)
    textures, pools = read_textures(root), deal(read_things(), NUM_POOLS)
    pieces = [open_pieces(pool, pictures, keywords) for pool in pools]
    files: Files = {}
    rows, images, annotations = [], [], []
    for number, group, ground, scene in scenes(pieces, textures):
        picture, mask = f"pictures/{number:03d}.jpg", f"masks/{number:03d}.png"
        files[picture], files[mask] = as_jpeg(scene.picture, QUALITY), mask_png(scene.mask)
        rows.append((picture, mask, group))
        images.append(_image(number, picture, group, ground))
        for instance in scene.instances:
            value = instance.piece.value
            entry = annotation(len(annotations) + 1, number, value, instance.mask)
            about = {"visible": round(instance.visible, 4), "cutout": instance.piece.source}
            annotations.append(entry | about)
    files["labels.csv"] = csv_bytes(("path", "mask", "group"), rows)
    files["classes.csv"] = _classes()
    shown = {entry["cutout"] for entry in annotations}
    pools = [[thing for thing in pool if thing.source in shown] for pool in pools]
    files["SOURCES.csv"] = _sources(pools, pictures, textures)
    files["annotations.json"] = _annotations(images, annotations)
    return files


def _image(number: int, path: str, group: str, ground: Ground) -> dict[str, Any]:
    return {
        "id": number, "file_name": path, "width": SIDE, "height": SIDE,
        "license": 1 + list(_LICENCES).index(ground.licence), "group": group,
        "ground": ground.source,
    }  # fmt: skip


def _annotations(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> bytes:
    licences = [
        {"id": i, "name": name, "url": url}
        for i, (name, url) in enumerate(_LICENCES.items(), start=1)
    ]
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES, start=1)]
    lists = {"licenses": licences, "categories": categories, "images": images}
    return to_json({"info": _INFO, **lists, "annotations": annotations})


def _classes() -> bytes:
    rows = [(BACKGROUND, "background", "only ground is to be seen", _PALETTE[BACKGROUND])]
    rows += [(i, n, m, _PALETTE[i]) for i, (n, m) in enumerate(CLASSES.items(), start=1)]
    rows.append((IGNORED, "ignored", "a soft edge: alpha of a quarter to three", _PALETTE_IGNORED))
    lines = [(str(i), n, m, "#{:02x}{:02x}{:02x}".format(*colour)) for i, n, m, colour in rows]
    return csv_bytes(("value", "name", "meaning", "colour"), lines)


def _sources(
    pools: Sequence[Sequence[Thing]], pictures: Path, textures: Sequence[Texture]
) -> bytes:
    header = ("group", "class", "package", "version", "path", "sha256", "licence")

    def row(group: str, name: str, package: DebianPackage, *of_file: str) -> tuple[str, ...]:
        return group, name, package.name, package.version, *of_file

    rows = [
        row(f"pool{i:02d}", thing.label, DRAWINGS, thing.source,
            sha256_file(pictures / thing.source), PUBLIC_DOMAIN)
        for i, pool in enumerate(pools) for thing in pool
    ]  # fmt: skip
    rows += [row("", "ground", t.package, t.source, t.sha256, t.licence) for t in textures]
    return csv_bytes(header, rows)


if __name__ == "__main__":
    command("scenes", make)
