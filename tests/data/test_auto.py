"""``data.source: auto``: one line where it is clear, one question where it is not."""

import json
from pathlib import Path

import pandas as pd
import pytest

from sftcore.data.sources import open_source
from sftcore.foundations.errors import DataError
from tests.data.layouts import hub_shards, names, samples, splits, tar_of
from tests.pictures import write_folders


def look(path: Path, source: str = "auto", table: str = "labels.csv") -> str:
    return open_source(source, path, table).description


def given(path: Path, source: str = "auto") -> dict[str, int]:
    items = open_source(source, path, "labels.csv").items
    return {s: sum(i.split == s for i in items) for s in sorted({i.split for i in items})}


def test_class_folders_are_said_with_their_counts(tmp_path: Path) -> None:
    path = write_folders(tmp_path / "mine", per_class=2)
    (path / "SOURCES.csv").write_text("file,origin\ncircle/000.png,somewhere\n")
    line = f"{path}: class folders (3 classes, 6 pictures)"
    assert look(path) == f"{line}; 1 file beside the class folders left out (.csv)"
    (path / "SOURCES.csv").unlink()
    assert look(path) == line
    (path / "loose.png").write_bytes(b"x")
    assert look(path) == f"{line}; 1 picture beside the class folders left out"


def test_a_folder_that_holds_everything_is_looked_into(tmp_path: Path) -> None:
    write_folders(tmp_path / "mine" / "set", per_class=2)
    (tmp_path / "mine" / "README.md").write_text("hello")
    assert "class folders, in set/ (3 classes, 6 pictures)" in look(tmp_path / "mine")
    items = open_source("auto", tmp_path / "mine", "").items
    assert items[0].id == "set/circle/000.png"


def test_train_and_test_without_val(tmp_path: Path) -> None:
    path = splits(tmp_path, samples(("train", "test")))
    assert "val taken out of train by data.val_fraction" in look(path)
    assert given(path) == {"test": 18, "train": 18}


def test_train_and_val_without_test(tmp_path: Path) -> None:
    path = splits(tmp_path, samples(("train", "val")))
    assert "test taken out of train by data.test_fraction" in look(path)
    assert given(path) == {"": 18, "val": 18}


def test_train_alone_is_split_like_class_folders(tmp_path: Path) -> None:
    path = splits(tmp_path / "mine", samples(("train",)))
    assert given(path) == {"": 18}
    assert "class folders, in train/ (3 classes, 18 pictures)" in look(path)
    (path / "notes").mkdir()
    (path / "notes" / "a.txt").write_text("x")
    assert given(path) == {"": 18}
    wanted = "val and test taken out of train by data.val_fraction and data.test_fraction"
    assert wanted in look(path)


def test_a_test_folder_without_classes_is_left_out_and_said_to_be(tmp_path: Path) -> None:
    path = splits(tmp_path, samples(("train",)))
    (path / "test").mkdir()
    (path / "test" / "0.png").write_bytes(b"x")
    assert "1 picture without a class in test left out" in look(path)
    assert given(path) == {"": 18}


def test_files_beside_class_folders_are_never_left_out_in_silence(tmp_path: Path) -> None:
    path = splits(tmp_path, samples())
    for name in ("train/stray.jpg", "train/notes.txt", "val/odd", "README.md", "stray.png"):
        (path / name).write_bytes(b"x")
    (path / "train" / ".hidden").write_bytes(b"x")
    line = look(path)
    for clause in (
        "1 picture without a class in train left out",
        "1 other file without a class in train left out (.txt)",
        "1 file without a class in val left out (odd)",
        "1 picture beside the splits left out",
        "1 other file beside the splits left out (.md)",
    ):
        assert f"; {clause}" in line
    assert line.count("left out") == 5
    folders = write_folders(tmp_path / "outer" / "set", per_class=2)
    (folders.parent / "README.md").write_text("hello")
    assert look(folders.parent).endswith("1 file outside of it left out")


def test_a_class_that_only_test_has_is_an_error(tmp_path: Path) -> None:
    path = splits(tmp_path, samples())
    (path / "test" / "circle").rename(path / "test" / "Circle")
    with pytest.raises(DataError, match="1 class of test is not in train: Circle"):
        look(path)
    rows = [row for row in samples() if row[:2] != ("test", "circle")]
    assert "test has no picture of circle" in look(splits(tmp_path / "other", rows))


def test_split_folders_beside_class_folders_are_a_question(tmp_path: Path) -> None:
    path = splits(tmp_path, samples(("train", "test")))
    write_folders(path, per_class=1)
    with pytest.raises(DataError) as asked:
        look(path)
    assert "can be read in 2 ways; say which:" in str(asked.value)
    assert "data.source: folder" in str(asked.value)
    assert "data.source: splits" in str(asked.value)
    assert look(path, "splits").startswith(f"{path}: splits test, train")
    assert "3 folders beside the splits left out" in look(path, "splits")
    assert "(5 classes, 39 pictures)" in look(path, "folder")


def test_a_table_beside_class_folders_is_a_question(tmp_path: Path) -> None:
    path = write_folders(tmp_path, per_class=2)
    cells = {"path": ["circle/000.png", "square/000.png"], "label": ["a", "b"]}
    pd.DataFrame(cells).to_csv(path / "labels.csv", index=False)
    with pytest.raises(DataError, match=r"table labels\.csv: data\.source: table"):
        look(path)
    assert "(2 classes, 2 pictures)" in look(path, "table")
    assert "(3 classes, 6 pictures)" in look(path, "folder")


