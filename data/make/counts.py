"""``data/counts``: scenes of one to twelve cut-outs; how many they are and what they cover.

``python -m data.make.counts`` reads Debian's openclipart-png and openclipart-svg.
"""

import hashlib
from pathlib import Path

from data.make.crowds import SIDE, compose
from data.make.cutouts import Cutout, identity, read_cutout
from data.make.debian import DRAWINGS, KEYWORDS, find_package
from data.make.drawings import as_jpeg, in_clipart
from data.make.folders import Files, command, csv_bytes
from data.make.keywords import is_public_domain, is_whole
from sftcore.foundations.artifacts import sha256_file

NUM_POOLS = 80
POOL_SIZE = 5
SCENES_PER_POOL = 6
MAX_COUNT = 12
QUALITY = 85
FOLDERS = (
    "animals", "buildings", "containers", "decorations", "education", "electronics", "food",
    "office", "plants", "recreation", "science", "tools", "transportation",
)  # fmt: skip


def find_cutouts(pictures: Path, keywords: Path, num: int) -> list[Cutout]:
    """Distinct cut-outs that are not in ``data/clipart``, in the order of their paths.

    Of all, the first ``num`` in the order of sha256("counts/<path>"). Variants of a drawing have
    neighbouring paths, so that most of them come into one pool.

    Args:
        pictures: folder of the PNG files.
        keywords: folder of the SVG files, which tell what is public and whole.
        num: how many are taken.
    """
    shown = in_clipart(pictures)
    found: dict[str, Cutout] = {}
    for name in sorted(_candidates(keywords), key=_position):
        source = f"{name}.png"
        if sha256_file(pictures / source) not in shown and (cut := read_cutout(pictures, source)):
            found.setdefault(identity(cut), cut)
        if len(found) == num:
            break
    return sorted(found.values(), key=lambda cut: cut.source)


def _candidates(folder: Path) -> list[str]:
    """Paths without suffix of the whole drawings of the public domain."""
    paths = [path for name in FOLDERS for path in (folder / name).rglob("*.svg")]
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in paths}
    return [
        path.relative_to(folder).as_posix().removesuffix(".svg")
        for path, svg in texts.items()
        if is_public_domain(svg) and is_whole(svg)
    ]


def _position(name: str) -> str:
    return hashlib.sha256(f"counts/{name}".encode()).hexdigest()


def counts_of(num_scenes: int, max_count: int) -> list[int]:
    """How many cut-outs each scene has: every count equally often, in a fixed random order.

    Args:
        num_scenes: a multiple of ``max_count``.
        max_count: counts are 1 to it.
    """
    order = sorted(range(num_scenes), key=lambda number: _position(str(number)))
    counts = [0] * num_scenes
    for rank, number in enumerate(order):
        counts[number] = 1 + rank % max_count
    return counts


def make(root: Path) -> Files:
    """The contents of ``data/counts`` by path.

    Raises:
        DataError: a package is not below ``root``.
    """
    folder, keywords = find_package(DRAWINGS, root), find_package(KEYWORDS, root)
    cutouts = find_cutouts(folder, keywords, NUM_POOLS * POOL_SIZE)
    pools = [cutouts[start : start + POOL_SIZE] for start in range(0, len(cutouts), POOL_SIZE)]
    files: Files = {}
    rows = []
    for number, count in enumerate(counts_of(NUM_POOLS * SCENES_PER_POOL, MAX_COUNT)):
        pool = number // SCENES_PER_POOL
        scene = compose(pools[pool], count, number)
        path = f"pictures/{number:03d}.jpg"
        files[path] = as_jpeg(scene.picture, QUALITY)
        # Six digits: the number of covered pixels of 128 × 128 can be had back by rounding.
        rows.append((path, str(count), f"{scene.num_covered / SIDE**2:.6f}", f"pool{pool:02d}"))
    files["labels.csv"] = csv_bytes(("path", "count", "covered", "group"), rows)
    origins = [
        (f"pool{i // POOL_SIZE:02d}", cutout.source, sha256_file(folder / cutout.source))
        for i, cutout in enumerate(cutouts)
    ]
    files["SOURCES.csv"] = csv_bytes(("group", "openclipart_path", "sha256"), origins)
    return files


if __name__ == "__main__":
    command("counts", make)
