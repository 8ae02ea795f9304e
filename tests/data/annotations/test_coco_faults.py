"""Every fault of a COCO file, planted into a clean set, has its line, and nothing else is said."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sftcore.data.annotations import judge_set, open_annotations
from tests.data.annotations import exports
from tests.data.annotations.exports import Files, as_json, photo, write
from tests.data.annotations.planting import AN, LENIENT, PI, RE, A, Line, lines
from tests.data.annotations.test_formats import judged
from tests.pictures import encode


def coco(change: Callable[[dict], object]) -> Files:
    """Label Studio's export with a change of its document; dog of ``a`` is annotation 49."""
    files = exports.coco_label_studio()
    document = json.loads(files["result.json"])
    change(document)
    return files | {"result.json": as_json(document)}


def dog(**fields: object) -> Callable[[dict], object]:
    return lambda document: document["annotations"][1].update(fields)


def add(**fields: object) -> Callable[[dict], object]:
    """One more annotation, on the dog of picture ``a`` unless the fields say otherwise."""

    def change(document: dict) -> None:
        like = document["annotations"][1]
        document["annotations"].append({**like, "id": 99, "segmentation": [], **fields})

    return change


def image(place: int, **fields: object) -> Callable[[dict], object]:
    return lambda document: document["images"][place].update(fields)