def test_splits_without_classes_are_a_question(tmp_path: Path) -> None:
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"if they are classes: data\.source: folder"):
        look(tmp_path)
    assert "(2 classes, 2 pictures)" in look(tmp_path, "folder")


def test_several_tables_are_a_question_or_splits(tmp_path: Path) -> None:
    path = write_folders(tmp_path / "x" / "files", per_class=2).parent
    text = "path,label\nfiles/{0}/000.png,a\nfiles/{0}/001.png,b\n"
    (path / "one.csv").write_text(text.format("circle"))
    (path / "two.csv").write_text(text.format("square"))
    with pytest.raises(DataError, match=r"holds the tables one\.csv, two\.csv"):
        look(path)
    assert "(2 classes, 2 pictures)" in look(path, "table", "two.csv")
    (path / "one.csv").rename(path / "train.csv")
    (path / "two.csv").rename(path / "test.csv")
    assert given(path) == {"test": 2, "train": 2}


def test_columns_that_could_each_be_it_are_a_question(tmp_path: Path) -> None:
    path = write_folders(tmp_path / "x" / "files", per_class=2).parent
    (path / "t.csv").write_text("path,class,category\nfiles/circle/000.png,a,b\n")
    with pytest.raises(DataError, match="class, category could each be the label"):
        look(path)


def test_several_archives_are_a_question(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        tar_of(tmp_path / name, names(samples()))
    with pytest.raises(DataError, match=r"holds the archives a\.tar, b\.tar: name one of them"):
        look(tmp_path)
    assert "splits" in look(tmp_path / "b.tar")


def test_several_versions_on_the_hub_are_a_question(tmp_path: Path) -> None:
    for name in ("small", "large"):
        hub_shards(tmp_path / name, samples())
    with pytest.raises(DataError, match=r"in the folders large/data, small/data"):
        look(tmp_path)
    assert "6 Parquet shards" in look(tmp_path / "small")


def test_a_hub_test_split_without_classes_is_left_out(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = hub_shards(tmp_path / "set", samples())
    for file in (path / "data").glob("test-*"):
        table = pq.read_table(file)
        hidden = table.set_column(1, "label", [[-1] * len(table)])
        pq.write_table(hidden.replace_schema_metadata(table.schema.metadata), file)
    assert "9 pictures without a class" in look(path)
    assert given(path) == {"": 18, "val": 18}


def test_nothing_to_classify_says_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no class with a picture"):
        look(tmp_path)
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match="pictures without classes"):
        look(tmp_path)
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"one class \('only'\)"):
        look(tmp_path)
    with pytest.raises(DataError, match="file of no known kind"):
        look(tmp_path / "a.png")


def test_a_table_alone_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    path = write_folders(tmp_path, per_class=2)
    (path / "t.csv").write_text("path,label\ncircle/000.png,a\nsquare/000.png,b\n")
    with pytest.raises(DataError, match=r"set data\.path to the folder that holds them"):
        look(path / "t.csv")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("splits", "no folder train with class folders"),
        ("imagefolder", "no metadata.csv"),
        ("saved", "no data set saved with save_to_disk"),
        ("parquet", "no Parquet file"),
        ("table", "there is no file"),
    ],
)
def test_a_kind_that_is_not_there_says_so(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        look(write_folders(tmp_path, per_class=1), source)


def test_saved_sets_that_are_cut_or_a_choice_are_explained(tmp_path: Path) -> None:
    from tests.data.layouts import saved

    path = saved(tmp_path / "set", samples())
    state = path / "val" / "state.json"
    text = json.loads(state.read_text())
    state.write_text(json.dumps(text | {"_indices_data_files": [{"filename": "i.arrow"}]}))
    with pytest.raises(DataError, match="flatten_indices"):
        look(path)
    state.write_text(json.dumps({"_data_files": [{"filename": "none.arrow"}]}))
    with pytest.raises(DataError, match=r"lacks none\.arrow"):
        look(path)
    state.write_text("[]")
    with pytest.raises(DataError, match="not what save_to_disk writes"):
        look(path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("0.png", b"x"), ("1.png", b"y"), ("1.cls", b"1")], "1 picture without a label file"),
        ([("0.png", b"x"), ("0.jpg", b"y"), ("0.cls", b"1")], "several pictures of one sample"),
        ([("0.png", b"x"), ("0.json", b"{")], "cannot be read as a label"),
        ([("0.png", b"x"), ("0.json", b'{"size": 1}')], "names no class"),
        ([("0.png", b"x"), ("0.cls", b"\xff")], "cannot be read as a label"),
    ],
)
def test_shards_with_faults_say_where(
    tmp_path: Path, files: list[tuple[str, bytes]], message: str
) -> None:
    tar_of(tmp_path / "train-000000.tar", files)
    with pytest.raises(DataError, match=message):
        look(tmp_path)


def test_params_allow_exactly_the_kinds_of_the_registry() -> None:
    import re

    from sftcore.data.settings import DataSettings
    from sftcore.data.sources import SOURCES

    field = DataSettings.model_fields["source"]
    pattern = next(m.pattern for m in field.metadata if getattr(m, "pattern", None))
    words = {"auto", *SOURCES} - {"torchvision"} | {"torchvision:CIFAR10"}
    assert all(re.match(pattern, word) for word in words)
    assert set(re.findall(r"[a-z]{4,}", pattern)) == {"auto", *SOURCES}
