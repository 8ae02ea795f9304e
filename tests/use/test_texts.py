"""Texts that users name: files, archives and tables, each row with a name of its own."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sftcore.data.prepare import prepare
from sftcore.data.store import open_store
from sftcore.data.texts.kind import TextKind
from sftcore.evaluation.predict import ModelRecord
from sftcore.foundations.errors import DataError, ParamsError
from sftcore.use.inputs import Named, find_files
from sftcore.use.opening import Opened
from sftcore.use.reading import Reading, ReadingOptions, reading_of
from sftcore.use.text_requests import read_request
from tests.conftest import PREPARE
from tests.texts import compose

RECORD = ModelRecord("b", 0.0, {}, 1, "native", "m", task="text_classification",
                     facts={"names": ["a", "b"]})  # fmt: skip
TEXTS = [compose("harbour", 0), 'He said: "no,\nnever"', "=cmd|' /C calc'!A0", "NA", "naïve"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def reading(**options: object) -> Reading:
    return reading_of(RECORD, ReadingOptions(**options))  # type: ignore[arg-type]


def named(*arguments: str, **options: object) -> list[Named]:
    how = reading(**options)
    files = find_files(arguments, Path("out.csv"), "texts")
    return [example for file in files for example in how.examples_of(file)]


def opened(*arguments: str, **options: object) -> dict[str, Opened]:
    found = list(reading(**options).open_all(named(*arguments, **options), 0))
    assert len({of.named.name for of in found}) == len(found)
    return {of.named.name: of for of in found}


def write_tables(folder: Path) -> list[str]:
    frame = pd.DataFrame({"number": range(len(TEXTS)), "text": TEXTS})
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_csv(folder / "t.tsv", index=False, sep="\t")
    frame.to_json(folder / "t.jsonl", orient="records", lines=True)
    frame.to_parquet(folder / "t.parquet")
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("is_packed", [False, True])
def test_rows_of_every_table_are_texts_with_names(here: Path, is_packed: bool) -> None:
    names = write_tables(here / "set")
    place = "set"
    if is_packed:
        place = "set.zip"
        with zipfile.ZipFile(place, "w") as archive:
            for name in names:
                archive.write(here / "set" / name, name)
    found = opened(place)
    assert list(found) == [f"{place}/{name}/{row:06d}" for name in names for row in range(5)]
    for name in names:
        assert [found[f"{place}/{name}/{row:06d}"].example for row in range(5)] == TEXTS


def test_names_and_texts_are_those_of_prepare(here: Path) -> None:
    rows = [(compose(kind, seed), kind) for kind in ("harbour", "kitchen") for seed in range(12)]
    (here / "set").mkdir()
    table = pd.DataFrame([*rows, ("", "kitchen")], columns=["sentence", "label"])
    table.sample(frac=1, random_state=0).to_csv("set/mine.csv", index=False)
    settings = PREPARE | {"kind": TextKind(1000), "source": "table", "table": "mine.csv"}
    prepare(**settings, path=here / "set", output=here / "prepared")
    store = open_store(here / "prepared", ("train", "val", "test"))
    found = opened("set/mine.csv")
    for row, name in zip(store.samples["row"], store.samples["id"], strict=True):
        assert found[f"set/{name}"].example == store.texts.read([row])[0]
    audit = pd.read_csv(here / "prepared/audit.csv", dtype=str)
    refused = {name: of.reason for name, of in found.items() if of.example is None}
    assert list(refused) == [f"set/{name}" for name in audit["id"]]
    assert next(iter(refused.values())).startswith("empty")


def test_a_file_is_judged_by_its_bytes_and_other_kinds_by_their_names(here: Path) -> None:
    (here / "set").mkdir()
    contents = {
        "a.txt": TEXTS[0].encode(), "b": b"plain", "c.txt": b"", "d.txt": b"caf\xe9",
        "e.txt": b"a\0b", "f.txt": b"x" * 41, "g.jpg": b"text", "h.txt": "ü".encode("utf-16"),
        "i.pdf": b"%PDF-1.7\0",
    }  # fmt: skip
    for name, content in contents.items():
        (here / "set" / name).write_bytes(content)
    (here / "set" / os.fsdecode(b"\xff.txt")).write_bytes(b"text")
    os.mkfifo(here / "set" / "z.csv")
    found = {name.removeprefix("set/"): of for name, of in opened("set", max_characters=40).items()}
    assert {name: of.example for name, of in found.items() if of.example} == {
        "b": "plain", "h.txt": "ü", "\\xff.txt": "text",
    }  # fmt: skip
    reasons = {name: of.reason for name, of in found.items() if of.reason}
    assert {name: reason.partition(":")[0] for name, reason in reasons.items()} == {
        "a.txt": "over the character limit", "c.txt": "empty", "d.txt": "not UTF-8",
        "e.txt": "control characters", "f.txt": "over the character limit", "g.jpg": "not a text",
        "i.pdf": "control characters", "z.csv": "not a file",
    }  # fmt: skip


def test_columns_are_found_asked_for_or_named(here: Path) -> None:
    frame = pd.DataFrame({"review": ["one"], "comment": ["two"], "Words": ["three"]})
    frame.to_csv("t.csv", index=False)
    with pytest.raises(DataError, match=r"review, comment could each be .* after --column"):
        named("t.csv")
    assert [of.example for of in opened("t.csv", column="words").values()] == ["three"]
    with pytest.raises(DataError, match=r"lacks the column nothing; it has review, .*: nothing$"):
        named("t.csv", column="nothing")
    frame[["Words"]].to_csv("t.csv", index=False)
    with pytest.raises(DataError, match=r"lacks the column text; .* name the column after --col"):
        named("t.csv")
    Path("t.csv").write_text("text\na,b\n")
    with pytest.raises(DataError, match="more cells than there are names of columns"):
        named("t.csv")


def test_a_table_that_was_not_asked_for_is_a_row_with_its_reason(here: Path) -> None:
    (here / "set").mkdir()
    (here / "set" / "a.txt").write_text("text")
    (here / "set" / "notes.csv").write_text("date,author\n1,me\n")
    (here / "set" / "bad.parquet").write_bytes(b"PAR1")
    found = opened("set")
    assert found["set/a.txt"].example == "text"
    assert "lacks the column text" in found["set/notes.csv"].reason
    assert "cannot be read as a table" in found["set/bad.parquet"].reason
    with pytest.raises(DataError, match="cannot be read as a table"):
        named("set/bad.parquet")


def test_a_table_may_name_files_but_none_outside(here: Path) -> None:
    (here / "set").mkdir()
    (here / "secret.txt").write_text("secret")
    (here / "set" / "a.txt").write_text("text")
    lines = ["path", "a.txt", "gone.txt", "../secret.txt", str(here / "secret.txt")]
    (here / "set" / "t.csv").write_text("\n".join(lines))
    found = list(opened("set/t.csv").values())
    assert [of.example for of in found] == ["text", None, None, None]
    assert [of.reason.partition(":")[0] for of in found[1:]] == [
        "not a file", "outside the data folder", "outside the data folder",
    ]  # fmt: skip
    before = [of.named.stamp for of in found]
    (here / "set" / "a.txt").write_text("another text")
    after = [of.stamp for of in named("set/t.csv")]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, *[True] * 3]


def test_an_option_of_another_kind_is_refused(here: Path) -> None:
    with pytest.raises(ParamsError, match="--max-pixels means nothing for a model of texts"):
        reading(max_pixels=5)
    pictures = ModelRecord("b", 0.0, {}, 1, "native", "m", classes=["a", "b"], image_size=8)
    for options in ({"max_characters": 5}, {"column": "text"}):
        with pytest.raises(ParamsError, match="means nothing for a model of pictures"):
            reading_of(pictures, ReadingOptions(**options))  # type: ignore[arg-type]


def test_requests_of_every_form(here: Path) -> None:
    wanted = ["one", "two"]
    frame = pd.DataFrame({"id": [1, 2], "text": wanted})
    for given in (
        wanted, np.array(wanted, dtype=object), np.array(wanted), np.array(wanted)[:, None],
        pd.Series(wanted), pd.Series(wanted, dtype="string"), frame, frame[["text"]],
        frame[["text"]].rename(columns={"text": "other"}), {"text": wanted}, {"other": wanted},
        {"id": [1, 2], "text": np.array(wanted)}, [b"one", b"two"],
    ):  # fmt: skip
        assert read_request(given) == wanted
    assert read_request("one") == ["one"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "no text was given"), (None, "no text was given"), (7, "no text was given"),
        (["a", None], "text 1: empty"), (["a", 7], "text 1: not a text"),
        (pd.Series(["a", None], dtype="string"), "text 1: not a text"),
        (pd.Series(["a", None], dtype=object), "text 1: empty"),
        ([["a"]], "text 0: not a text"), ([np.array(["a", "b"])], "text 0: not a text"),
        (["  "], "text 0: empty"), (["a\0"], "text 0: control characters"),
        (["a" * 1_000_001], "text 0: over the character limit"), (["\ud800"], "text 0: not UTF-8"),
        (np.array([["a", "b"], ["c", "d"]]), r"an array \[2, 2\] was given"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), "a table of 2 columns was given"),
        (pd.DataFrame([["x", "y"]], columns=["text", "text"]), "several columns 'text'"),
        ({"a": ["x"], "b": ["y"]}, "2 inputs were given"),
    ],
)  # fmt: skip
def test_requests_that_are_no_texts_get_a_reason(given: object, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        read_request(given)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_any_lines_of_json_are_rows(here: Path) -> None:
    cells = ["fine", None, 7, ["a"], "half \ud800", "", "x\u202ey"]
    Path("t.jsonl").write_text("\n".join(json.dumps({"text": cell}) for cell in cells))
    found = list(opened("t.jsonl").values())
    assert [of.example for of in found] == ["fine", *[None] * 5, "x\u202ey"]
