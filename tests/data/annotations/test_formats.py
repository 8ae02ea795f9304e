"""Every format as its tools export it: the same boxes and pixels, in folders and in archives."""

from pathlib import Path

import numpy as np
import pytest

from sftcore.data.annotations import (
    Annotated,
    AnnotationSet,
    Fault,
    Limits,
    class_mask,
    fitting_formats,
    judge_set,
    open_annotations,
    whole_tree,
)
from sftcore.data.sources.streams import TarStream
from sftcore.foundations.errors import DataError
from tests.data.annotations import exports
from tests.data.annotations.exports import (
    BOX_EXPORTS,
    BOXES,
    HEIGHT,
    MASK_EXPORTS,
    STEMS,
    WIDTH,
    Files,
    class_pixels,
    write,
    zip_of,
)
from tests.data.layouts import tar_of

LIMITS = Limits(max_refused_fraction=0.0)


def judged(
    found: AnnotationSet, limits: Limits = LIMITS
) -> tuple[dict[str, Annotated], list[Fault]]:
    """Pictures by their stems, and the faults."""
    kept: list[Annotated] = []
    audit = judge_set(found, limits, kept.append)
    assert audit.num_used == len(kept)
    return {Path(one.picture).stem: one for one in kept}, list(audit.faults)


def placed(folder: Path, files: Files, kind: str) -> Path:
    return write(folder, files) if kind == "folder" else zip_of(folder / "set.zip", files)


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("name", BOX_EXPORTS)
def test_boxes_of_every_export(tmp_path: Path, name: str, kind: str) -> None:
    found = open_annotations(placed(tmp_path / "x", BOX_EXPORTS[name](), kind), "boxes")
    assert found.format == name.split("-")[0]
    assert sorted(found.classes) == ["cat", "dog"]
    pictures, faults = judged(found)
    assert sorted(pictures) == list(STEMS)
    for stem, one in pictures.items():
        assert one.size == (WIDTH, HEIGHT)
        assert one.mask is None
        assert one.boxes is not None
        assert list(one.boxes.names) == [own for own, _ in BOXES[stem]]
        wanted = np.array([box for _, box in BOXES[stem]], dtype=float).reshape(-1, 4)
        # YOLO's six digits of a side of 40 pixels.
        np.testing.assert_allclose(one.boxes.corners, wanted, atol=1e-4)
        assert one.boxes.corners.dtype == np.float64
        assert not one.boxes.is_crowd.any()
    # Nothing is wrong but that one picture is empty, which is said.
    assert [(f.fault, f.severity, Path(f.picture).stem) for f in faults] == [
        ("empty picture", "remark", "c")
    ]


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("name", MASK_EXPORTS)
def test_masks_of_every_export(tmp_path: Path, name: str, kind: str) -> None:
    found = open_annotations(placed(tmp_path / "x", MASK_EXPORTS[name](), kind), "masks")
    assert found.format == "masks"
    assert found.classes == ("background", "cat", "dog")
    pictures, faults = judged(found)
    assert faults == []
    assert sorted(pictures) == list(STEMS)
    for stem, one in pictures.items():
        assert one.boxes is None
        assert one.mask is not None
        assert one.mask.dtype == np.uint8
        np.testing.assert_array_equal(one.mask, class_pixels(stem))


@pytest.mark.parametrize("name", ["coco", "yolo-segments"])
def test_outlines_become_the_same_masks(tmp_path: Path, name: str) -> None:
    found = open_annotations(write(tmp_path, BOX_EXPORTS[name]()), "masks")
    pictures, _ = judged(found)
    for stem, one in pictures.items():
        mask = class_mask(one, ("background", "cat", "dog"), background=0)
        np.testing.assert_array_equal(mask, class_pixels(stem))


GIVEN_SPLITS = {
    "coco": {"train": 2, "val": 1}, "coco-label-studio": {"": 3}, "coco-cvat": {"": 3},
    "coco-original": {"train": 2, "val": 1}, "voc": {"train": 2, "val": 1},
    "voc-roboflow": {"train": 2, "val": 1}, "yolo": {"train": 2, "val": 1},
    "yolo-segments": {"train": 2, "val": 1}, "yolo-label-studio": {"": 3},
    "yolo-cvat": {"train": 2, "val": 1}, "yolo-darknet": {"": 3},
    "masks-cvat": {"": 1, "train": 2}, "masks-cvat-palette": {"": 1, "train": 2},
    "masks-roboflow": {"train": 2, "val": 1}, "masks-folders": {"train": 2, "val": 1},
    "masks-beside": {"": 3},
}  # fmt: skip


