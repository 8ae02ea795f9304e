"""COCO's JSON of instances, as COCO, CVAT, Label Studio and Roboflow write it.

``bbox`` is left, top, width, height in pixels from 0, the left edge of the first pixel being 0
(https://cocodataset.org/#format-data). Numbers of pictures and classes need no order.
"""

import posixpath
import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from sftcore.data.annotations.class_tables import difference
from sftcore.data.annotations.coco_rows import id_of, mark_of, outline_of, rows_of, size_of
from sftcore.data.annotations.documents import clean, read_json, shortened, whole_of
from sftcore.data.annotations.faults import (
    LISTED_TWICE,
    MALFORMED,
    MALFORMED_OUTLINE,
    NO_PICTURE,
    ORPHAN,
    OTHER_TABLE,
    OUTWARD_NAME,
    SAME_ID,
    Fault,
    Severity,
)
from sftcore.data.annotations.pairing import (
    inner_name,
    picture_names,
    split_by_file,
    split_by_folder,
    without_files,
)
from sftcore.data.annotations.values import AnnotationSet, Entry, Mark
from sftcore.data.kinds import Refused
from sftcore.data.sources.files import Tree
from sftcore.data.sources.items import counted, listed
from sftcore.foundations.errors import DataError
from sftcore.foundations.tables import printable

_PARTS = ("images", "annotations", "categories")
_INSTANCES = re.compile(r"instances([-_.].*)?\.json", re.IGNORECASE)


def coco_files(tree: Tree) -> list[str]:
    """Files of a source that look like COCO's, by a glance at their bytes, sorted.

    Of several sorts that describe the same pictures (instances, keypoints) those of instances.
    """
    found = []
    for name in tree.names():
        if name.lower().endswith(".json"):
            try:
                content = tree.reader(name)()
            except Refused:
                continue
            if all(f'"{part}"'.encode() in content for part in _PARTS):
                found.append(name)
    instances = [name for name in found if _INSTANCES.fullmatch(posixpath.basename(name))]
    return instances or found


def read_coco(tree: Tree) -> AnnotationSet:
    """What all COCO files of a source say.

    Args:
        tree: seen from its top.

    Raises:
        DataError: there is no such file, or one is not what COCO describes.
    """
    files = coco_files(tree)
    if not files:
        raise DataError(
            f"{tree.shown()} holds no COCO file: JSON with images, annotations and categories"
        )
    read = [_File(tree, name) for name in files]
    entries, faults = _joined(read)
    pictures = picture_names(tree)
    faults += _other_tables(read)
    advice = "list it among the images if nothing is on it"
    faults += without_files(pictures, {name for file in read for name in file.listed}, advice)
    classes: dict[str, None] = {}
    for file in read:
        classes |= dict.fromkeys(file.table.values())
    notes = (f"{counted(len(files), 'COCO file')}: {listed(files)}",)
    return AnnotationSet("coco", tree, tuple(classes), tuple(entries), tuple(faults), notes)


def _joined(files: list["_File"]) -> tuple[list[Entry], list[Fault]]:
    """Entries of all files; pictures that stand in several places are refused."""
    places: dict[str, list[Entry]] = defaultdict(list)
    faults: list[Fault] = []
    for file in files:
        faults += file.faults
        for entry in file.entries():
            places[entry.picture].append(entry)
    entries = []
    for name in sorted(places):
        if len(places[name]) > 1:
            where = sorted({entry.file for entry in places[name]})
            what = f"{len(places[name])} times, in {listed(where)}"
            faults.append(Fault(name, where[0], "", LISTED_TWICE, what, "picture"))
        else:
            entries += places[name]
    return entries, faults


def _other_tables(files: list["_File"]) -> list[Fault]:
    first = files[0]
    return [
        Fault(
            "", file.name, "", OTHER_TABLE,
            f"from that of {first.name}: {difference(first.table, file.table)}; classes are told "
            "by their names", "remark",
        )
        for file in files[1:]
        if file.table != first.table
    ]  # fmt: skip


@dataclass
class _Row:
    """A picture of the file, while its annotations are gathered."""

    picture: str
    size: tuple[int, int] | None
    marks: list[Mark] = field(default_factory=list)
    num_lost: int = 0