COCO_FAULTS: dict[str, tuple[Callable[[dict], object], list[Line]]] = {
    "outside": (dog(bbox=[40, 5, 5, 5]), [(A, "annotation 49", "box outside the picture", AN)]),
    "partly": (
        dog(bbox=[15, 5, 30, 25]),
        [(A, "annotation 49", "box partly outside the picture", RE)],
    ),
    "mostly": (
        dog(bbox=[35, 5, 30, 20]),
        [(A, "annotation 49", "box mostly outside the picture", AN)],
    ),
    "no width": (dog(bbox=[5, 5, 0, 9]), [(A, "annotation 49", "box without an area", AN)]),
    "negative": (dog(bbox=[5, 9, 4, -9]), [(A, "annotation 49", "box without an area", AN)]),
    "too small for a product": (
        dog(bbox=[-0.03, 0, 0.04, 5e-324]),
        [(A, "annotation 49", "box without an area", AN)],
    ),
    "not finite": (
        dog(bbox=[5, float("nan"), 5, 5]),
        [(A, "annotation 49", "coordinates not finite", AN)],
    ),
    "infinite": (
        dog(bbox=[5, 5, float("inf"), 5]),
        [(A, "annotation 49", "coordinates not finite", AN)],
    ),
    "huge": (
        dog(bbox=[-1e308, 5, 2e307, 5]),
        [(A, "annotation 49", "box outside the picture", AN)],
    ),
    "at the edge": (dog(bbox=[-5, 5, 5, 5]), [(A, "annotation 49", "box outside the picture", AN)]),
    "a chain of copies": (
        lambda d: (add(bbox=[15.8, 5, 24.2, 25])(d), add(bbox=[16.6, 5, 23.4, 25], id=98)(d)),
        [(A, "annotation 99", "same box twice", AN)],
    ),
    "doubled": (add(bbox=[15, 5.5, 25, 24.5]), [(A, "annotation 99", "same box twice", AN)]),
    "two classes": (
        add(bbox=[15, 5, 25, 24.5], category_id=4),
        [(A, f"annotation {n}", "same box with two classes", AN) for n in (49, 99)],
    ),
    "crowd on an object": (add(iscrowd=1, category_id=4), []),
    "two crowds": (
        lambda d: (add(iscrowd=1)(d), add(iscrowd=1, id=98)(d)),
        [(A, "annotation 98", "same box twice", AN)],
    ),
    "unknown number": (
        dog(category_id=5),
        [(A, "annotation 49", "class number not in the table", AN)],
    ),
    "text for a box": (dog(bbox="0 0 5 5"), [(A, "annotation 49", "malformed annotation", AN)]),
    "three numbers": (dog(bbox=[1, 2, 3]), [(A, "annotation 49", "malformed annotation", AN)]),
    "truth in a box": (
        dog(bbox=[1, 2, 3, True]),
        [(A, "annotation 49", "malformed annotation", AN)],
    ),
    "no category": (dog(category_id=None), [(A, "annotation 49", "malformed annotation", AN)]),
    "crowd of two": (dog(iscrowd=2), [(A, "annotation 49", "malformed annotation", AN)]),
    "two points": (
        dog(segmentation=[[1, 2, 3, 4]]),
        [(A, "annotation 49", "malformed outline", RE)],
    ),
    "runs that do not fill": (
        dog(segmentation={"size": [30, 40], "counts": [5, 6]}),
        [(A, "annotation 49", "malformed outline", RE)],
    ),
    "runs of another size": (
        dog(segmentation={"size": [40, 30], "counts": [1200]}),
        [(A, "annotation 49", "malformed outline", RE)],
    ),
    "runs that are cut": (
        dog(segmentation={"size": [30, 40], "counts": "P"}),
        [(A, "annotation 49", "malformed outline", RE)],
    ),
    "orphan": (dog(image_id=1), [("result.json", "annotation 49", "annotation of no picture", AN)]),
    "same id": (dog(id=50), [(A, "annotation 50", "id stands twice", RE)]),
    "no image id": (
        dog(image_id=[1]),
        [("result.json", "annotation 49", "malformed annotation", AN)],
    ),
    "no annotation": (
        lambda d: d["annotations"].append(7),
        [("result.json", "annotation 4 of the list", "malformed annotation", AN)],
    ),
    "missing": (
        image(1, file_name="images/z.jpg"),
        [
            ("b.jpg", "", "picture without annotations", RE),
            ("result.json", "image 893", "picture missing", PI),
        ],
    ),
    "outward": (
        image(1, file_name="images/../../b.jpg"),
        [
            ("b.jpg", "", "picture without annotations", RE),
            ("result.json", "image 893", "name leads out of the data", PI),
        ],
    ),
    "no file name": (
        image(1, file_name=3),
        [
            ("b.jpg", "", "picture without annotations", RE),
            ("result.json", "annotation 48", "annotation of no picture", AN),
            ("result.json", "image 2 of the list", "malformed annotation", PI),
        ],
    ),
    "two pictures of one id": (
        image(1, id=900),
        [
            (A, "image 900", "id stands twice", PI),
            ("result.json", "annotation 48", "annotation of no picture", AN),
            ("result.json", "image 900, images/b.jpg", "id stands twice", PI),
        ],
    ),
    "listed twice": (
        image(2, file_name="images/a.jpg"),
        [(A, "", "picture listed twice", PI), ("c.jpg", "", "picture without annotations", RE)],
    ),
    "other size": (image(0, width=41), [(A, "", "declared size is another", PI)]),
    "swapped": (image(0, width=30, height=40), [(A, "", "declared size is another", PI)]),
    "none left": (
        lambda d: (dog(bbox=[1, 1, 0, 0])(d), d["annotations"][0].update(bbox=[1])),
        [
            (A, "", "no annotation left", PI),
            (A, "annotation 49", "box without an area", AN),
            (A, "annotation 50", "malformed annotation", AN),
        ],
    ),
    "none read": (
        lambda d: [row.update(bbox=[1]) for row in d["annotations"][:2]],
        [
            (A, "", "no annotation left", PI),
            (A, "annotation 49", "malformed annotation", AN),
            (A, "annotation 50", "malformed annotation", AN),
        ],
    ),
    "not listed": (
        lambda d: d["images"].pop(),
        [("c.jpg", "", "picture without annotations", RE)],
    ),
}


@pytest.mark.parametrize("name", COCO_FAULTS)
def test_a_planted_fault_of_coco_is_found_once(tmp_path: Path, name: str) -> None:
    change, wanted = COCO_FAULTS[name]
    assert lines(tmp_path, coco(change)) == sorted(wanted)


