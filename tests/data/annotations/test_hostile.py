"""Files that nobody would write by accident, and damaged ones: a line or an error, and no more."""

import json
import resource
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sftcore.data.annotations import (
    Annotated,
    Limits,
    audit_table,
    judge_set,
    open_annotations,
    read_annotations,
)
from sftcore.data.annotations.documents import MAX_XML_DEPTH, read_xml
from sftcore.data.kinds import Refused
from sftcore.data.sources.files import Tree
from sftcore.foundations.errors import DataError
from tests.data.annotations import exports
from tests.data.annotations.exports import (
    BOX_EXPORTS,
    MASK_EXPORTS,
    Files,
    as_json,
    photo,
    raw_png,
    write,
    zip_of,
)
from tests.data.annotations.planting import lines
from tests.hostile.inputs import damaged

LENIENT = Limits(max_refused_fraction=1.0)


def tree_of(files: Files) -> Tree:
    """Files that lie nowhere."""
    readers = {name: lambda content=content: content for name, content in files.items()}
    return Tree(Path("set"), readers, frozenset())


def read(files: Files, wanted: str = "boxes", name: str = "auto") -> list[tuple[str, str]]:
    """Faults with their severities; every annotation is used or has one line that refuses it."""
    kept: list[Annotated] = []
    found = read_annotations(tree_of(files), wanted, name)
    audit = judge_set(found, LENIENT, kept.append)
    entries = {entry.picture: entry for entry in found.entries}
    for one in kept:
        entry = entries[one.picture]
        refused = [
            f for f in audit.faults if (f.picture, f.severity) == (one.picture, "annotation")
        ]
        if one.boxes is not None:
            left, top, right, bottom = one.boxes.corners.T
            assert len(one.boxes.names) + len(refused) == len(entry.marks) + entry.num_lost
            assert ((left >= 0) & (top >= 0) & (right > left) & (bottom > top)).all()
            assert ((right <= one.size[0]) & (bottom <= one.size[1])).all()
            assert set(one.boxes.names) <= set(found.classes)
        if one.mask is not None:
            assert one.mask.shape == one.size[::-1]
            assert set(np.unique(one.mask)) <= {*range(len(found.classes)), 255}
    used = {one.picture for one in kept}
    lost = {f.picture for f in audit.faults if f.severity == "picture"}
    assert set(entries) - used <= lost
    assert not used & lost
    audit_table(audit.faults).to_csv().encode()
    return [(fault.fault, fault.severity) for fault in audit.faults]


ENTITIES = {
    "swelling": '<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>',
    "another file": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
    "another type": '<!DOCTYPE a SYSTEM "http://localhost/a.dtd">',
    "parameters": "<!DOCTYPE a [<!ENTITY % b \"<!ENTITY c 'd'>\">%b;]>",
}


@pytest.mark.parametrize("name", ENTITIES)
def test_a_document_type_is_refused_unread(tmp_path: Path, name: str) -> None:
    xml = exports.voc_xml("a").decode().replace("<folder>x", "<folder>x&b;")
    files = exports.voc_original() | {
        "VOC2012/Annotations/a.xml": f"{ENTITIES[name]}{xml}".encode()
    }
    assert ("malformed annotation file", "picture") in read(files)
    with pytest.raises(Refused, match="unsafe XML: a document type"):
        read_xml(files["VOC2012/Annotations/a.xml"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"<annotation>",
        b"<a/><b/>",
        b"<annotation>&b;</annotation>",
        b"<a>" * 100_000,
        b"<?xml version='1.0' encoding='nothing'?><annotation/>",
        b"<?xml version='1.0' encoding='utf-7'?><annotation/>",
        b"\xff\xfe<\0",
        b"<annotation>\xff</annotation>",
        "<annotation>\ud800</annotation>".encode("utf-8", "surrogatepass"),
    ],
)
def test_what_is_no_xml_is_refused(content: bytes) -> None:
    with pytest.raises(Refused):
        read_xml(content)


def test_xml_is_as_deep_as_annotations_are() -> None:
    assert read_xml(b"<a>" * MAX_XML_DEPTH + b"</a>" * MAX_XML_DEPTH).tag == "a"
    with pytest.raises(Refused, match="nested more than"):
        read_xml(b"<a>" * (MAX_XML_DEPTH + 1) + b"</a>" * (MAX_XML_DEPTH + 1))
    utf16 = '<?xml version="1.0" encoding="utf-16"?><annotation>é</annotation>'.encode("utf-16")
    assert read_xml(utf16).text == "é"


