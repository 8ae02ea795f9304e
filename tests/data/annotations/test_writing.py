"""Files that are written: other tools read them, they come back the same, bytes do not differ."""

import contextlib
import io
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from sftcore.data.annotations import (
    Annotated,
    Boxes,
    Detections,
    coco_instances,
    coco_results,
    index_mask,
    open_annotations,
    voc_palette,
)
from sftcore.data.annotations.outlines import Polygons, encode_runs
from tests.data.annotations.exports import BOX_EXPORTS, photo, write
from tests.data.annotations.test_formats import judged

CLASSES = ("cat", "dög")


def pictures() -> list[Annotated]:
    stream = np.random.default_rng(5)
    found = []
    for name in ("x/a.jpg", "b.jpg", "c.jpg"):
        low = stream.uniform(0, 20, (6, 2))
        corners = np.concatenate([low, low + stream.uniform(1, 10, (6, 2))], axis=1)
        rings = [np.stack([c[[0, 2, 2]], c[[1, 1, 3]]], axis=1) for c in corners]
        runs = encode_runs(stream.random((30, 40)) < 0.5)
        outlines = (None, runs, *(Polygons((ring, ring / 2)) for ring in rings[2:]))
        names = tuple(CLASSES[k] for k in stream.integers(0, 2, 6))
        is_crowd = np.arange(6) == 1
        found.append(
            Annotated(
                name, "", (40, 30), Boxes(corners, names, is_crowd, tuple(range(6)), outlines)
            )
        )
    empty = Boxes(np.empty((0, 4)), (), np.empty(0, bool), (), ())
    return [*found, Annotated("empty.jpg", "", (40, 30), empty)]


def loaded(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_instances_that_are_written_are_read_again(tmp_path: Path) -> None:
    given = pictures()
    content = coco_instances(given, CLASSES)
    files = {one.picture: photo(place) for place, one in enumerate(given)}
    path = write(tmp_path, files | {"mine.json": content})
    found = open_annotations(path, "boxes")
    assert found.classes == CLASSES
    again, faults = judged(found)
    assert [(f.picture, f.fault) for f in faults] == [("empty.jpg", "empty picture")]
    for one in given:
        other = again[Path(one.picture).stem]
        assert one.boxes is not None
        assert other.boxes is not None
        assert (other.picture, other.size, other.boxes.names) == (
            one.picture,
            one.size,
            one.boxes.names,
        )
        np.testing.assert_allclose(other.boxes.corners, one.boxes.corners, atol=1e-7)
        np.testing.assert_array_equal(other.boxes.is_crowd, one.boxes.is_crowd)
        for ours, theirs in zip(one.boxes.outlines, other.boxes.outlines, strict=True):
            assert type(ours) is type(theirs)
            if isinstance(ours, Polygons):
                for a, b in zip(ours.rings, theirs.rings, strict=True):
                    np.testing.assert_allclose(a, b, atol=1e-7)
            elif ours is not None:
                np.testing.assert_array_equal(ours.counts, theirs.counts)
    assert coco_instances([again[Path(one.picture).stem] for one in given], CLASSES) == content
    assert len(loaded(path / "mine.json").anns) == 18


def test_pycocotools_reads_a_file_as_this_code_does(tmp_path: Path) -> None:
    path = write(tmp_path, BOX_EXPORTS["coco-label-studio"]())
    theirs = loaded(path / "result.json")
    ours, _ = judged(open_annotations(path, "boxes"))
    for image in theirs.imgs.values():
        rows = theirs.imgToAnns[image["id"]]
        boxes = ours[Path(image["file_name"]).stem].boxes
        assert boxes is not None
        assert list(boxes.numbers) == [row["id"] for row in rows]
        assert list(boxes.names) == [theirs.cats[row["category_id"]]["name"] for row in rows]


def detections() -> list[Detections]:
    corners = np.array([[1.25, 2, 11.5, 7], [0, 0, 40, 30], [1 / 3, 2, 3, 4]])
    return [
        Detections(3, corners, [2, 1, 1], np.array([0.25, 0.75, 0.25])),
        Detections(1, corners[:1].astype(np.float32), [1], np.array([0.1], dtype=np.float32)),
        Detections(2, np.empty((0, 4)), [], np.empty(0)),
    ]


def test_results_are_what_pycocotools_takes(tmp_path: Path) -> None:
    content = coco_results(detections())
    rows = json.loads(content)
    assert rows[0] == {"image_id": 3, "category_id": 1, "bbox": [0, 0, 40, 30], "score": 0.75}
    assert rows[1] == {"image_id": 3, "category_id": 2, "bbox": [1.25, 2, 10.25, 5], "score": 0.25}
    assert [row["image_id"] for row in rows] == [3, 3, 3, 1]
    assert rows[3]["score"] == pytest.approx(0.1)
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 40, "height": 30} for n in (1, 2, 3)]
    categories = [{"id": n, "name": f"c{n}"} for n in (1, 2)]
    truth = {"info": {}, "images": images, "annotations": [], "categories": categories}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_bytes(content)
    with contextlib.redirect_stdout(io.StringIO()):
        results = loaded(tmp_path / "truth.json").loadRes(str(tmp_path / "results.json"))
    assert len(results.anns) == 4


def test_results_of_nothing_are_an_empty_list() -> None:
    assert json.loads(coco_results([])) == []
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="in a file of boxes"):
            coco_results([Detections(1, np.array([[0, 0, 1, bad]]), [1], np.array([0.5]))])
        with pytest.raises(ValueError, match="in a file of boxes"):
            coco_results([Detections(1, np.array([[0, 0, 1, 1.0]]), [1], np.array([bad]))])


def test_masks_have_their_indices_as_values_and_colours_to_tell_them_apart() -> None:
    mask = np.random.default_rng(0).integers(0, 256, (21, 13)).astype(np.uint8)
    for own in (mask, np.zeros((5, 4), np.uint8), mask.T, mask[:, ::2]):
        content = index_mask(own)
        image = Image.open(BytesIO(content))
        assert image.mode == "P"
        assert set(image.info) <= {"transparency"}
        np.testing.assert_array_equal(np.asarray(image), own)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), voc_palette()[own])
        assert index_mask(own.copy()) == content


def test_the_palette_is_that_of_pascal_voc() -> None:
    """Its first colours as the development kit lists them."""
    known = [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128),
        (0, 128, 128), (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0),
        (64, 0, 128), (192, 0, 128), (64, 128, 128), (192, 128, 128), (0, 64, 0), (128, 64, 0),
        (0, 192, 0), (128, 192, 0), (0, 64, 128),
    ]  # fmt: skip
    palette = voc_palette()
    assert [tuple(colour) for colour in palette[:21].tolist()] == known
    assert palette[255].tolist() == [224, 224, 192]
    assert len({tuple(colour) for colour in palette.tolist()}) == 256


def test_masks_that_are_written_are_read_again(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], np.uint8), (30, 40))
    files = {"a.jpg": photo(1), "a.png": index_mask(mask)}
    for name, table in {
        "classes.txt": b"ground\ncat\ndog\n",
        "labelmap.txt": b"ground:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n",
    }.items():
        path = write(tmp_path / name, files | {name: table})
        again, faults = judged(open_annotations(path, "masks"))
        assert faults == []
        np.testing.assert_array_equal(again["a"].mask, mask)
