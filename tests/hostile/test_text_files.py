"""Files and tables of texts from strangers: they cost a moment, and lead nowhere."""

import contextlib
import json
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sftcore.data.kinds import Refused
from sftcore.data.sources import Sought, open_source
from sftcore.data.targets.target import Target, parse_list
from sftcore.data.texts.decode import decode_text
from sftcore.data.texts.names import TEXT_NAMES
from sftcore.foundations.errors import DataError
from tests.texts import write_text_folders

TEXTS = Sought(TEXT_NAMES)
TARGETS = [Sought(TEXT_NAMES, Target(kind)) for kind in ("class", "labels", "numbers")]
MARKS = "\u0301\u0316" * 250_000


@pytest.mark.parametrize(
    "content",
    [("a" + MARKS).encode(), MARKS.encode(), b"\xff\xfe" * 500_000, b"\0" * 10**6,
     "\u1100\u1161\u11a8".encode() * 100_000],
    ids=["marks", "marks alone", "marks of UTF-16", "nothing", "Korean in pieces"],
)  # fmt: skip
@pytest.mark.timeout(60)
def test_a_text_that_swells_or_is_hard_costs_a_moment(content: bytes) -> None:
    with contextlib.suppress(Refused):
        assert len(decode_text(content, max_characters=100_000)) <= 100_000


def test_lists_in_lists_cost_a_moment() -> None:
    for cell in ("[" * 10**6, '["' + "a" * 10**6, "|" * 10**5, "[" + "1," * 10**5 + "1e999]"):
        with pytest.raises(Refused):
            parse_list(cell, "tags")


def test_links_pipes_and_names_that_are_no_text(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    root = write_text_folders(tmp_path / "set", per_class=1)
    (root / "harbour" / "out.txt").symlink_to(secret)
    os.mkfifo(root / "harbour" / "pipe.txt")
    (root / "harbour" / os.fsdecode(b"\xff.txt")).write_text("x")
    wanted = {"harbour/out.txt": "outside the data folder", "harbour/pipe.txt": "not a file",
              "harbour/\\xff.txt": "unreadable name"}  # fmt: skip
    items = {item.id: item for item in open_source("auto", root, "", TEXTS).items}
    for name, reason in wanted.items():
        with pytest.raises(Refused, match=reason):
            items[name].read()


def test_a_path_in_a_table_of_texts_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    root = write_text_folders(tmp_path / "set", per_class=1)
    lines = ["path,label", "harbour/000.txt,a", "../secret.txt,b", f"{tmp_path}/secret.txt,b"]
    (root / "t.csv").write_text("\n".join(lines))
    for item in open_source("table", root, "t.csv", TEXTS).items:
        if item.label == "b":
            with pytest.raises(Refused, match="outside the data folder"):
                item.read()


def test_a_zip_with_a_name_that_leads_out_is_refused_for_texts_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/../../b.txt", "x")
    with pytest.raises(DataError, match="leads out of it"):
        open_source("auto", tmp_path / "x.zip", "", TEXTS)


CELLS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(
    st.text(max_size=3) | st.integers(), max_size=3
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sought=st.sampled_from(TARGETS),
    rows=st.lists(
        st.dictionaries(
            st.sampled_from(("text", "path", "label", "labels", "target", "split", "group")), CELLS
        ),
        max_size=6,
    ),
)
def test_any_lines_of_json_are_read_or_refused(
    sought: Sought, rows: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    (folder / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    try:
        contents = open_source("table", folder, "t.jsonl", sought)
    except DataError:
        return
    for item in contents.items:
        try:
            decode_text(item.read())
            sought.target.parse(item.label, item.cells, contents.columns)
        except Refused:
            continue


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sought=st.sampled_from(TARGETS),
    content=st.binary(max_size=120)
    | st.text('text,labels,target\n"|;[]\t\0\r01.e\u00e9', max_size=120).map(
        lambda text: b"text,label,labels,target\n" + text.encode()
    ),
)
def test_any_csv_is_read_or_refused(
    sought: Sought, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("table")
    (folder / "t.csv").write_bytes(content)
    try:
        contents = open_source("table", folder, "t.csv", sought)
    except DataError:
        return
    for item in contents.items:
        try:
            decode_text(item.read())
            sought.target.parse(item.label, item.cells, contents.columns)
        except Refused:
            continue