MARKS = b'"images" "annotations" "categories"'
DOCUMENTS = {
    "deep lists": b"[" * 1_000_000 + MARKS,
    "deep objects": b'{"a":' * 1_000_000 + MARKS,
    "no JSON": MARKS,
    "bytes": MARKS + b"\xff",
    "a list": b'["images", "annotations", "categories"]',
    "texts": b'{"images": "x", "annotations": "y", "categories": "z"}',
    "objects": b'{"images": {}, "annotations": {}, "categories": {}}',
    "nothing": b'{"images": null, "annotations": [], "categories": []}',
    "twice": b'{"images": [], "annotations": [], "categories": [], "images": []}',
    "twice inside": b'{"images": [], "annotations": [{"id": 1, "id": 2}], "categories": []}',
    "long number": b'{"images": [], "annotations": [' + b"9" * 5000 + b'], "categories": []}',
    "no name": b'{"images": [], "annotations": [], "categories": [{"id": 1}]}',
    "number for a name": b'{"images": [], "annotations": [], "categories": [{"id": 1, "name": 2}]}',
    "same category": b'{"images": [], "annotations": [], "categories": '
    b'[{"id": 1, "name": "a"}, {"id": 1.0, "name": "b"}]}',
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_that_are_no_coco_stop_with_their_name(name: str) -> None:
    with pytest.raises(DataError, match=r"set/x\.json is no COCO file: "):
        read({"x.json": DOCUMENTS[name], "a.jpg": photo(1)})


ODD_VALUES = (
    *(None, True, -1, 0, 1.5, 1e308, -1e308, float("nan"), float("-inf"), 10**400, [], [1], [[]]),
    *("", "x", "1", "nan", "\ud800", "../../a.jpg", "/etc/passwd", "C:\\x.jpg", "a\0b", "\n", {}),
    *([[1e308] * 6], [None] * 4, "9" * 300, {"size": "x", "counts": None}),
    {"size": [30, 40], "counts": [10**30, -(10**30)]},
    {"size": [10**9, 10**9], "counts": [10**18]},
    {"size": [30, 40], "counts": "\U0001f600" * 5},
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.lists(
        st.tuples(
            st.sampled_from(("images", "annotations", "categories")),
            st.integers(0, 2),
            st.sampled_from(
                (
                    "id",
                    "file_name",
                    "width",
                    "height",
                    "image_id",
                    "category_id",
                    "bbox",
                    "iscrowd",
                    "segmentation",
                    "name",
                    "",
                )
            ),
            st.sampled_from(ODD_VALUES),
            st.integers(-1, 3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_value_in_any_place_is_a_line_or_an_error(changes: list) -> None:
    document = exports.coco_document(exports.STEMS)
    for part, place, field, value, inside in changes:
        rows = document[part]
        if not field or not isinstance(rows[place % len(rows)], dict):
            rows[place % len(rows)] = value
        elif (
            field == "bbox" and inside >= 0 and isinstance(rows[place % len(rows)].get(field), list)
        ):
            rows[place % len(rows)][field][inside:] = [value]
        else:
            rows[place % len(rows)] = {**rows[place % len(rows)], field: value}
    files = {f"{stem}.jpg": photo(ord(stem)) for stem in exports.STEMS}
    try:
        content = json.dumps(document).encode()
    except ValueError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for wanted in ("boxes", "masks"):
            try:
                faults = read(files | {"x.json": content}, wanted)
            except DataError as error:
                str(error).encode()
            else:
                assert all(kind and severity for kind, severity in faults)


def test_halves_of_characters_are_told_as_question_marks() -> None:
    document = exports.coco_document(("a", "b"))
    document["categories"][0]["name"] = "\ud800"
    document["images"][1]["file_name"] = "\ud800.jpg"
    document["annotations"][1]["bbox"] = [0, 0, 0, 0]
    told = read({"x.json": as_json(document), "a.jpg": photo(1)})
    assert sorted(told) == [("box without an area", "annotation"), ("picture missing", "picture")]


EVERY = {**BOX_EXPORTS, **MASK_EXPORTS}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_files_are_lines_or_errors(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(EVERY)))
    files = EVERY[name]()
    file = data.draw(st.sampled_from(sorted(files)))
    files[file] = data.draw(damaged([files[file]]) | st.binary(max_size=60))
    wanted = "masks" if name.startswith("masks") else "boxes"
    try:
        read(files, wanted, name.split("-")[0])
    except DataError as error:
        str(error).encode()


def test_names_that_lead_out_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(photo(1))
    outside = str(tmp_path / "secret.jpg")
    names = ("../secret.jpg", "x/../../secret.jpg", outside, "..\\secret.jpg", "C:\\a.jpg", "..")
    for name in (*names, "http://localhost/a.jpg"):
        document = exports.coco_document(("a", "b"))
        document["images"][0]["file_name"] = name
        files = {"result.json": as_json(document), "b.jpg": photo(2)}
        told = lines(tmp_path / "inner", files, name="coco")
        assert told == [("result.json", "image 900", "name leads out of the data", "picture")]
        path = zip_of(tmp_path / "zipped" / "x.zip", files)
        (fault,) = open_annotations(path, "boxes").faults
        assert fault.fault == "name leads out of the data"


def test_a_link_that_leads_out_is_a_picture_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(photo(1))
    path = write(tmp_path / "set", exports.coco_label_studio())
    (path / "images" / "a.jpg").unlink()
    (path / "images" / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    assert lines(path, {}) == [("a.jpg", "", "picture cannot be read", "picture")]


def test_a_picture_or_mask_of_too_many_pixels_is_not_decoded() -> None:
    files = exports.masks_beside()
    for name in ("a.jpg", "a.png"):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        told = read(files | {name: raw_png(60_000, 60_000, 8, b"x")}, "masks")
        kind = "picture cannot be read" if name == "a.jpg" else "mask cannot be read"
        assert told == [(kind, "picture")]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.timeout(60)
def test_many_annotations_of_one_picture_take_seconds() -> None:
    rows = "".join(
        f"{k % 2} {0.1 + k % 199 / 250:.6f} {0.1 + k // 199 / 250:.6f} .004 .004\n"
        for k in range(8_000)
    )
    files = exports.yolo_label_studio() | {"labels/a.txt": rows.encode()}
    assert read(files) == [("empty picture", "remark")]


def test_a_folder_of_labels_may_hold_other_texts() -> None:
    more = {
        "labels/classes.txt": b"cat\ndog\n",
        "labels/README.txt": b"hello",
        "notes/x.txt": b"hello",
    }
    assert read(exports.yolo_label_studio() | more) == [("empty picture", "remark")]
