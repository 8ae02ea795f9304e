"""``data/tags``: drawings with the keywords that people gave them, several each.

``python -m data.make.tags`` reads Debian's openclipart-png and openclipart-svg.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from data.make.debian import DRAWINGS, KEYWORDS, find_package
from data.make.drawings import (
    as_jpeg,
    in_clipart,
    num_pixels,
    on_white,
    open_drawing,
    shrink,
    spread,
)
from data.make.folders import Files, command, csv_bytes
from data.make.keywords import is_public_domain, is_whole, keywords_of, labels_of
from sftcore.foundations.artifacts import sha256_bytes, sha256_file

LABELS = (
    "animal", "education", "entertainment", "festive", "flower", "food", "fruit",
    "holiday", "mammal", "office", "people", "plant", "recreation", "sports", "tool", "toy",
    "transport", "work",
)  # fmt: skip
MAX_ALONE = 40  # pictures per label that have no other label
SIDE = 128  # pixels
QUALITY = 80
# Icons, signs, maps and geometry by the hundred, drawn by one hand each.
_FOLDERS_LEFT_OUT = ("computer/", "geography/", "shapes/", "signs_and_symbols/")
_MIN_SPREAD = 4.0  # grey values; below, the rendering is a blank sheet
_MAX_PIXELS = 50_000_000

Sources = dict[str, list[str]]  # sha256 of a JPEG file: its paths without suffix


def labelled(folder: Path) -> dict[str, set[str]]:
    """Labels of the whole drawings of the public domain that have any.

    Args:
        folder: of the SVG files.

    Returns:
        Labels by path without suffix, in the order of the paths.
    """
    found = {}
    for path in sorted(folder.rglob("*.svg")):
        name = path.relative_to(folder).as_posix().removesuffix(".svg")
        svg = path.read_text(encoding="utf-8", errors="replace")
        labels = labels_of(keywords_of(svg), LABELS)
        is_fit = is_public_domain(svg) and is_whole(svg)
        if labels and is_fit and not name.startswith(_FOLDERS_LEFT_OUT):
            found[name] = labels
    return found


def union(labels: Mapping[str, set[str]], names: list[str]) -> set[str]:
    """The labels of a drawing that lies at several paths, each with keywords of its own."""
    return set().union(*(labels[name] for name in names))


def choose(sources: Sources, labels: Mapping[str, set[str]], max_alone: int) -> Sources:
    """All drawings of several labels, and so many of a single one, in the order of their sha256.

    Args:
        sources: candidates.
        labels: by path.
        max_alone: drawings per label that have no other.
    """
    chosen: Sources = {}
    alone: Counter[str] = Counter()
    for digest in sorted(sources):
        first, *others = sorted(union(labels, sources[digest]))
        alone[first] += not others
        if others or alone[first] <= max_alone:
            chosen[digest] = sources[digest]
    return chosen


def find_sources(folder: Path, labels: Mapping[str, set[str]]) -> Sources:
    """Drawings that are not in ``data/clipart`` and are no blank sheet, doubles together.

    Args:
        folder: of the PNG files.
        labels: by path.
    """
    shown = in_clipart(folder)
    doubles: Sources = {}
    for name in labels:
        doubles.setdefault(sha256_file(folder / f"{name}.png"), []).append(name)
    sources: Sources = {}
    for digest, names in doubles.items():
        if digest in shown or num_pixels(folder / f"{names[0]}.png") > _MAX_PIXELS:
            continue
        picture = _picture(folder, names)
        if spread(picture) >= _MIN_SPREAD:
            file = as_jpeg(picture, QUALITY)
            sources.setdefault(sha256_bytes(file), []).extend(names)
    return sources


def _picture(folder: Path, names: list[str]) -> Image.Image:
    return shrink(on_white(open_drawing(folder / f"{names[0]}.png")), SIDE)


def make(root: Path) -> Files:
    """The contents of ``data/tags`` by path.

    Raises:
        DataError: a package is not below ``root``.
    """
    labels = labelled(find_package(KEYWORDS, root))
    folder = find_package(DRAWINGS, root)
    files: Files = {}
    rows, origins = [], []
    for digest, names in choose(find_sources(folder, labels), labels, MAX_ALONE).items():
        path = f"pictures/{digest[:12]}.jpg"
        files[path] = as_jpeg(_picture(folder, names), QUALITY)
        rows.append((path, "|".join(sorted(union(labels, names)))))
        origins += [(path, f"{name}.png", sha256_file(folder / f"{name}.png")) for name in names]
    files["labels.csv"] = csv_bytes(("path", "labels"), rows)
    files["SOURCES.csv"] = csv_bytes(("file", "openclipart_path", "sha256"), origins)
    return files


if __name__ == "__main__":
    command("tags", make)
