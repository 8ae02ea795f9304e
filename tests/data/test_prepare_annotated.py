"""From annotated pictures to a store: what is on the squares, what is refused and said."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from sftcore.data.pictures.annotated import NO_BOX, AnnotatedKind
from sftcore.data.pictures.decode import fit_square
from sftcore.data.prepare import prepare
from sftcore.data.store import Store, open_store
from sftcore.data.targets.target import Target
from sftcore.foundations.errors import DataError
from sftcore.foundations.masks import IGNORED
from tests.conftest import DECODING, PREPARE
from tests.data.annotations.planting import LENIENT
from tests.data.test_prepare import digest
from tests.pictures import draw, encode

NUM = 24
COLOURS = {"cat": (255, 0, 0), "dog": (0, 0, 255)}
ORIENTATION = 0x0112
SPLITS = ("train", "val", "test")
Box = tuple[str, int, int, int, int]


@dataclass(frozen=True)
class Photo:
    """A picture with rectangles of their classes' colours: class, left, top, right, bottom."""

    seed: int
    size: tuple[int, int] = (40, 30)
    boxes: tuple[Box, ...] = ()
    crowds: tuple[int, ...] = ()

    @property
    def image(self) -> Image.Image:
        image = draw("other", self.seed).resize(self.size)
        for name, *corners in self.boxes:
            image.paste(COLOURS[name], tuple(corners))  # type: ignore[arg-type]
        return image


def photos() -> dict[str, Photo]:
    """The first shows nothing, the others a cat, and every second of them a dog as well."""
    found = {}
    for number in range(NUM):
        stream = np.random.default_rng(number)
        left, top = stream.integers(0, 8, 2).tolist()
        boxes: list[Box] = [("cat", left, top, left + 10, top + 14)]
        if number % 2:
            boxes.append(("dog", 20 + left, top, 32 + left, top + 20))
        size = (40, 30) if number % 3 else (40, 60)  # oblong either way
        found[f"{number:02d}.png"] = Photo(number, size, tuple(boxes[: number and 2]))
    return found


