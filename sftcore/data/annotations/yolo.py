"""YOLO's text files: a line for each object, in ``labels/`` or beside the picture.

A line is ``class x y width height`` with the centre and the sides in parts of the picture's sides,
or ``class x1 y1 x2 y2 x3 y3 ...`` with a polygon. Classes are counted from 0, and their names stand
in ``data.yaml``, ``classes.txt`` or ``obj.names``.
"""

import posixpath
import re
from collections.abc import Mapping

from sftcore.data.annotations.class_tables import YOLO_TABLES, find_table
from sftcore.data.annotations.documents import number_of, read_text, shortened, whole_of
from sftcore.data.annotations.faults import MALFORMED, MALFORMED_FILE, Fault
from sftcore.data.annotations.outlines import Polygons, ring_of
from sftcore.data.annotations.pairing import (
    by_key,
    in_reading_order,
    is_below,
    key_of,
    pair,
    picture_names,
    split_by_folder,
    without_files,
)
from sftcore.data.annotations.values import AnnotationSet, Entry, Mark
from sftcore.data.kinds import Refused
from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import counted
from sftcore.foundations.errors import DataError

_FOLDERS = {"labels", "label"}
_DARKNET = re.compile(r"(^|/)obj_[^/]+_data/")  # as CVAT writes the older form
_NO_LABELS = re.compile(
    r"(classes|train|val|valid|validation|test|readme.*|license.*|notes|labelmap|requirements)\.txt",
    re.IGNORECASE,
)


def yolo_files(tree: Tree) -> list[str]:
    """Text files of a source that are labels by their place and name, sorted.

    Those in folders named ``labels``; and where there is a table of classes, those beside pictures.
    """
    texts = [
        name
        for name in tree.names()
        if name.lower().endswith(".txt") and not _NO_LABELS.fullmatch(posixpath.basename(name))
    ]
    folders = {posixpath.dirname(name) for name in picture_names(tree)}
    has_table = any(posixpath.basename(name).lower() in YOLO_TABLES for name in tree.names())
    return [
        name
        for name in texts
        if is_below(name, _FOLDERS)
        or _DARKNET.search(name)
        or (has_table and posixpath.dirname(name) in folders)
    ]


def read_yolo(tree: Tree) -> AnnotationSet:
    """What all label files of a source say.

    Args:
        tree: seen from its top.

    Raises:
        DataError: there is no such file, or no table of classes, or several that differ.
    """
    files = yolo_files(tree)
    if not files:
        raise DataError(f"{tree.shown()} holds no label of YOLO: labels/<name of a picture>.txt")
    found_table = find_table(tree, YOLO_TABLES)
    if found_table is None:
        raise DataError(
            f"{tree.shown()} has labels of YOLO and no names of their classes: add a classes.txt "
            "with a name a line, the first for class 0, or the data.yaml of the export"
        )
    table_name, table = found_table
    pictures = picture_names(tree)
    found, faults = pair(pictures, files)
    entries = []
    for file in in_reading_order(tree, list(found)):
        entry, lost = _entry(tree, file, found[file], table.names)
        faults += lost
        entries += [entry] if entry else []
    of_key = by_key(pictures)
    named = {name for file in files for name in of_key.get(key_of(file), ())}
    faults += without_files(pictures, named, "add an empty text file if nothing is on it")
    entries.sort(key=lambda entry: entry.picture)
    notes = (f"{counted(len(files), 'label file')}, classes from {table_name}",)
    classes = tuple(table.names.values())
    return AnnotationSet("yolo", tree, classes, tuple(entries), tuple(faults), notes)


def _entry(
    tree: Tree, file: str, picture: str, table: Mapping[int, str]
) -> tuple[Entry | None, list[Fault]]:
    try:
        lines = read_text(tree.reader(file)()).splitlines()
    except Refused as why:
        what = f"{why.reason}: {why.detail}"
        return None, [Fault(picture, file, "", MALFORMED_FILE, what, "picture")]
    marks: list[Mark] = []
    faults: list[Fault] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            marks.append(_mark(line.split(), number, table))
        except Refused as why:
            what = f"{why.reason}: {why.detail}"
            faults.append(Fault(picture, file, f"line {number}", MALFORMED, what, "annotation"))
    split = split_by_folder(picture) or split_by_folder(file)
    entry = Entry(
        picture, file, split, None, tuple(marks), len(faults), is_relative=True
    )  # fmt: skip
    return entry, faults


def _mark(words: list[str], number: int, table: Mapping[int, str]) -> Mark:
    """The annotation of a line."""
    class_number = whole_of(words[0])
    if class_number is None:
        raise Refused("a class that is no whole number", shortened(words[0]))
    numbers = [number_of(word) for word in words[1:]]
    if None in numbers:
        raise Refused("a coordinate that is no number", shortened(" ".join(words)))
    values = [value for value in numbers if value is not None]
    name, outline = table.get(class_number, ""), None
    if len(values) == 4:
        x, y, width, height = values
        corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    elif len(values) >= 6 and len(values) % 2 == 0:
        ring = ring_of(values)
        (left, top), (right, bottom) = ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
        corners, outline = (left, top, right, bottom), Polygons((ring,))
    else:
        raise Refused(
            "neither a box nor a polygon",
            f"{len(values)} numbers behind the class; a box has 4, a polygon 6, 8, 10 ...",
        )
    return Mark(number, corners, name, str(class_number), False, outline)
