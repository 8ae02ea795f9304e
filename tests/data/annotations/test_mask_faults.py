"""The same of masks, and of tables that say what values mean."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sftcore.data.annotations import open_annotations
from sftcore.data.annotations.mask_pixels import to_indices
from sftcore.foundations.errors import DataError
from tests.data.annotations import exports
from tests.data.annotations.exports import Files, class_pixels, photo, raw_png, write
from tests.data.annotations.planting import LENIENT, PI, RE, A, Line, lines
from tests.data.annotations.test_formats import judged
from tests.pictures import encode


def mask_png(change: Callable[[np.ndarray], object] = lambda mask: None) -> bytes:
    mask = class_pixels("a")
    change(mask)
    return encode(Image.fromarray(mask))


def painted(colour: tuple[int, int, int]) -> bytes:
    image = Image.fromarray(np.array(exports.COLOURS, dtype=np.uint8)[class_pixels("a")])
    image.paste(colour, (0, 0, 3, 2))
    return encode(image)


GREY = class_pixels("a")
MASK_FAULTS: dict[str, tuple[Files, list[Line]]] = {
    "values": (
        {
            "train/a_mask.png": mask_png(
                lambda m: (m.__setitem__((0, slice(0, 3)), 7), m.__setitem__((1, 1), 9))
            )
        },
        [
            ("a.jpg", "value 7", "unknown mask value", PI),
            ("a.jpg", "value 9", "unknown mask value", PI),
        ],
    ),
    "size": (
        {"train/a_mask.png": encode(Image.fromarray(GREY.T.copy()))},
        [(A, "", "mask of another size", PI)],
    ),
    "16 bits": (
        {"train/a_mask.png": encode(Image.fromarray(GREY.astype(np.uint16)))},
        [(A, "", "mask of a wrong mode", PI)],
    ),
    "1 bit": (
        {"train/a_mask.png": encode(Image.fromarray(GREY > 0))},
        [(A, "", "mask of a wrong mode", PI)],
    ),
    "colours": (
        {"train/a_mask.png": exports.colour_png(GREY)},
        [(A, "", "mask of a wrong mode", PI)],
    ),
    "transparent": (
        {"train/a_mask.png": encode(Image.fromarray(GREY).convert("LA"))},
        [(A, "", "mask of a wrong mode", PI)],
    ),
    "jpeg": (
        {"train/a_mask.png": encode(Image.fromarray(GREY), "JPEG")},
        [(A, "", "mask of a wrong mode", PI)],
    ),
    "no picture": ({"train/a_mask.png": b"x"}, [(A, "", "mask cannot be read", PI)]),
    "cut": ({"train/a_mask.png": mask_png()[:-30]}, [(A, "", "mask cannot be read", PI)]),
    "orphan": (
        {"masks/z.png": mask_png()},
        [("z.png", "", "annotation file without a picture", PI)],
    ),
    "picture alone": (
        {"train/z.jpg": photo(9)},
        [("z.jpg", "", "picture without annotations", RE)],
    ),
}


@pytest.mark.parametrize("name", MASK_FAULTS)
def test_a_planted_fault_of_masks_is_found_once(tmp_path: Path, name: str) -> None:
    more, wanted = MASK_FAULTS[name]
    assert lines(tmp_path, exports.masks_roboflow() | more, "masks") == sorted(wanted)


def test_grey_of_4_bits_is_refused_and_not_stretched(tmp_path: Path) -> None:
    png = raw_png(40, 30, 4, zlib.compress(bytes(21 * 30)))
    files = exports.masks_roboflow() | {"train/a_mask.png": png}
    assert lines(tmp_path, files, "masks") == [(A, "", "mask of a wrong mode", PI)]


def test_colours_that_are_not_in_the_table_are_counted(tmp_path: Path) -> None:
    files = exports.masks_cvat() | {"SegmentationClass/a.png": painted((250, 50, 84))}
    found = open_annotations(write(tmp_path, files), "masks")
    pictures, faults = judged(found, LENIENT)
    assert sorted(pictures) == ["b", "c"]
    (fault,) = faults
    assert (fault.fault, fault.where) == ("colour not in the table", "colour 250,50,84")
    assert fault.detail == "6 of 1200 pixels"
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    files["SegmentationClass/a.png"] = encode(Image.fromarray(noise))
    _, faults = judged(open_annotations(write(tmp_path, files), "masks"), LENIENT)
    assert len(faults) == 11
    assert faults[-1].where.endswith("other values")
    assert sum(int(fault.detail.split()[0]) for fault in faults) == 1200


@pytest.mark.parametrize(
    ("files", "wanted", "message"),
    [
        (
            exports.yolo_roboflow() | {"classes.txt": b"dog\ncat\n"},
            "boxes",
            "0 is 'dog' in one and 'cat'",
        ),
        (exports.yolo_label_studio() | {"classes.txt": b"cat\ncat\n"}, "boxes", "stands twice"),
        (exports.yolo_label_studio() | {"classes.txt": b"\n\n"}, "boxes", "no table of classes"),
        (exports.yolo_roboflow() | {"data.yaml": b"names: 3"}, "boxes", "no names in it"),
        (
            exports.yolo_roboflow() | {"data.yaml": b"names: {x: cat}"},
            "boxes",
            "a number that is none",
        ),
        (
            exports.yolo_roboflow() | {"data.yaml": b"names: [[cat]]"},
            "boxes",
            "a name that is none",
        ),
        (exports.yolo_roboflow() | {"data.yaml": b"[" * 5000}, "boxes", "not YAML"),
        (exports.masks_cvat() | {"labelmap.txt": b"cat:1,2\n"}, "masks", "without name:r,g,b"),
        (
            exports.masks_cvat() | {"labelmap.txt": b"cat:1,2,300::\n"},
            "masks",
            "a colour that is none",
        ),
        (
            exports.masks_cvat() | {"labelmap.txt": b"cat:1,2,3::\ndog:1,2,3::"},
            "masks",
            "colour stands twice",
        ),
        (
            exports.masks_folders() | {"classes.csv": b"name,r,g,b\ncat,1,2\n"},
            "masks",
            "without 4 cells",
        ),
        (
            exports.masks_beside() | {"classes.txt": b"\n".join(b"c%d" % n for n in range(256))},
            "masks",
            "255 fit",
        ),
        (
            exports.masks_roboflow()
            | {"train/_classes.csv": b"Pixel Value, Class\n0, background\n1, dog\n2, cat\n"},
            "masks",
            "1 is 'dog' in one and 'cat' in the other",
        ),
    ],
)
def test_tables_that_cannot_be_are_errors(
    tmp_path: Path, files: Files, wanted: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        open_annotations(write(tmp_path, files), wanted)


def test_unknown_values_are_counted_and_do_not_count() -> None:
    found = np.array([[5, 9, 255], [9, 3, 7]])
    mask, unknown = to_indices(found, {5: 0, 3: 1}, is_coloured=False)
    assert mask.tolist() == [[0, 255, 255], [255, 1, 255]]
    assert list(unknown.items()) == [(9, 2), (7, 1)]


def test_values_with_gaps_become_indices_in_order(tmp_path: Path) -> None:
    files = exports.masks_roboflow()
    for split in ("train", "valid"):
        files[f"{split}/_classes.csv"] = b"Pixel Value, Class\n200, dog\n0, background\n10, cat\n"
    for name in [name for name in files if name.endswith("_mask.png")]:
        stem = Path(name).stem[0]
        values = np.array([0, 10, 200], dtype=np.uint8)[class_pixels(stem)]
        files[name] = encode(Image.fromarray(values))
    found = open_annotations(write(tmp_path, files), "masks")
    assert found.classes == ("background", "cat", "dog")
    pictures, faults = judged(found)
    assert faults == []
    np.testing.assert_array_equal(pictures["a"].mask, class_pixels("a"))
