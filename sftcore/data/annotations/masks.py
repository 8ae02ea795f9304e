"""Masks as pictures: a file of indices or of colours for each picture.

They lie in ``masks/`` or ``SegmentationClass/``, or beside the picture: as ``a_mask.png``, or as
``a.png`` beside ``a.jpg``. A table says what their values mean. With a table of colours a palette's
colours count and not its indices.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from sftcore.data.annotations.class_tables import MASK_TABLES, ClassTable, find_table
from sftcore.data.annotations.pairing import (
    MASK_FOLDERS,
    by_key,
    is_below,
    key_of,
    listed_splits,
    pair,
    picture_names,
    split_by_folder,
    without_files,
)
from sftcore.data.annotations.values import MAX_CLASSES, AnnotationSet, Entry
from sftcore.data.kinds import Refused
from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import counted
from sftcore.data.sources.names import is_example_name
from sftcore.foundations.errors import DataError
from sftcore.foundations.masks import IGNORED

_ENDING = "_mask"
_PHOTO_SUFFIXES = (".jpg", ".jpeg")
_MASK_SUFFIX = ".png"


def mask_files(tree: Tree) -> tuple[list[str], list[str]]:
    """Masks and pictures of a source, by place and name, both sorted."""
    in_folders = [
        name
        for name in tree.names()
        if is_below(name, MASK_FOLDERS) and is_example_name(name, tree.sought.names)
    ]
    others = picture_names(tree)
    of_key = by_key(others)
    beside = [name for name in others if _is_mask_beside(name, of_key)]
    aside = set(beside)
    return sorted([*in_folders, *beside]), [name for name in others if name not in aside]


def _is_mask_beside(name: str, of_key: dict[str, list[str]]) -> bool:
    key = key_of(name)
    if key.endswith(_ENDING):
        return bool(of_key.get(key.removesuffix(_ENDING)))
    is_photo_there = any(other.lower().endswith(_PHOTO_SUFFIXES) for other in of_key[key])
    return name.lower().endswith(_MASK_SUFFIX) and is_photo_there


def read_masks(tree: Tree) -> AnnotationSet:
    """Which mask belongs to which picture, and what the values mean; no mask is opened.

    Args:
        tree: seen from its top.

    Raises:
        DataError: there is no mask, no table of classes, or several that differ.
    """
    masks, pictures = mask_files(tree)
    if not masks:
        raise DataError(
            f"{tree.shown()} holds no masks: masks/<name of a picture>.png, or "
            "<name>_mask.png beside it"
        )
    found_table = find_table(tree, MASK_TABLES)
    if found_table is None:
        raise DataError(
            f"{tree.shown()} has masks and no names of their values: add a classes.txt with a "
            "name a line, the first for value 0, or a labelmap.txt of lines name:r,g,b::"
        )
    table_name, table = found_table
    values = _values(tree, table_name, table)
    try:
        splits = listed_splits(tree)
    except Refused as why:
        raise DataError(f"{tree.shown('ImageSets')} has a list that is no text") from why
    keys = _keys(masks, pictures)
    found, faults = pair(pictures, masks, key=keys)
    entries = [
        Entry(
            picture, mask, split_by_folder(picture) or splits.get(PurePosixPath(picture).stem, ""),
            mask=mask,
        )
        for mask, picture in sorted(found.items(), key=lambda pair: pair[1])
    ]  # fmt: skip
    of_key = by_key(pictures)
    named = {name for mask in masks for name in of_key.get(keys.get(mask, key_of(mask)), ())}
    faults += without_files(pictures, named, "add a mask of one value if nothing is on it")
    kind = "colours" if table.is_coloured else "values"
    notes = (f"{counted(len(masks), 'mask')} of {kind} from {table_name}",)
    return AnnotationSet(
        "masks", tree, tuple(table.names.values()), tuple(entries), tuple(faults), notes,
        values, table.is_coloured,
    )  # fmt: skip


def _keys(masks: Sequence[str], pictures: Sequence[str]) -> dict[str, str]:
    """Keys of masks without the ending where a picture has the name without it."""
    known = by_key(pictures)
    keys = {}
    for mask in masks:
        key = key_of(mask)
        shorter = key.removesuffix(_ENDING)
        keys[mask] = shorter if key not in known and shorter in known else key
    return keys


def _values(tree: Tree, name: str, table: ClassTable) -> dict[int, int]:
    """Index of the class by pixel value or packed colour."""
    if len(table.names) > MAX_CLASSES:
        raise DataError(f"{tree.shown(name)} has {len(table.names)} classes, {MAX_CLASSES} fit")
    if not table.is_coloured and max(table.names) >= IGNORED:
        raise DataError(
            f"{tree.shown(name)}: value {max(table.names)} cannot be a class. Masks have 8 bits, "
            f"and {IGNORED} is for pixels that do not count"
        )
    return {value: index for index, value in enumerate(table.names)}
