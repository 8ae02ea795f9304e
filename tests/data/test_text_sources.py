"""Where texts come from: folders, tables, data sets as hubs hand them out; and what is no text."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sftcore.data.kinds import Refused
from sftcore.data.sources import Sought, open_source
from sftcore.data.sources.names import is_example_name, other_kind
from sftcore.data.targets.target import Target
from sftcore.data.texts.decode import decode_text
from sftcore.data.texts.names import TEXT_NAMES
from sftcore.foundations.errors import DataError
from tests.data.layouts import FEATURES
from tests.pictures import write_folders
from tests.texts import TEXT_CLASSES, compose, write_text_folders

TEXTS = Sought(TEXT_NAMES)
Row = tuple[str, str, str]  # split, class, text


def rows() -> list[Row]:
    return [
        (split, kind, compose(kind, 10 * place + seed))
        for place, split in enumerate(("train", "val", "test"))
        for kind in TEXT_CLASSES
        for seed in range(4)
    ]


def look(path: Path, source: str = "auto", sought: Sought = TEXTS) -> str:
    return open_source(source, path, "labels.csv", sought).description


def folders(root: Path, given: list[Row]) -> Path:
    for number, (split, kind, text) in enumerate(given):
        place = root / split / kind
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.txt").write_text(text)
    return root


def frame(given: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(given, columns=["split", "label", "sentence"])


def table(suffix: str) -> Callable[[Path, list[Row]], Path]:
    def write(root: Path, given: list[Row]) -> Path:
        root.mkdir()
        path, cells = root / f"mine.{suffix}", frame(given)
        if suffix == "parquet":
            cells.to_parquet(path)
        elif suffix == "jsonl":
            cells.to_json(path, orient="records", lines=True)
        else:
            cells.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
        return root

    return write


def paths(root: Path, given: list[Row]) -> Path:
    (root / "files").mkdir(parents=True)
    cells = []
    for number, (split, kind, text) in enumerate(given):
        (root / "files" / f"{number}").write_text(text)
        cells.append((f"files/{number}", kind, split))
    pd.DataFrame(cells, columns=["path", "class", "split"]).to_csv(root / "t.csv", index=False)
    return root


def hub(root: Path, given: list[Row]) -> Path:
    root.mkdir()
    features = {"text": {"_type": "Value"}, "label": FEATURES["label"] | {"names": TEXT_CLASSES}}
    for split in ("train", "val", "test"):
        part = [row for row in given if row[0] == split]
        cells = pa.table({"text": [row[2] for row in part],
                          "label": [TEXT_CLASSES.index(row[1]) for row in part]})  # fmt: skip
        cells = cells.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
        pq.write_table(cells, root / f"{split}-00000-of-00001.parquet")
    return root


def zipped(root: Path, given: list[Row]) -> Path:
    root.mkdir()
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        for number, (split, kind, text) in enumerate(given):
            archive.writestr(f"set/{split}/{kind}/{number}.txt", text)
    return root / "set.zip"


LAYOUTS = {
    "folders": folders, "zip": zipped, "csv": table("csv"), "tsv": table("tsv"),
    "jsonl": table("jsonl"), "parquet": table("parquet"), "paths": paths, "hub": hub,
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_texts(tmp_path: Path, layout: str) -> None:
    path = LAYOUTS[layout](tmp_path / "set", rows())
    contents = open_source("auto", path, "labels.csv", TEXTS)
    found = {(item.split, item.label, decode_text(item.read())) for item in contents.items}
    assert found == set(rows())
    assert "(3 classes, 36 texts)" in contents.description
    assert "picture" not in contents.description


def test_cells_with_line_breaks_quotes_and_commas_stay_whole(tmp_path: Path) -> None:
    texts = ['He said: "no,\nnever"', "=cmd|' /C calc'!A0", "NA", "null", "a;b|c\td", "\u202eabc"]
    cells = pd.DataFrame({"text": texts, "label": list("ababab")})
    cells.to_csv(tmp_path / "t.csv", index=False)
    assert [decode_text(i.read()) for i in open_source("auto", tmp_path, "", TEXTS).items] == texts


def test_cells_that_are_no_text_are_refused_one_by_one(tmp_path: Path) -> None:
    lines = [
        {"text": "fine", "label": "a"}, {"text": None, "label": "b"}, {"text": 7, "label": "a"},
        {"label": "b"}, {"text": "half \ud800", "label": "a"}, {"text": "", "label": "b"},
    ]  # fmt: skip
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    reasons = []
    for item in open_source("auto", tmp_path, "", TEXTS).items:
        try:
            reasons.append(decode_text(item.read()))
        except Refused as why:
            reasons.append(why.reason)
    assert reasons == ["fine", "empty", "not a text", "empty", "not UTF-8", "empty"]


def test_what_is_an_example_depends_on_the_kind(tmp_path: Path) -> None:
    wanted = {"a.txt": "", "a": "", "0001.ea7e79": "", "a.jpg": ".jpg", "A.PNG": ".png",
              "a.md": ".md", "README.txt": "README.txt", "readme": "readme"}  # fmt: skip
    assert {name: other_kind(name, TEXT_NAMES) for name in wanted} == wanted
    assert [is_example_name(n, TEXT_NAMES) for n in ("a.TXT", "readme.txt", "a.jpg")] == [
        True, False, False,
    ]  # fmt: skip
    assert other_kind("a.txt") == ".txt", "of pictures"
    root = write_text_folders(tmp_path / "set", per_class=2)
    (root / "harbour" / "cover.jpg").write_bytes(b"x")
    contents = open_source("auto", root, "", TEXTS)
    assert contents.lines()[1] == "not texts by their name: 1 .jpg"
    assert contents.others == {".jpg": 1}


def test_files_beside_folders_of_texts_are_said(tmp_path: Path) -> None:
    root = folders(tmp_path / "set", rows())
    (root / "train" / "notes.txt").write_text("x")
    (root / "train" / "stray.jpg").write_bytes(b"x")
    (root / "labels.txt").write_text("x")
    line = look(root)
    assert "; 1 text without a class in train left out; 1 other file without a class" in line
    assert "; 1 text beside the splits left out" in line


def test_pictures_are_no_texts_and_texts_no_pictures(tmp_path: Path) -> None:
    pictures = write_folders(tmp_path / "pictures", per_class=2)
    with pytest.raises(DataError, match="holds no class with a text"):
        look(pictures)
    with pytest.raises(DataError, match="holds no class with a picture"):
        look(write_text_folders(tmp_path / "texts", per_class=2), sought=Sought())
    for source in ("webdataset", "imagefolder", "torchvision:MNIST"):
        with pytest.raises(
            DataError, match="holds no texts; folder, parquet, saved, splits, table do"
        ):
            look(pictures, source)


def test_columns_of_texts(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("review,comment,label\na,b,c\nd,e,f\n")
    with pytest.raises(DataError, match="review, comment could each be the text"):
        look(tmp_path)
    (tmp_path / "t.csv").write_text("words,label\na,b\n")
    with pytest.raises(DataError, match=r"lacks the column text; .* text \(or sentence, content"):
        open_source("table", tmp_path, "t.csv", TEXTS)
    (tmp_path / "t.csv").write_bytes("text,label\ncafé,b\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"cannot be read as a table: .* Save it as UTF-8"):
        open_source("table", tmp_path, "t.csv", TEXTS)


@pytest.mark.parametrize("kind", ["labels", "numbers"])
@pytest.mark.parametrize("source", ["auto", "folder", "splits"])
def test_class_folders_have_no_labels_and_no_numbers(
    tmp_path: Path, kind: str, source: str
) -> None:
    sought = Sought(TEXT_NAMES, Target(kind))
    root = write_text_folders(tmp_path, per_class=2)
    with pytest.raises(DataError, match=r"one class for each text; (labels|numbers) stand in"):
        look(root, source, sought)


def test_a_table_beside_class_folders_is_no_question_where_labels_are_wanted(
    tmp_path: Path,
) -> None:
    root = write_text_folders(tmp_path, per_class=2)
    (root / "t.csv").write_text("text,tags\na,x|y\nb,x\n")
    assert "(labels: tags, 2 texts)" in look(root, sought=Sought(TEXT_NAMES, Target("labels")))
    with pytest.raises(DataError, match=r"lacks the column target or value or y for the numbers"):
        look(root, sought=Sought(TEXT_NAMES, Target("numbers")))
