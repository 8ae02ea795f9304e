"""What stages leave for the report."""

from pathlib import Path

import pytest

from sftcore.reporting.parts import Figure, Part, Table, read_parts, write_parts

PART = Part(
    "Data", ("One.", "Two."), (Figure("a.png", "a", "a.csv"),),
    (Table("a.csv", "a row is a picture", {"z": "picture", "a": "label"}, 3, {"x": "y"}),),
    is_folded=True,
)  # fmt: skip


def test_parts_come_back_as_they_were_left(tmp_path: Path) -> None:
    for name in ("a.png", "a.csv"):
        (tmp_path / name).write_bytes(b"x")
    write_parts(tmp_path, [PART, Part("Empty")])
    found = read_parts(tmp_path)
    assert found == [PART, Part("Empty")]
    assert list(found[0].tables[0].columns) == ["z", "a"]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"'Data' shows .*a\.csv"):
        write_parts(tmp_path, [PART])


def test_a_stage_that_has_not_run_says_nothing(tmp_path: Path) -> None:
    assert read_parts(tmp_path) == []
