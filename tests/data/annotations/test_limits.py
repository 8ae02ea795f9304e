"""When faults stop the run, what is said then, and which boxes are the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sftcore.data.annotations import Fault, Limits, audit_table, judge_set, open_annotations
from sftcore.data.annotations.boxes import same_boxes
from sftcore.data.annotations.faults import listing
from sftcore.foundations.errors import DataError
from tests.data.annotations.exports import write
from tests.data.annotations.test_coco_faults import coco, dog, image
from tests.data.annotations.test_formats import judged


def test_too_much_stops_with_the_commonest_faults_and_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path, coco(dog(bbox=[5, 5, 0, 9])))
    found = open_annotations(path, "boxes")
    for fraction in (1 / 3, 0.4):
        judged(found, Limits(max_refused_fraction=fraction))
    with pytest.raises(DataError) as stopped:
        judged(found, Limits(max_refused_fraction=0.33))
    message = str(stopped.value)
    assert (
        "1 of 3 annotations (33%) was refused, more than data.max_refused_fraction 33% allows:"
        in message
    )
    assert "1 x box without an area: remove the annotation" in message
    assert "images/a.jpg, result.json, annotation 49: 0 x 9 at 5, 5" in message
    found = open_annotations(write(tmp_path, coco(image(1, width=9))), "boxes")
    judged(found, Limits(max_refused_fraction=0.34))
    with pytest.raises(DataError, match=r"1 of 3 pictures \(33%\) was refused"):
        judged(found, Limits(max_refused_fraction=0.3))


def test_a_set_of_which_nothing_is_left_is_an_error(tmp_path: Path) -> None:
    def empty(document: dict) -> None:
        document.update(images=[], annotations=[])

    lenient = Limits(max_refused_fraction=1.0)
    with pytest.raises(DataError, match="no annotated picture that can be used"):
        judged(open_annotations(write(tmp_path / "none", coco(empty)), "boxes"), lenient)

    def elsewhere(document: dict) -> None:
        document["images"] = [{**row, "file_name": "z.jpg"} for row in document["images"]]

    with pytest.raises(DataError, match="3 x picture missing: put the pictures where"):
        judged(open_annotations(write(tmp_path / "all", coco(elsewhere)), "boxes"), lenient)


@pytest.mark.parametrize(
    ("change", "num_pictures", "num_annotations"),
    [
        (dog(), 3, 3),
        (dog(bbox="none"), 3, 3),
        (dog(image_id=1), 3, 3),
        (dog(bbox=[0, 0, 0, 0]), 3, 3),
        (image(1, file_name="z.jpg"), 3, 2),
    ],
)
def test_what_is_counted_is_what_the_files_name(
    tmp_path: Path,
    change: Callable[[dict], object],
    num_pictures: int,
    num_annotations: int,
) -> None:
    found = open_annotations(write(tmp_path, coco(change)), "boxes")
    audit = judge_set(found, Limits(max_refused_fraction=1.0), lambda _: None)
    assert (audit.num_pictures, audit.num_annotations) == (num_pictures, num_annotations)


def test_a_long_list_of_faults_is_shortened() -> None:
    faults = [Fault(f"{n}.jpg", "x", "", f"kind {n % 7}", "", "picture") for n in range(70)]
    text = listing(faults)
    assert text.count(" x kind") == 5
    assert text.endswith("and 20 of 2 other kinds")
    assert text.count(".jpg") == 10


def test_the_table_is_one_line_each_and_no_formula() -> None:
    odd = Fault("=cmd.jpg", "b\n.xml", "", "unknown class", "+1", "annotation")
    table = audit_table([Fault("b", "x", "1", "f", "d", "remark"), odd])
    assert list(table.columns) == ["picture", "file", "where", "fault", "detail", "severity"]
    assert table.iloc[0].tolist() == [
        "'=cmd.jpg",
        "b\\x0a.xml",
        "",
        "unknown class",
        "'+1",
        "annotation",
    ]
    assert audit_table([]).empty


def test_pairs_of_same_boxes_are_those_of_all_comparisons() -> None:
    stream = np.random.default_rng(3)
    for _ in range(30):
        low = stream.uniform(0, 3, (60, 2))
        corners = np.concatenate([low, low + stream.uniform(40, 42, (60, 2))], axis=1)
        wanted = []
        for i in range(60):
            for j in range(i + 1, 60):
                (a, b, c, d), (e, f, g, h) = corners[i], corners[j]
                both = max(0, min(c, g) - max(a, e)) * max(0, min(d, h) - max(b, f))
                iou = both / ((c - a) * (d - b) + (g - e) * (h - f) - both)
                wanted += [(i, j)] if iou >= 0.95 else []
        assert same_boxes(corners) == wanted
        assert 0 < len(wanted) < 60 * 59 / 2