def coco(of: Mapping[str, Photo], classes: tuple[str, ...] = ("dog", "cat", "bird")) -> dict:
    images, annotations = [], []
    for number, (name, photo) in enumerate(of.items()):
        width, height = photo.size
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for place, (label, x0, y0, x1, y1) in enumerate(photo.boxes):
            annotations.append({
                "id": len(annotations), "image_id": number, "category_id": classes.index(label),
                "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0),
                "iscrowd": int(place in photo.crowds),
                "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
            })  # fmt: skip
    categories = [{"id": n, "name": name} for n, name in enumerate(classes)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(root: Path, of: Mapping[str, Photo], document: dict | None = None) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, photo in of.items():
        kind = "JPEG" if name.endswith(".jpg") else "PNG"
        (root / name).write_bytes(encode(photo.image, kind))
    (root / "instances.json").write_text(json.dumps(document or coco(of)))
    return root


def write_masks(root: Path, of: Mapping[str, Photo]) -> Path:
    """Masks of the rectangles; the first row of every picture is nobody's."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("background\ncat\ndog\n")
    for name, photo in of.items():
        (root / "images" / name).write_bytes(encode(photo.image))
        mask = np.zeros(photo.size[::-1], dtype=np.uint8)
        for label, left, top, right, bottom in photo.boxes:
            mask[top:bottom, left:right] = 1 + [*COLOURS].index(label)
        mask[0] = IGNORED
        (root / "masks" / name).write_bytes(encode(Image.fromarray(mask)))
    return root


def write_voc(root: Path, of: Mapping[str, Photo]) -> Path:
    for folder in ("JPEGImages", "Annotations"):
        (root / folder).mkdir(parents=True)
    for name, photo in of.items():
        (root / "JPEGImages" / name).write_bytes(encode(photo.image))
        objects = "".join(
            f"<object><name>{label}</name><difficult>{int(place in photo.crowds)}</difficult>"
            f"<bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax>"
            f"<ymax>{y1}</ymax></bndbox></object>"
            for place, (label, x0, y0, x1, y1) in enumerate(photo.boxes)
        )
        width, height = photo.size
        (root / "Annotations" / f"{name[:-4]}.xml").write_text(
            f"<annotation><filename>{name}</filename><size><width>{width}</width><height>{height}"
            f"</height><depth>3</depth></size>{objects}</annotation>"
        )
    return root


def prepared(path: Path, output: Path, target: str = "boxes", **changes: Any) -> dict[str, Any]:
    own = {
        "source": "auto", "kind": AnnotatedKind(DECODING, has_masks=target == "masks"),
        "target": Target(kind=target), "path": path, "output": output,  # type: ignore[arg-type]
    }  # fmt: skip
    return prepare(**PREPARE | own | changes)  # type: ignore[arg-type]


def opened(path: Path, tmp_path: Path, target: str = "boxes", **changes: Any) -> Store:
    prepared(path, tmp_path / "out", target, **changes)
    return open_store(tmp_path / "out", SPLITS)


def in_square(photo: Photo) -> list[list[float]]:
    """Boxes in the square of 32 pixels, in which the longer side fills it."""
    width, height = photo.size
    scale = 32 / max(photo.size)
    shown = round(width * scale), round(height * scale)
    scales = shown[0] / width, shown[1] / height
    left, top = (32 - shown[0]) // 2, (32 - shown[1]) // 2
    return [
        [x0 * scales[0] + left, y0 * scales[1] + top, x1 * scales[0] + left, y1 * scales[1] + top]
        for _, x0, y0, x1, y1 in photo.boxes
    ]


def content(photo: Photo) -> np.ndarray:
    """Which pixels of the square the picture fills, bool [32, 32]."""
    white = Image.new("RGB", photo.size, (1, 2, 3))
    return (fit_square(white, 32, (255,) * 3) == (1, 2, 3)).all(axis=2)  # type: ignore[arg-type]


def rows_of(store: Store) -> dict[str, int]:
    """Rows by the names of the pictures' files."""
    names = [Path(name).name for name in store.samples["id"]]
    return dict(zip(names, store.samples["row"].tolist(), strict=True))


@pytest.mark.parametrize("write", [write_coco, write_voc])
def test_boxes_lie_where_they_are_on_the_square(
    write: Callable[[Path, Mapping[str, Photo]], Path], tmp_path: Path
) -> None:
    of = photos()
    of["05.png"] = Photo(5, (40, 30), of["05.png"].boxes, crowds=(1,))
    store = opened(write(tmp_path / "set", of), tmp_path)
    assert sorted(store.names) == ["cat", "dog"]
    assert store.targets.shape == (NUM, 2, 6)
    assert store.targets.dtype == np.float32
    labels = dict(zip(store.samples["row"], store.samples["labels"], strict=True))
    for name, row in rows_of(store).items():
        own = store.targets[row]
        shown = own[own[:, 4] >= 0]
        np.testing.assert_allclose(
            shown[:, :4], np.array(in_square(of[name])).reshape(-1, 4), atol=1e-4
        )
        assert [store.names[int(k)] for k in shown[:, 4]] == [box[0] for box in of[name].boxes]
        assert [*np.flatnonzero(shown[:, 5])] == [*of[name].crowds]
        assert all((each == NO_BOX).all() for each in own[len(shown) :])
        said = {box[0] for place, box in enumerate(of[name].boxes) if place not in of[name].crowds}
        assert json.loads(labels[row]) == sorted(said)
        np.testing.assert_array_equal(store.images[row], fit_square(of[name].image, 32, (255,) * 3))


@pytest.mark.parametrize("write", [write_coco, write_masks])
def test_masks_lie_where_the_colours_are(
    write: Callable[[Path, Mapping[str, Photo]], Path], tmp_path: Path
) -> None:
    of = photos()
    store = opened(write(tmp_path / "set", of), tmp_path, "masks")
    assert sorted(store.names) == ["background", "cat", "dog"]
    assert store.targets.shape == (NUM, 32, 32)
    assert store.targets.dtype == np.uint8
    for name, row in rows_of(store).items():
        mask, is_shown = store.targets[row], content(of[name])
        assert (mask[~is_shown] == IGNORED).all()
        ignored = is_shown & (mask == IGNORED)
        if write is write_coco:
            assert not ignored.any()
        else:  # the first row of the picture, which is one of the square
            assert len(np.unique(np.nonzero(ignored)[0])) == 1
            assert ignored.sum() == is_shown.any(axis=0).sum()
            assert np.nonzero(ignored)[0][0] == np.nonzero(is_shown)[0][0]
    check_colours(store)


def check_colours(store: Store) -> None:
    """Masks name a class where its colour is, and nowhere else."""
    compared = 0
    for mask, image in zip(store.targets, store.images.astype(int), strict=True):
        for label, colour in COLOURS.items():
            is_seen = abs(image - colour).sum(axis=2) < 60
            inner = mask[ndimage.binary_erosion(is_seen, np.ones((3, 3))) & (mask != IGNORED)]
            assert (inner == store.names.index(label)).all()
            far = ~ndimage.binary_dilation(is_seen, np.ones((3, 3)), iterations=2)
            assert not (mask[far] == store.names.index(label)).any()
            compared += inner.size
    assert compared > 20 * len(store.targets)


@pytest.mark.parametrize("target", ["masks", "boxes"])
def test_the_folder_is_complete_and_says_what_it_holds(target: str, tmp_path: Path) -> None:
    of = photos()
    summary = prepared(write_coco(tmp_path / "set", of), tmp_path / "out", target)
    folder = tmp_path / "out"
    files = {"annotations.csv", "audit.csv", "images.npy", "manifest.json", "names.json",
             "samples.csv", "summary.json", "targets.npy"}  # fmt: skip
    assert {path.name for path in folder.iterdir()} == files
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"] == {k: v for k, v in digest(folder).items() if k != "manifest.json"}
    assert manifest["target"] == target
    assert summary == json.loads((folder / "summary.json").read_text())
    samples = pd.read_csv(folder / "samples.csv")
    assert set(samples["split"]) == set(SPLITS)
    num = {"cat": NUM - 1, "dog": NUM // 2} | ({"background": NUM} if target == "masks" else {})
    assert {name: sum(of.values()) for name, of in summary["labels"].items()} == num
    assert (summary["num_pictures"], summary["num_labels"]) == (NUM, len(num))
    assert summary["annotations"]["num_annotations"] == NUM - 1 + NUM // 2
    assert summary["annotations"]["faults"]["remark"] == {"empty picture": 1}
    told = pd.read_csv(folder / "annotations.csv")
    assert told[["picture", "fault", "severity"]].values.tolist() == [
        ["00.png", "empty picture", "remark"]
    ]


def test_a_class_without_any_annotation_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared(write_coco(tmp_path / "set", photos()), tmp_path / "out")
    assert "classes without any annotation are left out: bird" in capsys.readouterr().out
    names = json.loads((tmp_path / "out" / "names.json").read_text())
    assert sorted(names) == ["cat", "dog"]
    of = {name: photo for name, photo in photos().items() if name != "00.png"}
    store = opened(write_coco(tmp_path / "all", of, coco(of, ("dog", "cat"))), tmp_path, "masks")
    assert store.names[0] == "background"  # which nobody names
    assert "left out" not in capsys.readouterr().out


def faulty(root: Path) -> Path:
    """Eight pictures more: each with one thing of a kind."""
    of = photos()
    names = ("clipped.png", "flat.png", "outside.png", "half.jpg", "text.png", "=turned.png",
             "sized.png", "copy.png")  # fmt: skip
    extra = {
        name: Photo(100 + place, (40, 30), (("cat", 4, 4, 20, 20), ("dog", 22, 4, 38, 20)))
        for place, name in enumerate(names)
    }
    extra["copy.png"] = of["01.png"]
    document = coco(of | extra)
    boxes = {name: [] for name in extra}  # type: dict[str, list[dict]]
    for annotation in document["annotations"]:
        name = document["images"][annotation["image_id"]]["file_name"]
        if name in boxes:
            boxes[name].append(annotation)
    boxes["clipped.png"][1]["bbox"] = [30, 4, 16, 16]
    boxes["flat.png"][1]["bbox"] = [22, 4, 0, 16]
    boxes["outside.png"][1]["bbox"] = [50, 4, 16, 16]
    image = next(each for each in document["images"] if each["file_name"] == "sized.png")
    image["width"] = 400
    write_coco(root, of | extra, document)
    whole = (root / "half.jpg").read_bytes()
    (root / "half.jpg").write_bytes(whole[:-99])
    (root / "text.png").write_text("no picture")
    turned = Image.Exif()
    turned[ORIENTATION] = 6  # what is stored is turned to the right when it is shown
    stored = extra["=turned.png"].image.transpose(Image.Transpose.ROTATE_90)
    (root / "=turned.png").write_bytes(encode(stored, exif=turned))
    return root


def test_every_fault_has_its_line_and_the_rest_is_used(tmp_path: Path) -> None:
    root = faulty(tmp_path / "set")
    store = opened(root, tmp_path, max_refused_fraction=0.5)
    folder = tmp_path / "out"
    audit = pd.read_csv(folder / "audit.csv").set_index("id")["reason"].to_dict()
    assert audit == {
        "copy.png": "same bytes as another picture",
        "half.jpg": "truncated",
        "sized.png": "declared size is another",
        "text.png": "picture cannot be read",
    }
    lines = pd.read_csv(folder / "annotations.csv")
    told = {(row.picture, row.fault): row.severity for row in lines.itertuples()}
    assert told == {
        ("00.png", "empty picture"): "remark",
        ("clipped.png", "box partly outside the picture"): "remark",
        ("flat.png", "box without an area"): "annotation",
        ("outside.png", "box outside the picture"): "annotation",
        ("sized.png", "declared size is another"): "picture",
        ("text.png", "picture cannot be read"): "picture",
    }
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["annotations"]["faults"] == {
        "remark": {"box partly outside the picture": 1, "empty picture": 1},
        "annotation": {"box outside the picture": 1, "box without an area": 1},
        "picture": {"declared size is another": 1, "picture cannot be read": 1},
    }
    assert summary["num_refused"] == 4
    rows = rows_of(store)
    counts = {name: int((store.targets[row, :, 4] >= 0).sum()) for name, row in rows.items()}
    assert len(rows) == NUM + 4
    assert {counts[f"{name}.png"] for name in ("clipped", "=turned")} == {2}
    assert {counts[f"{name}.png"] for name in ("flat", "outside")} == {1}
    clipped = store.targets[rows["clipped.png"], 1]
    np.testing.assert_allclose(clipped[:4], [24, 7.2, 32, 20], atol=1e-4)
    plain = Photo(105, (40, 30), (("cat", 4, 4, 20, 20), ("dog", 22, 4, 38, 20)))
    turned = rows["=turned.png"]
    np.testing.assert_array_equal(store.images[turned], fit_square(plain.image, 32, (255,) * 3))
    np.testing.assert_allclose(store.targets[turned, :, :4], in_square(plain), atol=1e-4)


def test_limits_stop_the_run_and_keep_the_earlier_output(tmp_path: Path) -> None:
    output = tmp_path / "out"
    good = write_coco(tmp_path / "set", photos())
    prepared(good, output)
    before = digest(output)
    with pytest.raises(DataError, match=r"(?s)2 of 32 pictures .*_fraction 5%.*sized\.png"):
        prepared(faulty(tmp_path / "faulty"), output, max_refused_fraction=0.05)
    with pytest.raises(DataError, match=r"(?s)3 of 32 pictures .*half\.jpg"):
        prepared(tmp_path / "faulty", output, max_refused_fraction=0.07)
    with pytest.raises(DataError, match=r"fewer than data.min_per_class 13 .*dog \(12\)"):
        prepared(good, output, min_per_class=13)
    few = {name: photos()[name] for name in ("01.png", "03.png")}
    with pytest.raises(DataError, match="2 pictures that differ from each other are too few"):
        prepared(write_coco(tmp_path / "few", few), output, min_per_class=1)
    assert digest(output) == before
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(("out.", ".out"))]


@pytest.mark.parametrize("target", ["masks", "boxes"])
def test_a_set_of_which_no_picture_can_be_decoded_is_refused(target: str, tmp_path: Path) -> None:
    of = {name.replace("png", "jpg"): photo for name, photo in photos().items()}
    root = write_coco(tmp_path / "set", of)
    for name in of:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[:-99])
    with pytest.raises(DataError, match=r"(?s)no picture .*left to use.*truncated"):
        prepared(root, tmp_path / "out", target, max_refused_fraction=LENIENT.max_refused_fraction)
    assert not (tmp_path / "out").exists()


