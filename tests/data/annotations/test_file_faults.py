"""The same of Pascal VOC's and YOLO's files."""

from pathlib import Path

import pytest

from tests.data.annotations import exports
from tests.data.annotations.exports import Files, photo
from tests.data.annotations.planting import AN, PI, RE, A, Line, lines


def voc_changed(old: str, new: str) -> Files:
    files = exports.voc_original()
    text = files["VOC2012/Annotations/a.xml"].decode()
    assert old in text
    return files | {"VOC2012/Annotations/a.xml": text.replace(old, new, 1).encode()}


VOC_FAULTS: dict[str, tuple[Files, list[Line]]] = {
    "no number": (
        voc_changed("<xmin>1<", "<xmin>one<"),
        [(A, "annotation 1", "malformed annotation", AN)],
    ),
    "crossed tags": (
        voc_changed("bndbox>", "box>"),
        [("a.xml", "", "malformed annotation file", PI)],
    ),
    "no box": (
        voc_changed(
            "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>20</ymax></bndbox>", ""
        ),
        [(A, "annotation 1", "malformed annotation", AN)],
    ),
    "no name": (
        voc_changed("<name>cat<", "<name> <"),
        [(A, "annotation 1", "malformed annotation", AN)],
    ),
    "crossed": (
        voc_changed("<xmax>10<", "<xmax>0<"),
        [
            (A, "annotation 1", "box without an area", AN),
            ("a.xml", "", "coordinates not counted from 1", RE),
        ],
    ),
    "not finite": (
        voc_changed("<xmin>1<", "<xmin>nan<"),
        [
            (A, "annotation 1", "coordinates not finite", AN),
        ],
    ),
    "other size": (
        voc_changed("<width>40<", "<width>4<"),
        [(A, "", "declared size is another", PI)],
    ),
    "no size": (voc_changed("<width>40<", "<width>0<"), []),
    "cut": (voc_changed("</annotation>", ""), [("a.xml", "", "malformed annotation file", PI)]),
    "another root": (
        {
            n: c.replace(b"annotation>", b"x>") if n.endswith("a.xml") else c
            for n, c in exports.voc_original().items()
        },
        [("a.xml", "", "malformed annotation file", PI)],
    ),
    "orphan": (
        exports.voc_original()
        | {"VOC2012/Annotations/z.xml": exports.voc_xml("a", filename="z.jpg")},
        [("z.xml", "", "annotation file without a picture", PI)],
    ),
    "outward": (
        exports.voc_original()
        | {"VOC2012/Annotations/z.xml": exports.voc_xml("a", filename="../../a.jpg")},
        [("z.xml", "", "name leads out of the data", PI)],
    ),
    "picture alone": (
        exports.voc_original() | {"VOC2012/JPEGImages/z.jpg": photo(9)},
        [("z.jpg", "", "picture without annotations", RE)],
    ),
    "two pictures": (
        exports.voc_original() | {"VOC2012/JPEGImages/a.png": photo(9, "PNG")},
        [("a.xml", "", "several pictures of one name", PI)],
    ),
    "two files": (
        exports.voc_original() | {"VOC2012/JPEGImages/a.xml": exports.voc_xml("a")},
        [(A, "", "several pictures of one name", PI)],
    ),
    "broken picture": (
        exports.voc_original() | {"VOC2012/JPEGImages/a.jpg": b"no picture"},
        [(A, "", "picture cannot be read", PI)],
    ),
}


@pytest.mark.parametrize("name", VOC_FAULTS)
def test_a_planted_fault_of_voc_is_found_once(tmp_path: Path, name: str) -> None:
    files, wanted = VOC_FAULTS[name]
    assert lines(tmp_path, files) == sorted(wanted)


def test_a_file_that_names_its_picture_belongs_to_it(tmp_path: Path) -> None:
    files = exports.voc_original()
    files["VOC2012/Annotations/0001.xml"] = files.pop("VOC2012/Annotations/a.xml")
    assert lines(tmp_path, files) == []


def yolo(line: str, **more: bytes) -> Files:
    files = exports.yolo_label_studio()
    return files | {"labels/a.txt": files["labels/a.txt"] + line.encode()} | more


YOLO_FAULTS: dict[str, tuple[Files, list[Line]]] = {
    "class beyond": (yolo("2 .5 .5 .1 .1"), [(A, "line 3", "class number not in the table", AN)]),
    "class below": (yolo("-1 .5 .5 .1 .1"), [(A, "line 3", "class number not in the table", AN)]),
    "class and a half": (yolo("0.5 .5 .5 .1 .1"), [(A, "line 3", "malformed annotation", AN)]),
    "three": (yolo("\n0 .5 .5 .1"), [(A, "line 4", "malformed annotation", AN)]),
    "with a score": (yolo("0 .5 .5 .1 .1 .9"), [(A, "line 3", "malformed annotation", AN)]),
    "words": (yolo("0 .5 .5 .1 wide"), [(A, "line 3", "malformed annotation", AN)]),
    "underscores": (yolo("0 .5 .5 .1 1_0"), [(A, "line 3", "malformed annotation", AN)]),
    "not finite": (yolo("0 .5 .5 nan .1"), [(A, "line 3", "coordinates not finite", AN)]),
    "pixels": (yolo("0 20 15 4 4"), [(A, "line 3", "box outside the picture", AN)]),
    "polygon of pixels": (
        yolo("0 20 15 24 15 24 19"),
        [(A, "line 3", "box outside the picture", AN)],
    ),
    "doubled": (yolo("1 .6875 .583333 .625 .833333"), [(A, "line 3", "same box twice", AN)]),
    "bytes": (
        exports.yolo_label_studio() | {"labels/a.txt": b"0 \xff"},
        [(A, "", "malformed annotation file", PI)],
    ),
    "orphan": (
        exports.yolo_label_studio() | {"labels/z.txt": b""},
        [("z.txt", "", "annotation file without a picture", PI)],
    ),
    "picture alone": (
        exports.yolo_label_studio() | {"images/z.jpg": photo(9)},
        [("z.jpg", "", "picture without annotations", RE)],
    ),
}


@pytest.mark.parametrize("name", YOLO_FAULTS)
def test_a_planted_fault_of_yolo_is_found_once(tmp_path: Path, name: str) -> None:
    files, wanted = YOLO_FAULTS[name]
    assert lines(tmp_path, files) == sorted(wanted)
