"""The same data set in every layout is the same data set."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from sftcore.data.prepare import prepare
from sftcore.data.sources import open_source
from sftcore.foundations.artifacts import sha256_bytes
from tests.conftest import PREPARE
from tests.data.layouts import LAYOUTS, samples, splits


def facts(path: Path) -> set[tuple[str, str, str]]:
    """Content, class and split of every picture."""
    items = open_source("auto", path, "labels.csv").items
    assert [item.id for item in items] == sorted({item.id for item in items})
    return {(sha256_bytes(item.read()), item.label, item.split) for item in items}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_recognised_and_gives_the_same(tmp_path: Path, layout: str) -> None:
    write, words = LAYOUTS[layout]
    rows = samples()
    path = write(tmp_path / "set", rows)
    assert facts(path) == {(sha256_bytes(c), kind, split) for split, kind, _, c in rows}
    line = open_source("auto", path, "labels.csv").description
    assert line.startswith(f"{path}: {words}"), line
    assert "(3 classes, 54 pictures)" in line
    assert "\n" not in line


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_prepared_alike(tmp_path: Path, layout: str) -> None:
    rows = samples()
    settings = PREPARE | {"source": "auto", "near_duplicate_distance": -1}
    prepared = []
    for name, write in (("a", splits), ("b", LAYOUTS[layout][0])):
        path = write(tmp_path / name, rows)
        prepare(**settings, path=path, output=tmp_path / f"{name}-out")
        table = pd.read_csv(tmp_path / f"{name}-out" / "samples.csv")
        prepared.append(table[["sha256", "label", "split"]].sort_values("sha256").values.tolist())
        shutil.rmtree(tmp_path / f"{name}-out")
    assert prepared[0] == prepared[1]
    assert len(prepared[0]) == len(rows)


@pytest.mark.parametrize("layout", ["zip", "tar.gz", "hub", "webdataset txt gz", "saved"])
def test_nothing_is_written_beside_the_data(tmp_path: Path, layout: str) -> None:
    path = LAYOUTS[layout][0](tmp_path / "set", samples())
    before = sorted(file for file in tmp_path.rglob("*"))
    facts(path)
    assert sorted(file for file in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("layout", ["splits", "zip", "hub", "saved", "webdataset cls", "tar.gz"])
def test_no_picture_is_read_when_the_layout_is_looked_at(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sftcore.data.sources import columnar, files, rows, streams

    path = LAYOUTS[layout][0](tmp_path / "set", samples())
    read: list[int] = []
    whole = streams.LastOpened.read

    def note(self: streams.LastOpened, place: Path, start: int, count: int) -> bytes:
        read.append(count)
        return whole(self, place, start, count)

    monkeypatch.setattr(streams.LastOpened, "read", note)
    monkeypatch.setattr(rows.Rows, "read", lambda *_: pytest.fail("a row was read"))
    monkeypatch.setattr(columnar._Walk, "cell", lambda *_: pytest.fail("a row was read"))
    monkeypatch.setattr(files.Path, "read_bytes", lambda *_: pytest.fail("a file was read"))
    assert len(open_source("auto", path, "labels.csv").items) == 54
    assert all(count < 20 for count in read), "only labels of shards are read"


def test_compressed_archives_are_read_from_front_to_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sftcore.data.sources import streams

    path = LAYOUTS["tar.gz"][0](tmp_path / "set", samples())
    places: list[int] = []
    whole = streams.LastOpened.read

    def note(self: streams.LastOpened, place: Path, start: int, count: int) -> bytes:
        places.append(start)
        return whole(self, place, start, count)

    monkeypatch.setattr(streams.LastOpened, "read", note)
    prepare(**PREPARE | {"source": "auto"}, path=path, output=tmp_path / "out")
    assert len(places) == 54
    assert places == sorted(places)
