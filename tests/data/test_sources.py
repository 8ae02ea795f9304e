import gzip
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sftcore.data.pictures.decode import Refused
from sftcore.data.sources import SOURCES, read_source, register_source
from sftcore.foundations.errors import DataError
from tests.pictures import CLASSES, draw, encode, write_folders


def test_folder_gives_every_file_of_every_class(tmp_path: Path) -> None:
    write_folders(tmp_path, per_class=2)
    (tmp_path / "circle" / "deeper").mkdir()
    (tmp_path / "circle" / "deeper" / "x.png").write_bytes(b"")
    (tmp_path / "circle" / ".hidden").write_bytes(b"")
    (tmp_path / "SOURCES.csv").write_text("beside the class folders")
    items = read_source("folder", tmp_path, "")
    expected = sorted(
        [f"{k}/{i:03d}.png" for k in CLASSES for i in (0, 1)] + ["circle/deeper/x.png"]
    )
    assert [item.id for item in items] == expected
    assert {item.label for item in items} == set(CLASSES)
    assert items[0].read() == (tmp_path / items[0].id).read_bytes()


def test_missing_folder_one_class_and_empty_class(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        read_source("folder", tmp_path / "none", "")
    with pytest.raises(DataError, match="no class with a picture"):
        read_source("folder", tmp_path, "")
    (tmp_path / "only").mkdir()
    with pytest.raises(DataError, match="no picture in the class folder only"):
        read_source("folder", tmp_path, "")
    (tmp_path / "only" / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match="one class \\('only'\\)"):
        read_source("folder", tmp_path, "")


def test_links_out_of_the_tree_are_refused_and_inside_are_not(tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"secret")
    root = write_folders(tmp_path / "set", per_class=1)
    (root / "circle" / "out.png").symlink_to(outside)
    (root / "circle" / "folder").symlink_to(tmp_path)
    (root / "circle" / "in.png").symlink_to(root / "square" / "000.png")
    (root / "circle" / "broken.png").symlink_to(root / "nowhere.png")
    items = {item.id: item for item in read_source("folder", root, "")}
    for name in ("out.png", "folder"):
        with pytest.raises(Refused, match="outside the data folder"):
            items[f"circle/{name}"].read()
    with pytest.raises(Refused, match="not a file"):
        items["circle/broken.png"].read()
    assert items["circle/in.png"].read() == items["square/000.png"].read()


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes only on Linux")
def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    write_folders(tmp_path, per_class=1)
    (tmp_path / "circle" / os.fsdecode(b"\xff\xfe.png")).write_bytes(b"x")
    item = next(i for i in read_source("folder", tmp_path, "") if i.id.endswith("\\xff\\xfe.png"))
    item.id.encode()
    with pytest.raises(Refused, match="unreadable name"):
        item.read()


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_table_gives_labels_splits_and_groups(tmp_path: Path, name: str) -> None:
    write_folders(tmp_path, per_class=1)
    rows = pd.DataFrame(
        {
            "path": ["circle/000.png", "square/000.png", "../x.png", "stripes/000.png"],
            "label": ["1", "2", "2", "1"],
            "split": ["test", None, None, None],
            "group": [None, "g", None, None],
        }
    )
    if name.endswith("csv"):
        rows.to_csv(tmp_path / name, index=False)
    else:
        rows.to_parquet(tmp_path / name)
    outside, circle, square, _ = read_source("table", tmp_path, name)
    assert (circle.label, circle.split, circle.group) == ("1", "test", "")
    assert (square.label, square.split, square.group) == ("2", "", "g")
    assert circle.read() == (tmp_path / "circle" / "000.png").read_bytes()
    with pytest.raises(Refused, match="outside the data folder"):
        outside.read()


def test_an_absolute_path_in_a_table_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    root = write_folders(tmp_path / "set", per_class=1)
    (root / "t.csv").write_text(f"path,label\n{secret},a\ncircle/000.png,b\n")
    items = read_source("table", root, "t.csv")
    with pytest.raises(Refused, match="outside"):
        next(item for item in items if item.label == "a").read()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na,b\n", "lacks the column path"),
        ("path,label\na,\nb,c\n", "row 2: label is empty"),
        ("path,label,split\na,b,held\nc,d,train\n", "split 'held' is none of train, val, test"),
        ("path,label\na,b\na,c\n", "path 'a' stands twice"),
        ('path,label\n"a,b\n', "cannot be read as a table"),
    ],
)
def test_faulty_tables_say_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_source("table", tmp_path, "t.csv")


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_source("table", tmp_path, "labels.csv")


def lay_out_fashion_mnist(root: Path, num_train: int = 20, num_test: int = 10) -> None:
    """The four original files, with made-up pictures."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    stream = np.random.default_rng(0)
    for prefix, count in (("train", num_train), ("t10k", num_test)):
        images = stream.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        with gzip.open(raw / f"{prefix}-images-idx3-ubyte.gz", "wb") as file:
            file.write(struct.pack(">IIII", 2051, count, 28, 28) + images.tobytes())
        with gzip.open(raw / f"{prefix}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(struct.pack(">II", 2049, count) + labels.tobytes())
    for file in raw.glob("*.gz"):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))


def test_torchvision_reads_files_laid_out_beforehand(tmp_path: Path) -> None:
    lay_out_fashion_mnist(tmp_path)
    items = read_source("torchvision:FashionMNIST", tmp_path, "")
    assert len(items) == 30
    assert [item.split for item in items] == ["test"] * 10 + [""] * 20
    assert items[0].label == "T-shirt/top"
    assert items[0].read().startswith(b"\x89PNG")


def test_torchvision_names_and_halves_are_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean FashionMNIST"):
        read_source("torchvision:FashonMNIST", tmp_path, "")
    with pytest.raises(DataError, match="no train and test half"):
        read_source("torchvision:FakeData", tmp_path, "")


def test_a_download_that_fails_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import datasets

    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataError, match="could not download FashionMNIST"):
        read_source("torchvision:FashionMNIST", tmp_path, "")


def test_a_name_is_registered_once() -> None:
    assert set(SOURCES) == {
        "folder", "imagefolder", "parquet", "saved", "splits", "table", "torchvision", "webdataset",
    }  # fmt: skip
    with pytest.raises(ValueError, match="registered already"):
        register_source("folder", SOURCES["table"].recognise)(SOURCES["table"].read)


def test_pictures_helper_draws_distinct_pictures() -> None:
    assert len({encode(draw(kind, seed)) for kind in CLASSES for seed in range(5)}) == 15
