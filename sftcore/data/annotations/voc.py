"""Pascal VOC's XML: a file for each picture, in ``Annotations/`` or beside it.

Pascal VOC counts pixels from 1 and means them inclusively: the first pixel of a row is 1, the last
W (VOC2012 development kit, section "Object Annotation"; the challenge's own evaluation computes a
width as ``xmax - xmin + 1``). In continuous coordinates such a box reaches from ``xmin - 1`` to
``xmax``. CVAT and others write the edges themselves (``xmin = left``), and nothing in a file says
which is meant. So it is a setting, and what contradicts it (a coordinate below 1, or a fraction)
is said.
"""

from collections.abc import Sequence
from math import isfinite
from pathlib import PurePosixPath
from typing import Literal
from xml.etree.ElementTree import Element

from sftcore.data.annotations.documents import clean, number_of, read_xml, shortened, whole_of
from sftcore.data.annotations.faults import (
    COORDINATE_ORIGIN,
    MALFORMED,
    MALFORMED_FILE,
    OUTWARD_NAME,
    Fault,
)
from sftcore.data.annotations.pairing import (
    by_key,
    in_reading_order,
    inner_name,
    key_of,
    listed_splits,
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
from sftcore.foundations.tables import printable

VocPixels = Literal["from 1", "edges"]
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_FIRST_BYTES = 2000


def voc_files(tree: Tree) -> list[str]:
    """XML files of a source, sorted; none if the first ones are something else than annotations."""
    found = [name for name in tree.names() if name.lower().endswith(".xml")]
    for name in found[:20]:
        try:
            if b"<annotation" in tree.reader(name)()[:_FIRST_BYTES]:
                return found
        except Refused:
            continue
    return []


def read_voc(tree: Tree, pixels: VocPixels = "from 1") -> AnnotationSet:
    """What all XML files of a source say; classes are the names that occur, sorted.

    Args:
        tree: seen from its top.
        pixels: ``from 1`` where coordinates are numbers of pixels that belong to the box, as Pascal
            VOC has it; ``edges`` where they are those of its edges, counted from 0.

    Raises:
        DataError: there is no such file, or a list of a split cannot be read.
    """
    files = voc_files(tree)
    if not files:
        raise DataError(f"{tree.shown()} holds no XML file of Pascal VOC: Annotations/<name>.xml")
    try:
        splits = listed_splits(tree)
    except Refused as why:
        raise DataError(f"{tree.shown('ImageSets')} has a list that is no text") from why
    pictures = picture_names(tree)
    documents, faults = _documents(tree, files)
    keys, more = _keys(documents, pictures)
    found, unpaired = pair(pictures, [file for file in documents if file in keys], key=keys)
    entries, others = [], []
    for file, picture in found.items():
        stem = PurePosixPath(picture).stem
        split = split_by_folder(picture) or split_by_folder(file) or splits.get(stem, "")
        entry, lost, is_other = _entry(documents[file], file, picture, split, pixels)
        entries.append(entry)
        faults += lost
        others += [file] if is_other else []
    advice = "add an XML file without an object if nothing is on it"
    faults += [*more, *unpaired, *without_files(pictures, _named(files, keys, pictures), advice)]
    if pixels == "from 1" and others:
        faults.append(_of_origin(others, len(entries)))
    classes = sorted({mark.name for entry in entries for mark in entry.marks})
    entries.sort(key=lambda entry: entry.picture)
    notes = (f"{counted(len(files), 'XML file')}, coordinates {pixels}",)
    return AnnotationSet("voc", tree, tuple(classes), tuple(entries), tuple(faults), notes)


def _documents(tree: Tree, files: Sequence[str]) -> tuple[dict[str, Element], list[Fault]]:
    documents, faults = {}, []
    for file in in_reading_order(tree, files):
        try:
            root = read_xml(tree.reader(file)())
            if root.tag != "annotation":
                raise Refused("not an annotation", f"the root is {shortened(root.tag)}")
            documents[file] = root
        except Refused as why:
            what = f"{why.reason}: {why.detail}"
            faults.append(Fault("", file, "", MALFORMED_FILE, what, "picture"))
    return documents, faults


def _keys(
    documents: dict[str, Element], pictures: Sequence[str]
) -> tuple[dict[str, str], list[Fault]]:
    """Keys of files: of their own name where a picture has it, else of the name that they give."""
    known = by_key(pictures)
    keys, faults = {}, []
    for file, root in documents.items():
        key = key_of(file)
        given = root.findtext("filename") or ""
        if key not in known and given.strip():
            try:
                key = key_of(str(PurePosixPath(file).parent / inner_name(given.strip())))
            except Refused as why:
                faults.append(Fault("", file, "", OUTWARD_NAME, clean(why.detail), "picture"))
                continue
        keys[file] = key
    return keys, faults


def _named(files: Sequence[str], keys: dict[str, str], pictures: Sequence[str]) -> set[str]:
    """Pictures that a file names, also one that cannot be read."""
    known = by_key(pictures)
    return {name for file in files for name in known.get(keys.get(file, key_of(file)), ())}


def _entry(
    root: Element, file: str, picture: str, split: str, pixels: VocPixels
) -> tuple[Entry, list[Fault], bool]:
    """The entry of a file, its faults, and whether a coordinate cannot be counted from 1."""
    marks, faults, is_other = [], [], False
    offset = 1 if pixels == "from 1" else 0
    objects = root.findall("object")
    for number, element in enumerate(objects, start=1):
        try:
            sides, name = _corners(element), _name(element)
        except Refused as why:
            what = f"{why.reason}: {why.detail}"
            where = f"annotation {number}"
            faults.append(Fault(picture, file, where, MALFORMED, what, "annotation"))
            continue
        left, top, right, bottom = sides
        is_other = is_other or any(isfinite(x) and (x < 1 or x != int(x)) for x in sides)
        is_ignored = (element.findtext("difficult") or "").strip() == "1"
        corners = left - offset, top - offset, right, bottom
        marks.append(Mark(number, corners, name, is_crowd=is_ignored))
    lost = len(objects) - len(marks)
    return Entry(picture, file, split, _size(root), tuple(marks), lost), faults, is_other


def _corners(element: Element) -> tuple[float, float, float, float]:
    box = element.find("bndbox")
    if box is None:
        raise Refused("no bndbox", "an object without a box")
    sides = []
    for side in _SIDES:
        text = (box.findtext(side) or "").strip()
        number = number_of(text)
        if number is None:
            raise Refused(f"{side} is no number", repr(shortened(text)))
        sides.append(number)
    left, top, right, bottom = sides
    return left, top, right, bottom


def _name(element: Element) -> str:
    name = clean(element.findtext("name") or "").strip()
    if not name:
        raise Refused("no name", "an object without a class")
    return name


def _size(root: Element) -> tuple[int, int] | None:
    """Some tools write 0 where they do not know it."""
    sides = [
        whole_of((root.findtext(f"size/{name}") or "").strip()) for name in ("width", "height")
    ]
    width, height = sides
    return (width, height) if width and height else None


def _of_origin(others: Sequence[str], num_files: int) -> Fault:
    what = (
        f"in {len(others)} of {counted(num_files, 'file')} one is below 1 or a fraction: if they "
        "are edges counted from 0, as CVAT writes them, set voc_pixels to edges"
    )
    return Fault("", printable(others[0]), "", COORDINATE_ORIGIN, what, "remark")
