"""Hostile and damaged archives and tables: refused shortly, and nothing is ever written."""

import gzip
import io
import json
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from sftcore.data.pictures.decode import Refused
from sftcore.data.prepare import prepare
from sftcore.data.sources import archives as archives_module
from sftcore.data.sources import open_source
from sftcore.foundations.errors import DataError
from tests.conftest import PREPARE
from tests.data.layouts import arrow_table, names, samples, tar_of

GOOD = names(samples(("train",)))


def look(path: Path) -> dict[str, str]:
    """Why each picture is refused; empty for good ones."""
    reasons = {}
    for item in open_source("auto", path, "labels.csv").items:
        try:
            item.read()
            reasons[item.id] = ""
        except Refused as refused:
            reasons[item.id] = refused.reason
    return reasons


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "C:/x.png"])
@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_names_that_lead_out_stop_the_run(tmp_path: Path, name: str, suffix: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    if suffix == ".zip":
        with zipfile.ZipFile(folder / "x.zip", "w") as archive:
            for given, content in [*GOOD, (name, b"x")]:
                archive.writestr(given, content)
    else:
        tar_of(folder / f"x{suffix}", [*GOOD, (name, b"x")])
    with pytest.raises(DataError, match="a name that leads out of it"):
        look(folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", f"x{suffix}"]


def special(kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    member = tarfile.TarInfo(f"train/circle/special{kind.decode()}.png")
    member.type, member.linkname = kind, target
    return member


def test_links_and_special_files_in_a_tar_are_refused(tmp_path: Path) -> None:
    tar_of(tmp_path / "x.tar", GOOD)
    with tarfile.open(tmp_path / "x.tar", "a") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            archive.addfile(special(kind))
    refused = {name: why for name, why in look(tmp_path).items() if why}
    assert len(refused) == 4
    assert set(refused.values()) == {"not a file"}


def test_links_and_encrypted_members_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in GOOD:
            archive.writestr(name, content)
        link = zipfile.ZipInfo("train/circle/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02", 0, content.rindex(b"train/stripes/000.png"))
    content[place + 8] |= 1  # the flag of an encrypted member
    path.write_bytes(bytes(content))
    refused = {name: why for name, why in look(path).items() if why}
    assert refused == {
        "train/circle/link.png": "not a file",
        "train/stripes/000.png": "cannot be read",
    }


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
@pytest.mark.timeout(60)
def test_a_bomb_is_refused_in_a_moment(tmp_path: Path, suffix: str) -> None:
    import resource

    if suffix == ".zip":
        with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for index in range(2):
                with archive.open(f"a{index}/0.png", "w", force_zip64=True) as file:
                    for _ in range(600):
                        file.write(bytes(1 << 20))
    else:
        header = tarfile.TarInfo("a/0.png")
        header.size = 1 << 40  # it ends long before
        with gzip.open(tmp_path / "x.tar.gz", "wb") as file:
            file.write(header.tobuf())
            file.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="it would become more than 1024 MiB"):
        look(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_header_that_swells_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    with gzip.open(tmp_path / "x.tar.gz", "wb") as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
    with pytest.raises(DataError, match="a header of 1073741824 bytes"):
        look(tmp_path)


def test_a_member_over_the_limit_is_one_broken_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives_module, "MAX_MEMBER_BYTES", 5000)
    tar_of(tmp_path / "x.tar", [*GOOD, ("train/circle/huge.png", bytes(6000))])
    assert {name for name, why in look(tmp_path).items() if why == "over the size limit"} == {
        "train/circle/huge.png"
    }


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz"])
def test_cut_and_false_archives_are_explained(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/b.png", bytes(9000))
    else:
        tar_of(path, GOOD)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="cannot be read as an archive"):
        look(path)
    path.write_bytes(b"no archive at all" * 100)
    with pytest.raises(DataError, match="cannot be read as an archive"):
        look(path)


def test_damage_in_the_middle_of_a_tar_is_not_its_end(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "x.tar", GOOD)
    content = bytearray(path.read_bytes())
    content[content.index(b"train/square/000.png") + 150] ^= 1  # in a header
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged in the middle"):
        look(path)


def test_damage_inside_a_zip_is_one_broken_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in GOOD:
            archive.writestr(name, content)
    content = bytearray(path.read_bytes())
    content[content.index(b"train/square/000.png") + 100] ^= 1
    path.write_bytes(bytes(content))
    assert [name for name, why in look(path).items() if why == "cannot be read"] == [
        "train/square/000.png"
    ]


def test_hostile_names_in_an_archive_are_refused_or_harmless(tmp_path: Path) -> None:
    strange = "train/circle/a\rb\x1b[31m.png"
    tar_of(tmp_path / "x.tar", [*GOOD, (strange, b"x"), ("train/=cmd|x/0.png", GOOD[0][1])])
    reasons = look(tmp_path)
    assert reasons["train/circle/a\\x0db\\x1b[31m.png"] == "unreadable name"
    assert "\x1b" not in open_source("auto", tmp_path, "").description


def test_the_later_of_two_members_of_one_name_counts(tmp_path: Path) -> None:
    later = samples(("test",))[0][3]
    tar_of(tmp_path / "x.tar", [*GOOD, (GOOD[0][0], later)])
    items = {item.id: item for item in open_source("auto", tmp_path, "").items}
    assert len(items) == len(GOOD)
    assert items[GOOD[0][0]].read() == later


@pytest.mark.parametrize(
    "name", ["t.parquet", "t.csv", "t.jsonl", "data/train-00000-of-00001.parquet"]
)
def test_tables_of_any_bytes_are_explained(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    for content in (b"", b"\xff\xfe\x00", b"PAR1" + os.urandom(50) + b"PAR1", b"[" * 100_000):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError):
            look(tmp_path)
        if name.startswith("t."):
            with pytest.raises(DataError, match=r"cannot be read as a table|lacks the column"):
                open_source("table", tmp_path, name)


def test_paths_in_rows_cannot_leave_the_data(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(samples()[0][3])
    root = tmp_path / "set"
    root.mkdir()
    secret = str(tmp_path / "secret.png")
    cells = [{"bytes": None, "path": secret}, {"bytes": None, "path": "../secret.png"}]
    table = pd.DataFrame({"image": cells, "label": ["a", "b"]})
    table.to_parquet(root / "t.parquet")
    assert set(look(root).values()) == {"outside the data folder"}
    lines = [{"image": cell, "label": label} for cell, label in zip(cells, "ab", strict=True)]
    (root / "t.parquet").unlink()
    (root / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert set(look(root).values()) == {"outside the data folder"}


def test_rows_without_a_picture_are_broken_pictures(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows = samples(("train",))
    table = arrow_table(rows, with_info=True).to_pylist()
    table[0]["image"] = None
    import pyarrow as pa

    schema = arrow_table(rows, with_info=True).schema
    pq.write_table(pa.Table.from_pylist(table, schema=schema), tmp_path / "t.parquet")
    settings = PREPARE | {"source": "auto", "near_duplicate_distance": -1}
    summary = prepare(**settings, path=tmp_path, output=tmp_path / "out")
    assert summary["refused"] == {"empty file": 1}


def test_a_tar_inside_is_never_opened(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a/b.png"))
    tar_of(tmp_path / "x.tar", [*GOOD, ("train/circle/more.tar", inner.getvalue())])
    contents = open_source("auto", tmp_path, "")
    assert contents.others == {".tar": 1}
    assert len(contents.items) == len(GOOD)
