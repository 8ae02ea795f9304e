"""Hostile names, tables, stores and splits: each was once a crash or a silent fault."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sftcore.data.near_duplicates import Looks, near_duplicate_groups
from sftcore.data.pictures.decode import Refused, decode
from sftcore.data.pictures.fingerprints import perceptual_hashes, small_copy
from sftcore.data.pictures.same_picture import are_same
from sftcore.data.prepare import prepare
from sftcore.data.sources import read_source
from sftcore.data.splits import assign_splits
from sftcore.data.store import open_store
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.foundations.errors import DataError
from tests.conftest import PREPARE
from tests.pictures import draw, encode, write_folders


def sha(number: int) -> str:
    return sha256_bytes(str(number).encode())


def split(labels: list[str], given: list[str], leaders: list[str], seed: int = 0) -> list[str]:
    return assign_splits(labels, leaders, given, seed=seed, val_fraction=0.2, test_fraction=0.2)


def test_hidden_folders_inside_a_class_are_left_out(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "set", per_class=1)
    (root / "circle" / ".ipynb_checkpoints").mkdir()
    (root / "circle" / ".ipynb_checkpoints" / "x.png").write_bytes(b"x")
    assert len(read_source("folder", root, "")) == 3


def test_classes_may_be_called_na_and_null(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label\na.png,NA\nb.png,null\n")
    assert [item.label for item in read_source("table", tmp_path, "t.csv")] == ["NA", "null"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a\0b.png", "unreadable name"), ("a" * 5000, "cannot be read"), ("circle", "not a file")],
)
def test_impossible_paths_in_a_table_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    root = write_folders(tmp_path / "set", per_class=1)
    rows = pd.DataFrame({"path": [name, "circle/000.png"], "label": ["a", "b"]})
    rows.to_parquet(root / "t.parquet")
    item = next(i for i in read_source("table", root, "t.parquet") if i.label == "a")
    with pytest.raises(Refused, match=reason):
        item.read()


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "set", per_class=1)
    (root / "circle" / "loop.png").symlink_to(root / "circle" / "loop.png")
    item = next(i for i in read_source("folder", root, "") if "loop" in i.id)
    with pytest.raises(Refused):
        item.read()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "set", per_class=1)
    (root / "circle" / "000.png").chmod(0)
    with pytest.raises(Refused, match="cannot be read"):
        read_source("folder", root, "")[0].read()


def test_a_line_break_in_a_name_cannot_break_the_tables(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "set")
    (root / "circle" / "000.png").rename(root / "circle" / "a\rb.png")
    summary = prepare(**PREPARE, path=root, output=tmp_path / "out")
    assert summary["refused"] == {"unreadable name": 1}
    audit = pd.read_csv(tmp_path / "out" / "audit.csv")
    assert audit["id"].tolist() == ["circle/a\\x0db.png"]
    assert len(open_store(tmp_path / "out", ("train", "val", "test")).samples) == 35


@pytest.mark.parametrize("name", ["EMNIST", "Places365"])
def test_torchvision_sets_with_other_halves_are_explained(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="no train and test half"):
        read_source(f"torchvision:{name}", tmp_path, "")


def test_an_unknown_source_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of auto, folder, imagefolder"):
        read_source("zip", tmp_path, "")


def test_eps_is_never_run() -> None:
    content = encode(Image.new("RGB", (9, 9)), "EPS")
    with pytest.raises(Refused, match="not a picture: EPS"):
        decode(content, max_pixels=1000, background=(0, 0, 0))


def test_our_pixel_limit_replaces_that_of_pillow() -> None:
    earlier = Image.MAX_IMAGE_PIXELS
    small = encode(Image.new("1", (60, 60)))
    Image.MAX_IMAGE_PIXELS = 100
    try:
        assert decode(small, max_pixels=3600, background=(0, 0, 0)).size == (60, 60)
        assert Image.MAX_IMAGE_PIXELS == 100
    finally:
        Image.MAX_IMAGE_PIXELS = earlier


def test_an_icon_that_lies_about_its_size_is_refused() -> None:
    inner = encode(Image.new("RGB", (90, 90)))
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inner), 22)
    with pytest.raises(Refused, match="over the pixel limit"):
        decode(struct.pack("<HHH", 0, 1, 1) + entry + inner, max_pixels=1000, background=(0, 0, 0))


def test_eight_bit_greys_in_wide_integers_are_not_darkened() -> None:
    values = np.array([[0, 128, 255]], dtype=np.int32)
    picture = decode(encode(Image.fromarray(values), "TIFF"), max_pixels=10, background=(0, 0, 0))
    assert np.asarray(picture)[0, :, 0].tolist() == [0, 128, 255]


def test_a_set_that_all_looks_alike_keeps_few_pairs() -> None:
    asked = []
    two = np.stack([small_copy(np.asarray(draw(kind, 0))) for kind in ("circle", "square")])
    hashes = np.stack([perceptual_hashes(small) for small in two])
    rows = np.repeat([0, 1], 100)

    def compare(pairs: np.ndarray) -> np.ndarray:
        asked.append(len(pairs))
        return are_same(two, pairs)

    looks = Looks(hashes[rows], compare, rows)
    shas = [sha(i) for i in range(200)]
    groups = near_duplicate_groups(looks, shas, 4, [""] * 200)
    assert len(set(groups.tolist())) == 2
    assert sum(asked) < 300


def test_a_group_of_two_classes_is_not_taken_from_one_for_the_other() -> None:
    labels = ["a"] * 4 + ["b"] * 4
    leaders = [sha(i) for i in (0, 1, 2, 9, 9, 5, 6, 7)]
    for seed in range(300):
        splits = split(labels, [""] * 8, leaders, seed)
        for name in "ab":
            assert {s for s, label in zip(splits, labels, strict=True) if label == name} == {
                "train", "val", "test",
            }  # fmt: skip


def test_pictures_given_for_training_are_never_tested_on() -> None:
    given = ["train"] * 200 + [""] * 100
    splits = split(["a"] * 300, given, [sha(i) for i in range(300)])
    assert set(splits[:200]) == {"train", "val"}
    assert "test" in splits[200:]
    with pytest.raises(DataError, match="no picture for test and none to spare"):
        split(["a"] * 60, ["train"] * 60, [sha(i) for i in range(60)])


def test_a_class_that_is_only_tested_is_an_error() -> None:
    labels = ["a"] * 50 + ["b"] * 5
    with pytest.raises(DataError, match="no picture to train on in class b"):
        split(labels, ["train"] * 45 + ["test"] * 10, [sha(i) for i in range(55)])


def test_limits_count_what_crossing_splits_took_away(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "set", per_class=12)
    rows = []
    for file in sorted(root.rglob("*.png")):
        name, kind = file.relative_to(root).as_posix(), file.parent.name
        rows.append((name, kind, "test" if int(file.stem) % 3 == 0 else "train"))
        if kind == "circle" and int(file.stem) % 3:
            twin = file.with_name(f"twin{file.name}")
            twin.write_bytes(encode(draw(kind, int(file.stem)).convert("L")))
            rows.append((twin.relative_to(root).as_posix(), kind, "test"))
    table = pd.DataFrame(rows, columns=["path", "label", "split"])
    table.to_csv(root / "labels.csv", index=False)
    settings = PREPARE | {"source": "table", "max_refused_fraction": 0.1}
    # Near-duplicates that are taken out are not broken; that nothing is left to learn from is told.
    with pytest.raises(DataError, match="no picture to train on in class circle"):
        prepare(**settings, path=root, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_class_names_made_of_digits_stay_as_they_are(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "set")
    for number, kind in enumerate(("circle", "square", "stripes")):
        (root / kind).rename(root / f"0{number}")
    prepare(**PREPARE, path=root, output=tmp_path / "out")
    store = open_store(tmp_path / "out", ("train", "val"))
    assert set(store.samples["label"]) == {"00", "01", "02"} == set(store.classes)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("manifest.json", lambda text: "{}"),
        ("manifest.json", lambda text: "[]"),
        ("samples.csv", lambda text: text.replace("label_index", "other")),
        ("samples.csv", lambda text: text.replace(",test,", ",train,")),
        ("classes.json", lambda text: text.replace("circle", "oval")),
    ],
)
def test_a_changed_store_is_not_opened(
    tmp_path: Path, file: str, change: Callable[[str], str]
) -> None:
    prepare(**PREPARE, path=write_folders(tmp_path / "set"), output=tmp_path / "out")
    path = tmp_path / "out" / file
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match="dvc repro prepare"):
        open_store(tmp_path / "out", ("train",))