class _File:
    """One COCO file.

    Args:
        tree: that holds it.
        name: of the file.

    Raises:
        DataError: it is not what COCO describes.
    """

    def __init__(self, tree: Tree, name: str) -> None:
        self.name, self.faults = name, []  # type: str, list[Fault]
        self.listed: set[str] = set()  # pictures of the source that the file names
        self._tree = tree
        try:
            document = read_json(tree.reader(name)())
            images, annotations, categories = (rows_of(document, part) for part in _PARTS)
            self.table = self._categories(categories)
        except Refused as why:
            raise DataError(
                f"{tree.shown(name)} is no COCO file: {why.reason}: {printable(why.detail)}. "
                "Export it anew"
            ) from why
        self._images: dict[int | str, _Row | None] = {}  # None for pictures that are refused
        for number, image in enumerate(images, start=1):
            self._add_image(image, number)
        seen: set[int | str] = set()
        for number, annotation in enumerate(annotations, start=1):
            self._add_annotation(annotation, number, seen)

    def entries(self) -> list[Entry]:
        """The pictures of the file that are there."""
        split = split_by_file(self.name)
        return [
            Entry(
                row.picture, self.name, split_by_folder(row.picture) or split, row.size,
                tuple(row.marks), row.num_lost,
            )
            for row in self._images.values()
            if row is not None
        ]  # fmt: skip

    def _fault(self, picture: str, where: str, fault: str, detail: str, severity: Severity) -> None:
        self.faults.append(Fault(picture, self.name, where, fault, detail, severity))

    def _categories(self, rows: list[Any]) -> dict[int, str]:
        table: dict[int, str] = {}
        for row in rows:
            number = whole_of(row.get("id")) if isinstance(row, dict) else None
            if number is None or not isinstance(row.get("name"), str) or not row["name"].strip():
                raise Refused("a category without a number and a name", shortened(row))
            if number in table:
                raise Refused("two categories of one number", f"{number}")
            table[number] = clean(row["name"]).strip()
        return dict(sorted(table.items()))

    def _add_image(self, image: Any, number: int) -> None:
        where = f"image {number} of the list"
        key = id_of(image.get("id")) if isinstance(image, dict) else None
        given = image.get("file_name") if isinstance(image, dict) else None
        if key is None or not isinstance(given, str) or not given:
            self._fault("", where, MALFORMED, "no id and file_name", "picture")
            return
        where, shown = f"image {shortened(key)}", clean(given)
        if key in self._images:
            self._fault("", f"{where}, {shown}", SAME_ID, "that of another picture", "picture")
            if (earlier := self._images[key]) is not None:  # nobody knows whose annotations are
                what = f"that of {shown} too"
                self._fault(earlier.picture, where, SAME_ID, what, "picture")
            self._images[key] = None
            with suppress(Refused):
                self.listed.add(self._resolve(given))
            return
        try:
            picture = self._resolve(given)
        except Refused:
            self._fault("", where, OUTWARD_NAME, shown, "picture")
            self._images[key] = None
            return
        if not picture:
            self._fault("", where, NO_PICTURE, f"no file {shortened(shown, 200)}", "picture")
            self._images[key] = None
            return
        self.listed.add(picture)
        self._images[key] = _Row(picture, size_of(image))

    def _resolve(self, given: str) -> str:
        """The picture of a name: beside the file, or where the tools put it; empty for none."""
        name = inner_name(given)
        folder = posixpath.dirname(self.name)
        subset = re.sub(r"^instances[-_.]?", "", posixpath.basename(self.name)[: -len(".json")])
        for base in dict.fromkeys((folder, posixpath.dirname(folder))):
            for inside in ("", "images", f"images/{subset}", subset, "data"):
                path = posixpath.normpath(posixpath.join(base, inside, name))
                if path in self._tree.files:
                    return path
        return ""

    def _add_annotation(self, row: Any, number: int, seen: set[int | str]) -> None:
        key = id_of(row.get("id")) if isinstance(row, dict) else None
        where = (
            f"annotation {number} of the list" if key is None else f"annotation {shortened(key)}"
        )
        image = id_of(row.get("image_id")) if isinstance(row, dict) else None
        if image is None:
            self._fault("", where, MALFORMED, "no image_id", "annotation")
            return
        if image not in self._images:
            what = f"image_id {shortened(image)} is in no image"
            self._fault("", where, ORPHAN, what, "annotation")
            return
        if (picture := self._images[image]) is None:
            return  # refused with its picture
        if key is not None and key in seen:
            self._fault(picture.picture, where, SAME_ID, "that of another annotation", "remark")
        if key is not None:
            seen.add(key)
        try:
            mark = mark_of(row, key if isinstance(key, int) else number, self.table)
        except Refused as why:
            picture.num_lost += 1
            what = f"{why.reason}: {why.detail}"
            self._fault(picture.picture, where, MALFORMED, what, "annotation")
            return
        try:
            picture.marks.append(replace(mark, outline=outline_of(row.get("segmentation"))))
        except Refused as why:
            picture.marks.append(mark)
            what = f"{why.reason}: {why.detail}; the box alone is used"
            self._fault(picture.picture, where, MALFORMED_OUTLINE, what, "remark")