@pytest.mark.parametrize("name", GIVEN_SPLITS)
def test_splits_of_folders_and_lists_are_reported(tmp_path: Path, name: str) -> None:
    files = (BOX_EXPORTS | MASK_EXPORTS)[name]()
    wanted = "masks" if name.startswith("masks") else "boxes"
    found = open_annotations(write(tmp_path, files), wanted)
    assert found.splits == GIVEN_SPLITS[name]
    pictures, _ = judged(found)
    by_stem = {Path(entry.picture).stem: entry.split for entry in found.entries}
    assert {stem: one.split for stem, one in pictures.items()} == by_stem


@pytest.mark.parametrize("name", ["voc", "yolo", "coco-cvat", "masks-cvat"])
def test_a_compressed_archive_is_read_from_front_to_back(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {}
    for place in range(20):
        for file, content in (BOX_EXPORTS | MASK_EXPORTS)[name]().items():
            folder, slash, own = file.rpartition("/")
            is_of_one = own[:1] in STEMS and own[1:2] == "."
            many[f"{folder}{slash}{97 * place % 20}{own}" if is_of_one else file] = content
    if name.startswith("coco"):
        prefixes = [f"{97 * place % 20}" for place in range(20)]
        stems = tuple(f"{prefix}{stem}" for prefix in prefixes for stem in STEMS)
        monkeypatch.setattr(exports, "BOXES", dict.fromkeys(stems, BOXES["a"]))
        many["annotations/instances_default.json"] = exports.as_json(exports.coco_document(stems))
    path = tar_of(tmp_path / "x.tar.gz", sorted(many.items(), key=lambda file: file[0][::-1]))
    steps_back = []
    go = TarStream.seek

    def seek(stream: TarStream, place: int, *rest: int) -> int:
        steps_back.append(place < stream.tell())
        return go(stream, place, *rest)

    monkeypatch.setattr(TarStream, "seek", seek)
    found = open_annotations(path, "masks" if name.startswith("masks") else "boxes")
    pictures, _ = judged(found, Limits(max_refused_fraction=1.0))
    assert len(pictures) == 60
    assert sum(steps_back) < 12


def test_every_export_is_recognised_as_one_format(tmp_path: Path) -> None:
    for name, make in (BOX_EXPORTS | MASK_EXPORTS).items():
        tree = whole_tree(write(tmp_path / name, make()))
        assert list(fitting_formats(tree)) == [name.split("-")[0]], name


def test_two_formats_are_a_question_with_the_setting_of_each(tmp_path: Path) -> None:
    path = write(tmp_path, exports.yolo_label_studio() | exports.coco_label_studio())
    with pytest.raises(DataError) as asked:
        open_annotations(path, "boxes")
    message = str(asked.value)
    assert "can be read in 2 ways; say which:" in message
    assert "1 COCO file (result.json): data.annotations.format: coco" in message
    assert "data.annotations.format: yolo" in message
    for name in ("coco", "yolo"):
        found = open_annotations(path, "boxes", name)
        assert (found.format, len(found.entries)) == (name, 3)


def test_a_format_that_cannot_hold_what_is_wanted_is_not_chosen(tmp_path: Path) -> None:
    files = exports.voc_original() | {
        name.replace("Segment", "VOC2012/Segment"): content
        for name, content in exports.masks_cvat().items()
        if "JPEG" not in name
    }
    path = write(tmp_path / "both", files)
    assert open_annotations(path, "boxes").format == "voc"
    assert open_annotations(path, "masks").format == "masks"
    only = write(tmp_path / "only", exports.voc_original())
    with pytest.raises(
        DataError, match=r"no annotations of masks; 3 Pascal VOC XML files.*hold no masks"
    ):
        open_annotations(only, "masks")
    with pytest.raises(DataError, match="voc holds no masks; coco, yolo, masks do"):
        open_annotations(only, "masks", "voc")
    with pytest.raises(DataError, match="'bbox' is none of auto, coco"):
        open_annotations(only, "boxes", "bbox")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("coco", "no COCO file"),
        ("voc", "no XML file of Pascal VOC"),
        ("yolo", "no label of YOLO"),
        ("auto", r"no annotations of boxes\. Known are"),
    ],
)
def test_a_folder_without_annotations_says_what_would_do(
    tmp_path: Path, name: str, message: str
) -> None:
    write(tmp_path, {"images/a.jpg": b"x", "README.txt": b"x"})
    with pytest.raises(DataError, match=message):
        open_annotations(tmp_path, "boxes", name)
    with pytest.raises(DataError, match="no masks"):
        open_annotations(tmp_path, "masks", "masks")