def test_masks_that_do_not_fit_are_refused_with_their_reason(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "set", photos())
    small = Image.fromarray(np.zeros((30, 39), dtype=np.uint8))
    (root / "masks" / "01.png").write_bytes(encode(small))
    unknown = np.zeros((30, 40), dtype=np.uint8)
    unknown[3, 4:9] = 7
    (root / "masks" / "02.png").write_bytes(encode(Image.fromarray(unknown)))
    (root / "masks" / "04.png").unlink()
    store = opened(root, tmp_path, "masks", max_refused_fraction=0.5)
    audit = pd.read_csv(tmp_path / "out" / "audit.csv").set_index("id")
    assert audit["reason"].to_dict() == {
        "images/01.png": "mask of another size",
        "images/02.png": "unknown mask value",
    }
    assert "5 of 1200 pixels" in audit.loc["images/02.png", "detail"]
    lines = pd.read_csv(tmp_path / "out" / "annotations.csv")
    left_out = lines[lines["fault"] == "picture without annotations"]
    assert left_out["picture"].tolist() == ["images/04.png"]
    assert not {"01.png", "02.png", "04.png"} & rows_of(store).keys()
    check_colours(store)  # the rows of the others have moved up


def test_groups_that_a_table_names_are_not_divided(tmp_path: Path) -> None:
    of = photos()
    root = write_coco(tmp_path / "set", of)
    lines = [f"{name},scene {number // 4}" for number, name in enumerate(sorted(of))]
    (root / "labels.csv").write_text("\n".join(["path,group", *lines]) + "\n")
    summary = prepared(root, tmp_path / "out", near_duplicate_distance=-1)
    samples = pd.read_csv(tmp_path / "out" / "samples.csv").set_index("id")
    for start in range(0, NUM, 4):
        own = samples.loc[[f"{number:02d}.png" for number in range(start, start + 4)]]
        assert own["split"].nunique() == own["group"].nunique() == 1
    assert samples["group"].nunique() == NUM // 4
    assert summary["near_duplicates"]["hold_given_groups"]
    alone = prepared(write_coco(tmp_path / "alone", of), tmp_path / "other")
    assert "hold_given_groups" not in alone["near_duplicates"]
    (root / "labels.csv").write_text("path,group\n01.png,a\n01.png,b\n")
    with pytest.raises(DataError, match=r"names pictures twice: 01\.png"):
        prepared(root, tmp_path / "out")


