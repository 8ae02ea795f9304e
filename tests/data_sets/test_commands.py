"""The commands that make the example data: written whole, compared, refused with a way out."""

from pathlib import Path

import pytest

from data.make import counts, folders, glosses, scenes, tags
from data.make.folders import command, differences, read_sums

FILES = {"a.csv": b"x\n1\n", "pictures/1.jpg": b"one"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(folders, "DATA", tmp_path)
    return tmp_path


def test_made_files_replace_earlier_ones_and_leave_what_is_by_hand(data: Path) -> None:
    folder = data / "some"
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures" / "old.jpg").write_bytes(b"old")
    (folder / "README.md").write_text("by hand")
    command("some", lambda _: FILES, [])
    assert differences(folder) == []
    assert set(read_sums(folder)) == set(FILES)
    assert (folder / "README.md").read_text() == "by hand"
    assert not (folder / "pictures" / "old.jpg").exists()


def test_check_writes_nothing_and_names_what_differs(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("some", lambda _: FILES, [])
    command("some", lambda _: FILES, ["--check"])
    with pytest.raises(SystemExit, match="2"):
        command("some", lambda _: FILES | {"a.csv": b"x\n2\n"}, ["--check"])
    assert "1 of 2 files" in (error := capsys.readouterr().err)
    assert "a.csv" in error
    assert (data / "some" / "a.csv").read_bytes() == FILES["a.csv"]


@pytest.mark.parametrize(
    ("name", "make", "package"),
    [
        ("glosses", glosses.make, "wordnet-base"),
        ("tags", tags.make, "openclipart-svg"),
        ("counts", counts.make, "openclipart-png"),
        ("scenes", scenes.make, "openclipart-png"),
    ],
)
def test_without_the_package_the_message_says_how_to_get_it(
    name: str,
    make: folders.Make,
    package: str,
    data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(name, make, ["--root", str(data)])
    error = capsys.readouterr().err
    assert f"apt-get install {package}" in error
    assert "--root" in error
    assert not (data / name).exists()
