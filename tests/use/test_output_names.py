"""Names of files that are written of pictures: never two alike, never outside."""

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftcore.use.inputs import Named
from sftcore.use.output_names import common_folder, png_names, relative_names


def named(*paths: str) -> list[Named]:
    """Files, or members of archives after a ``!``."""
    return [Named(of, *of.split("!")) for of in paths]


def test_names_follow_the_pictures_below_what_holds_them_all() -> None:
    inputs = named("/data/a/x.jpg", "/data/a/b/y.PNG", "/data/z")
    assert relative_names(inputs) == ["a/x.jpg", "a/b/y.PNG", "z"]
    assert png_names(relative_names(inputs)) == ["a/x.png", "a/b/y.png", "z.png"]
    assert common_folder(inputs) == "//data"
    assert relative_names(named("some/where/x.jpg")) == ["x.jpg"]
    assert relative_names(named("a/../b/x.jpg", "./b/c/y.jpg")) == ["x.jpg", "c/y.jpg"]


def test_archives_are_folders() -> None:
    one = named("/d/s.zip!a/x.jpg", "/d/s.zip!y.jpg")
    assert relative_names(one) == ["a/x.jpg", "y.jpg"]
    two = named("/d/s.zip!x.jpg", "/d/t.zip!x.jpg")
    assert relative_names(two) == ["s.zip/x.jpg", "t.zip/x.jpg"]


def test_the_first_keeps_its_name() -> None:
    names = ["a.jpg", "a.png", "A.JPG", "b/c.jpg", "b/c.jpg", "a.png", "legend.gif"]
    found = png_names(names, ["legend.png"])
    assert found == [
        "a.png", "a.png.png", "A.JPG.png", "b/c.png", "b/c.jpg.png", "a.png (2).png",
        "legend.gif.png",
    ]  # fmt: skip
    for count in range(len(names)):
        assert png_names(names[:count], ["legend.png"]) == found[:count]


def test_a_file_is_in_no_folders_way() -> None:
    assert png_names(["a.jpg", "a.png/x.jpg", "a.PNG/x.jpg"]) == [
        "a.png", "a.png_/x.png", "a.PNG_/x.jpg.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "member", ["../x.jpg", "/x.jpg", "..\\..\\x.jpg", "C:\\x.jpg", "a/../../x.jpg"]
)
def test_members_that_lead_outside_stay_inside(member: str) -> None:
    (name,) = relative_names([Named("n", "/d/s.zip", member)])
    assert ".." not in PurePosixPath(name).parts
    assert not PurePosixPath(name).is_absolute()
    assert "\\" not in name


PART = st.text(st.sampled_from("aAbé\u0301./\\:\n .png"), min_size=1, max_size=9)


@given(st.lists(PART, min_size=1, max_size=12))
def test_whatever_they_are_called_files_are_apart_and_inside(members: list[str]) -> None:
    inputs = [Named(str(k), "/d/s.zip", f"x/{of}.jpg") for k, of in enumerate(members)]
    found = png_names(relative_names(inputs), ["legend.png"])
    assert len({name.casefold() for name in [*found, "legend.png"]}) == len(members) + 1
    places = [PurePosixPath(name) for name in found]
    for place in places:
        assert place.suffix == ".png"
        assert not place.is_absolute()
        assert ".." not in place.parts
        assert str(place).isprintable()
        assert not set(map(str, place.parents)) & set(found), "a file is no folder of another"
    assert os.path.commonpath(["/out", *(os.path.normpath(f"/out/{p}") for p in places)]) == "/out"


def test_long_and_undecodable_names_can_be_written(tmp_path: Path) -> None:
    raw = os.fsdecode(b"\xff\xfe.jpg")
    long = "日" * 84
    inputs = named(f"/d/{long}.jpg", f"/d/{long}.png", f"/d/{raw}", f"/d/{long}.gif")
    names = png_names(relative_names(inputs))
    assert len(set(names)) == 4
    for name in names:
        assert len(name.encode()) <= 225
        (tmp_path / name).write_bytes(b"")