@pytest.mark.parametrize("target", ["masks", "boxes"])
def test_what_is_annotated_on_test_pictures_stays_hidden(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    prepared(write_coco(tmp_path / "set", photos()), folder, target)
    before = digest(folder)
    everything = open_store(folder, SPLITS)
    test = everything.split("test")
    assert len(test) > 2
    store = open_store(folder, ("train", "val"))
    hidden = IGNORED if target == "masks" else NO_BOX
    assert (store.targets[test] == hidden).all()
    assert not (everything.targets[test] == hidden).all()
    shown = np.concatenate([store.split("train"), store.split("val")])
    np.testing.assert_array_equal(store.targets[shown], everything.targets[shown])
    assert set(store.samples["split"]) == {"train", "val"}
    assert digest(folder) == before  # what is hidden is hidden in memory alone
    content = bytearray((folder / "targets.npy").read_bytes())
    content[-1] ^= 1
    (folder / "targets.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"targets\.npy was changed.*dvc repro prepare"):
        open_store(folder, ("train",))


@pytest.mark.parametrize(
    ("target", "write"), [("boxes", write_coco), ("masks", write_coco), ("masks", write_masks)]
)
def test_twice_the_same_bytes_from_a_folder_or_an_archive(
    target: str, write: Callable[[Path, Mapping[str, Photo]], Path], tmp_path: Path
) -> None:
    first, of = write(tmp_path / "a", photos()), photos()
    second = write(tmp_path / "b", dict(reversed(of.items())))
    if write is write_coco:
        shutil.copyfile(first / "instances.json", second / "instances.json")
    archive = Path(shutil.make_archive(str(tmp_path / "c"), "zip", first))
    for name, path in (("1", first), ("2", second), ("3", archive)):
        prepared(path, tmp_path / name, target)
    found = [digest(tmp_path / name) for name in "123"]
    assert found[0] == found[1] == found[2]


def test_splits_of_the_source_are_kept(tmp_path: Path) -> None:
    of = photos()
    for number, split in enumerate(("train", "valid", "test")):
        own = {name: photo for place, (name, photo) in enumerate(of.items()) if place % 3 == number}
        write_coco(tmp_path / "set" / split, own)
    store = opened(tmp_path / "set", tmp_path, near_duplicate_distance=-1)
    for name, split in zip(store.samples["id"], store.samples["split"], strict=True):
        assert name.partition("/")[0] == {"val": "valid"}.get(split, split)