def test_names_of_values_are_asked_for(tmp_path: Path) -> None:
    for make, gone, wanted, message in (
        (exports.masks_beside, "classes.txt", "masks", "no names of their values"),
        (exports.yolo_label_studio, "classes.txt", "boxes", "no names of their classes"),
    ):
        files = make()
        del files[gone]
        with pytest.raises(DataError, match=message):
            open_annotations(write(tmp_path / wanted, files), wanted)


def test_coordinates_of_voc_are_pixels_from_1_or_edges(tmp_path: Path) -> None:
    """The whole picture is 1, 1, W, H in Pascal VOC, and 0, 0, W, H where edges are written."""
    xml = exports.voc_xml("a").decode()
    for pixels, (first, last) in {"from 1": (1, WIDTH), "edges": (0, WIDTH)}.items():
        text = xml.replace("<xmin>1<", f"<xmin>{first}<").replace("<ymin>1<", f"<ymin>{first}<")
        text = text.replace("<xmax>10<", f"<xmax>{last}<").replace("<ymax>20<", f"<ymax>{HEIGHT}<")
        path = write(tmp_path / pixels, {"a.xml": text.encode(), "a.jpg": exports.photo(1)})
        found = open_annotations(path, "boxes", voc_pixels=pixels)
        boxes = judged(found)[0]["a"].boxes
        assert boxes is not None
        assert boxes.corners[0].tolist() == [0, 0, WIDTH, HEIGHT]
        assert boxes.corners[1].tolist() == [
            16 - (pixels == "from 1"),
            5 + (pixels == "edges"),
            40,
            30,
        ]


def test_voc_that_is_not_counted_from_1_is_said_once(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.xml": exports.voc_xml("a", offset=0), "a.jpg": exports.photo(1)})
    _, faults = judged(open_annotations(path, "boxes"))
    assert [fault.fault for fault in faults] == [
        "coordinates not counted from 1", "box partly outside the picture",
    ]  # fmt: skip
    assert "set voc_pixels to edges" in faults[0].detail
    _, faults = judged(open_annotations(path, "boxes", voc_pixels="edges"))
    assert faults == []


def test_difficult_and_crowd_are_regions_that_do_not_count(tmp_path: Path) -> None:
    xml = exports.voc_xml("a").replace(b"<difficult>0", b"<difficult>1", 1)
    found = open_annotations(
        write(tmp_path / "v", {"a.xml": xml, "a.jpg": exports.photo(1)}), "boxes"
    )
    boxes = judged(found)[0]["a"].boxes
    assert boxes is not None
    assert boxes.is_crowd.tolist() == [True, False]
    document = exports.coco_document(("a",))
    runs = {"size": [HEIGHT, WIDTH], "counts": [15 * HEIGHT + 5, 7, 25 * HEIGHT - 12]}
    document["annotations"][1] |= {"iscrowd": 1, "segmentation": runs}
    files = {"x.json": exports.as_json(document), "a.jpg": exports.photo(1)}
    one = judged(open_annotations(write(tmp_path / "c", files), "boxes"))[0]["a"]
    assert one.boxes is not None
    assert one.boxes.is_crowd.tolist() == [False, True]
    wanted = np.where(class_pixels("a") == 1, 1, 0)
    wanted[5:12, 15] = 255
    mask = class_mask(one, ("background", "cat", "dog"), background=0)
    np.testing.assert_array_equal(mask, wanted)


def test_a_borders_colour_and_value_do_not_count(tmp_path: Path) -> None:
    mask = class_pixels("a")
    mask[0, :5] = 255
    colours = tuple(exports.COLOURS) + ((9, 9, 9),) * 252 + ((224, 224, 192),)
    for table, name in (
        (exports.LABELMAP, "labelmap.txt"),
        (b"background\ncat\ndog\n", "classes.txt"),
    ):
        files = {
            name: table,
            "a.jpg": exports.photo(1),
            "a.png": exports.palette_png(mask, colours),
        }
        pictures, faults = judged(open_annotations(write(tmp_path / name, files), "masks"))
        assert faults == []
        np.testing.assert_array_equal(pictures["a"].mask, mask)


def test_a_table_of_values_with_columns_for_people_names_what_is_ignored(tmp_path: Path) -> None:
    folder = write(tmp_path / "x", {
        "images/a.jpg": exports.photo(0), "masks/a.png": exports.palette_png(class_pixels("a")),
        "classes.csv": b"value,name,meaning\n0,background,\n1,cat,purrs\n2,dog,\n255,edge,soft\n",
    })  # fmt: skip
    found = open_annotations(folder, "masks")
    assert found.classes == ("background", "cat", "dog")
    assert found.values == {0: 0, 1: 1, 2: 2}
    (folder / "classes.csv").write_bytes(b"value,name,meaning\n0,background\n")
    with pytest.raises(DataError, match="a row without 3 cells"):
        open_annotations(folder, "masks")