def test_what_is_refused_is_not_among_the_boxes_and_the_rest_is(tmp_path: Path) -> None:
    for name, (change, wanted) in COCO_FAULTS.items():
        found = open_annotations(write(tmp_path / name.replace(" ", "-"), coco(change)), "boxes")
        pictures, _ = judged(found, LENIENT)
        lost = {where for picture, where, _, severity in wanted if severity == AN and picture == A}
        refused = {picture for picture, _, _, severity in wanted if severity == PI}
        assert ("a" in pictures) == (A not in refused), name
        if "a" in pictures:
            boxes = pictures["a"].boxes
            assert boxes is not None
            numbers = {f"annotation {number}" for number in boxes.numbers}
            assert numbers.isdisjoint(lost), name
            assert "annotation 50" in numbers, name
            assert np.isfinite(boxes.corners).all()
            assert (boxes.corners >= 0).all()
            assert (boxes.corners <= [40, 30, 40, 30]).all()


def test_a_clipped_box_says_by_how_much(tmp_path: Path) -> None:
    found = open_annotations(write(tmp_path, coco(dog(bbox=[15, 5, 30, 27.5]))), "boxes")
    pictures, faults = judged(found)
    assert pictures["a"].boxes is not None
    assert pictures["a"].boxes.corners[1].tolist() == [15, 5, 40, 30]
    assert faults[0].detail == (
        "5 px beyond the right, 2.5 px beyond the bottom; 75.8% of its area is inside; clipped "
        "from 15, 5, 45, 32.5 to 15, 5, 40, 30"
    )


def test_decimals_of_a_file_are_no_fault_and_more_is(tmp_path: Path) -> None:
    for beyond, wanted in ((0.01, []), (0.03, ["box partly outside the picture"])):
        found = open_annotations(
            write(tmp_path / str(beyond), coco(dog(bbox=[15, 5, 25 + beyond, 25]))), "boxes"
        )
        pictures, faults = judged(found)
        assert [f.fault for f in faults if f.picture.endswith("a.jpg")] == wanted
        assert pictures["a"].boxes is not None
        assert pictures["a"].boxes.corners[1].tolist() == [15, 5, 40, 30]


def test_classes_of_a_model_are_the_ones_that_are_known(tmp_path: Path) -> None:
    found = open_annotations(write(tmp_path, exports.coco_label_studio()), "boxes")
    audit = judge_set(found, LENIENT, lambda _: None, classes=("cat",))
    told = [(f.where, f.fault) for f in audit.faults if f.severity == AN]
    assert told == [("annotation 49", "unknown class"), ("annotation 48", "unknown class")]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_by_exif_is_seen(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = encode(Image.open(BytesIO(photo(1))), "JPEG", exif=exif)
    is_swapping = orientation >= 5
    shown = (30, 40) if is_swapping else (40, 30)
    stored = exports.coco_label_studio() | {"images/a.jpg": turned}
    wanted = [] if orientation == 1 else [(A, "", "picture is turned by EXIF", RE)]
    if is_swapping:
        wanted = [(A, "", "declared size is that before turning", PI)]
    assert lines(tmp_path / "stored", stored) == wanted
    boxes = lambda d: (  # noqa: E731
        image(0, width=shown[0], height=shown[1])(d), dog(bbox=[0, 25, 30, 5])(d),
    )  # fmt: skip
    as_shown = coco(boxes) | {"images/a.jpg": turned}
    wanted = [(A, "", "picture is turned by EXIF", RE)] if orientation in (2, 3, 4) else []
    assert lines(tmp_path / "shown", as_shown) == wanted
    # YOLO says no size.
    files = exports.yolo_label_studio() | {"images/a.jpg": turned}
    wanted = [] if orientation == 1 else [(A, "", "picture is turned by EXIF", RE)]
    assert lines(tmp_path / "yolo", files) == wanted


def test_tables_of_several_coco_files_that_differ(tmp_path: Path) -> None:
    files = exports.coco_roboflow()
    document = json.loads(files["valid/_annotations.coco.json"])
    document["categories"][0]["name"] = "hound"
    files["valid/_annotations.coco.json"] = as_json(document)
    found = open_annotations(write(tmp_path, files), "boxes")
    (fault,) = found.faults
    assert (fault.file, fault.fault, fault.severity) == (
        "valid/_annotations.coco.json", "table of classes differs", "remark",
    )  # fmt: skip
    assert "9 is 'dog' in one and 'hound' in the other" in fault.detail
