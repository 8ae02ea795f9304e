"""Files beside pictures that are none, and copies: neither is a broken picture."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from sftcore.data.prepare import prepare
from sftcore.data.sources import open_source
from sftcore.data.sources.names import other_kind, split_of_file
from sftcore.foundations.errors import DataError
from tests.conftest import PREPARE
from tests.data.layouts import names, samples, splits, tar_of
from tests.pictures import draw, encode, write_folders

STRICT = PREPARE | {"source": "auto", "max_refused_fraction": 0.0, "near_duplicate_distance": -1}


def litter(folder: Path) -> None:
    for name in ("a.txt", "b.TXT", "c.ogg", "Thumbs.db", "desktop.ini", ".DS_Store", "README"):
        (folder / name).write_bytes(b"no picture")


def test_they_are_one_line_and_do_not_count(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = write_folders(tmp_path / "set")
    litter(root / "circle")
    (root / "square" / "bare").write_bytes(encode(draw("square", 99)))
    (root / "square" / "odd.picture").write_bytes(encode(draw("square", 98)))
    summary = prepare(**STRICT, path=root, output=tmp_path / "out")
    line = "not pictures by their name: 2 .txt, 1 .ogg, 1 README, 1 Thumbs.db, 1 desktop.ini"
    assert capsys.readouterr().out.splitlines()[1] == line
    assert summary["num_pictures"] == 38, "pictures without a known suffix are judged by bytes"
    assert (summary["num_refused"], summary["refused"]) == (0, {})
    assert summary["not_pictures"] == {
        ".txt": 2, ".ogg": 1, "README": 1, "Thumbs.db": 1, "desktop.ini": 1,
    }  # fmt: skip
    audit = pd.read_csv(tmp_path / "out" / "audit.csv")
    assert len(audit) == 1
    assert f"{audit['reason'][0]}: {audit['detail'][0]}" == line


def test_without_such_files_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    summary = prepare(**STRICT, path=write_folders(tmp_path / "set"), output=tmp_path / "out")
    assert "not_pictures" not in summary
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_in_splits_and_archives_likewise(tmp_path: Path) -> None:
    root = splits(tmp_path / "set", samples())
    litter(root / "train" / "circle")
    assert sum(open_source("auto", root, "").others.values()) == 6
    beside = [("train/circle/a.txt", b"x"), ("train/circle/.DS_Store", b"x")]
    tar_of(tmp_path / "x.tar", [*names(samples()), *beside])
    assert open_source("auto", tmp_path / "x.tar", "").others == {".txt": 1}


def test_a_broken_picture_still_counts(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "set")
    (root / "circle" / "x.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 of 37 pictures \(3%\) were refused"):
        prepare(**STRICT, path=root, output=tmp_path / "out")


def test_a_class_with_other_files_alone_is_no_class(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "set")
    (root / "notes").mkdir()
    litter(root / "notes")
    assert "3 classes" in open_source("auto", root, "").description


def test_copies_and_near_duplicates_across_splits_do_not_count(tmp_path: Path) -> None:
    root = splits(tmp_path / "set", samples())
    for index in range(20):
        shutil.copyfile(root / "train/circle/000.png", root / f"train/circle/copy{index}.png")
    summary = prepare(**STRICT, path=root, output=tmp_path / "out")
    assert summary["refused"] == {"same bytes as another picture": 20}
    assert summary["splits"] == {"train": 18, "val": 18, "test": 18}


def test_the_same_bytes_under_two_labels_do_count(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "set")
    shutil.copyfile(root / "circle/000.png", root / "square/copy.png")
    with pytest.raises(DataError, match="2 x same bytes under two labels"):
        prepare(**STRICT, path=root, output=tmp_path / "out")


def test_names() -> None:
    assert other_kind("a.tar.gz") == ".gz"
    assert not any(map(other_kind, ("a.jpg", "a", "a.jpg_large", "n0144_1", "readme.png", "1.2")))
    wanted = {
        "train-00000-of-00001.parquet": "train", "x/set-val-000001.tar": "val",
        "test/0001.tar": "test", "test-run/train.csv": "train", "constraint.csv": "",
        "my_training.tsv": "train",
    }  # fmt: skip
    assert {name: split_of_file(name) for name in wanted} == wanted
