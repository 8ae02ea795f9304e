"""Formats of annotations by name, and what a look at a source says which it is."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from sftcore.data.annotations.coco import coco_files, read_coco
from sftcore.data.annotations.masks import mask_files, read_masks
from sftcore.data.annotations.values import AnnotationSet
from sftcore.data.annotations.voc import VocPixels, read_voc, voc_files
from sftcore.data.annotations.yolo import read_yolo, yolo_files
from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import counted, listed
from sftcore.data.sources.trees import open_tree, several_archives
from sftcore.foundations.errors import DataError

FormatName = Literal["auto", "coco", "voc", "yolo", "masks"]
Wanted = Literal["boxes", "masks"]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        files: its annotation files in a source, by a look at names and first bytes.
        noun: what these are called.
        gives: what can be made of them; masks also of outlines.
    """

    files: Callable[[Tree], list[str]]
    noun: str
    gives: frozenset[Wanted]


FORMATS: dict[str, Format] = {
    "coco": Format(coco_files, "COCO file", frozenset(("boxes", "masks"))),
    "voc": Format(voc_files, "Pascal VOC XML file", frozenset(("boxes",))),
    "yolo": Format(yolo_files, "YOLO label file", frozenset(("boxes", "masks"))),
    "masks": Format(lambda tree: mask_files(tree)[0], "mask", frozenset(("masks",))),
}


def open_annotations(
    path: Path, wanted: Wanted, name: str = "auto", *, voc_pixels: VocPixels = "from 1"
) -> AnnotationSet:
    """What the annotation files of a source say; no picture and no mask is opened.

    Args:
        path: folder of the data, or an archive.
        wanted: what is to be learnt from it.
        name: of the format, or ``auto``.
        voc_pixels: see :func:`sftcore.data.annotations.voc.read_voc`.

    Raises:
        DataError: nothing is there, the format is unknown, several fit or none, or the files cannot
            be read.
    """
    return read_annotations(whole_tree(path), wanted, name, voc_pixels=voc_pixels)


def whole_tree(path: Path) -> Tree:
    """The files below a path, seen from the top: tables and splits may lie beside the pictures.

    Raises:
        DataError: nothing is there, or a file that is no archive.
    """
    tree = replace(open_tree(path, is_searching=False), base="")
    if tree.is_single:
        raise DataError(
            f"data.path: {tree.shown()} is a table; annotated pictures are a folder or an archive"
        )
    return tree


def read_annotations(
    tree: Tree, wanted: Wanted, name: str = "auto", *, voc_pixels: VocPixels = "from 1"
) -> AnnotationSet:
    """The same of a tree.

    Args:
        tree: seen from its top.
        wanted: what is to be learnt from it.
        name: of the format, or ``auto``.
        voc_pixels: see :func:`sftcore.data.annotations.voc.read_voc`.

    Raises:
        DataError: see :func:`open_annotations`.
    """
    known = get_args(FormatName)
    if name not in known:
        raise DataError(f"data.annotations.format: {name!r} is none of {', '.join(known)}")
    chosen = choose_format(tree, wanted) if name == "auto" else name
    if wanted not in FORMATS[chosen].gives:
        able = [other for other in FORMATS if wanted in FORMATS[other].gives]
        raise DataError(
            f"data.annotations.format: {chosen} holds no {wanted}; {', '.join(able)} do"
        )
    if chosen == "voc":
        return read_voc(tree, voc_pixels)
    return {"coco": read_coco, "yolo": read_yolo, "masks": read_masks}[chosen](tree)


def fitting_formats(tree: Tree) -> dict[str, str]:
    """Formats that a source has files of, each with why in a few words."""
    found = {name: kind.files(tree) for name, kind in FORMATS.items()}
    return {
        name: f"{counted(len(files), FORMATS[name].noun)} ({listed(files, 2)})"
        for name, files in found.items()
        if files
    }


def choose_format(tree: Tree, wanted: Wanted) -> str:
    """The one format that fits.

    Args:
        tree: seen from its top.
        wanted: what is to be learnt; formats that cannot hold it are not asked.

    Raises:
        DataError: several fit, with the setting that chooses each; or none does.
    """
    found = fitting_formats(tree)
    able = {name: why for name, why in found.items() if wanted in FORMATS[name].gives}
    if len(able) == 1:
        return next(iter(able))
    if able:
        key = "data.annotations.format"
        ways = "".join(f"\n  {why}: {key}: {name}" for name, why in able.items())
        raise DataError(f"{key}: {tree.shown()} can be read in {len(able)} ways; say which:{ways}")
    if question := several_archives(tree):
        raise DataError(question)
    others = "".join(f"; {why} hold no {wanted}" for why in found.values())
    raise DataError(
        f"{tree.shown()} holds no annotations of {wanted}{others}. Known are COCO (JSON), Pascal "
        "VOC (Annotations/*.xml), YOLO (labels/*.txt with classes.txt) and masks (masks/*.png with "
        "classes.txt or labelmap.txt)"
    )
