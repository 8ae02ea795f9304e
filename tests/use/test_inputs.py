"""What users name: hostile names, archives, folders that cannot be read, nothing at all."""

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sftcore.data.pictures.decode import Decoding, Refused
from sftcore.foundations.errors import DataError
from sftcore.use import decoding, inputs, tiled_pictures
from sftcore.use.decoding import open_all
from sftcore.use.inputs import find_files
from sftcore.use.tiles import Cutting
from tests.pictures import draw, encode

DECODING = Decoding(32, 10_000, (255, 255, 255))
PNG = encode(draw("circle", 0))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(*arguments: str) -> list[inputs.Named]:
    return find_files(arguments, Path("out.csv"), "pictures")


def test_names_of_any_bytes_are_read_and_printed_in_a_line(here: Path) -> None:
    (here / "set").mkdir()
    for name in (b"a\nb.png", b"\xff.png", b"=cmd.png", b".hidden.png"):
        (here / "set" / os.fsdecode(name)).write_bytes(PNG)
    found = find("set")
    assert [named.name for named in found] == ["set/=cmd.png", "set/a\\x0ab.png", "set/\\xff.png"]
    assert all(named.read() == PNG for named in found)


def test_an_archive_is_read_in_memory_and_leads_nowhere(here: Path) -> None:
    with zipfile.ZipFile("set.zip", "w") as archive:
        for name in ("inner/a.png", "../out.png", "/etc/b.png", "__MACOSX/c.png", "d/"):
            archive.writestr(name, PNG)
        archive.writestr("torn.png", PNG)
    content = Path("set.zip").read_bytes()
    at = content.rindex(PNG)
    Path("set.zip").write_bytes(content[: at + 50] + b"!" + content[at + 51 :])
    opened = {of.named.name: of for of in open_all(find("set.zip"), DECODING, 0)}
    assert opened["set.zip/inner/a.png"].example is not None
    assert "outside the archive" in opened["set.zip/../out.png"].reason
    assert "outside the archive" in opened["set.zip//etc/b.png"].reason
    assert "CRC" in opened["set.zip/torn.png"].reason
    assert len(opened) == 4
    assert sorted(path.name for path in here.iterdir()) == ["set.zip"]


def test_a_bomb_is_not_unpacked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MOST_BYTES", 1000)
    with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(1_000_000))
    Path("big.png").write_bytes(bytes(2000))
    for named in find("bomb.zip", "big.png"):
        with pytest.raises(Refused, match="over the size limit"):
            named.read()


def test_an_archive_that_is_none_is_refused_at_once(here: Path) -> None:
    Path("a.zip").write_bytes(PNG)
    with pytest.raises(DataError, match="zip archive"):
        find("a.zip")


@pytest.mark.parametrize("argument", ["nowhere.png", "*.png", "empty"])
def test_what_names_nothing_is_refused(here: Path, argument: str) -> None:
    (here / "empty").mkdir()
    with pytest.raises(DataError, match=r"no file"):
        find(argument)


def test_globs_links_and_special_files(here: Path) -> None:
    Path("a.png").write_bytes(PNG)
    Path("b[1].png").write_bytes(PNG)
    Path("link.png").symlink_to("a.png")
    Path("broken.png").symlink_to("nowhere")
    os.mkfifo("pipe.png")
    assert [named.name for named in find("b[1].png")] == ["b[1].png"]  # a file before a glob
    opened = list(open_all(find("*.png", "a.png"), DECODING, 0))
    reasons = {of.named.name: of.reason for of in opened}
    assert reasons["a.png"] == reasons["link.png"] == ""
    assert "cannot be read" in reasons["broken.png"]
    assert "not a file" in reasons["pipe.png"]
    assert len(opened) == 5  # a.png once


def test_a_folder_that_cannot_be_read_is_a_row(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "set" / "locked").mkdir(parents=True)
    (here / "set" / "a.png").write_bytes(PNG)
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    opened = list(open_all(find("set"), DECODING, 0))
    assert [(of.named.name, of.reason) for of in opened] == [
        ("set/a.png", ""),
        ("set/locked", "cannot be read: folder: Permission denied"),
    ]


def test_the_output_is_no_input(here: Path) -> None:
    Path("a.png").write_bytes(PNG)
    Path("out.csv").write_text("file\n")
    assert [named.name for named in find(".")] == ["./a.png"]


def test_processes_give_the_same_in_order(here: Path) -> None:
    (here / "set").mkdir()
    for number in range(50):
        content = encode(draw("square", number)) if number % 7 else b"none"
        (here / "set" / f"{number:02d}.png").write_bytes(content)
    alone, many = (list(open_all(find("set"), DECODING, count)) for count in (0, 2))
    assert [of.named for of in many] == [of.named for of in alone]
    assert [of.reason for of in many] == [of.reason for of in alone]
    for one, other in zip(alone, many, strict=True):
        assert (one.example is None) == (other.example is None)
        assert one.example is None or (one.example == other.example).all()


def test_processes_that_decode_import_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take each of them two seconds and 600 MB."""
    sent: list[Any] = []
    for module in (decoding, tiled_pictures):
        monkeypatch.setattr(module, "read_all", lambda _, read, *rest: sent.append(read) or [])
    list(open_all([], DECODING, 2))
    reading = object.__new__(tiled_pictures.TiledReading)
    reading._cutting = Cutting(DECODING, 16, 0.25)
    list(reading.open_all([], 2))
    assert len(sent) == 2
    program = "import pickle, sys; pickle.load(sys.stdin.buffer); print('torch' in sys.modules)"
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, input=pickle.dumps(sent)) == b"False\n"
