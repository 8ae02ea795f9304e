"""Rows that are done are kept, as long as they hold."""

from pathlib import Path

import pytest

from sftcore.foundations.errors import OutputError
from sftcore.use.inputs import Named
from sftcore.use.journal import Journal

PICTURES = [Named(f"{name}.png", f"{name}.png", stamp="1") for name in "abcd"]


def begin(output: Path, key: str = "k", pictures: list[Named] = PICTURES, num: int = 3) -> None:
    """A run that was killed after some rows."""
    journal = Journal(output, key, pictures)
    journal.add(pictures[:num], [f"{named.name},1\n" for named in pictures[:num]])
    journal.close()


def num_done(output: Path, key: str, pictures: list[Named]) -> int:
    journal = Journal(output, key, pictures)
    journal.close()
    return journal.num_done


def test_rows_are_kept_up_to_the_first_that_does_not_hold(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    begin(output)
    assert num_done(output, "k", PICTURES) == 3
    changed = [PICTURES[0], Named("b.png", "b.png", stamp="2"), *PICTURES[2:]]
    assert num_done(output, "k", changed) == 1
    assert num_done(output, "k", PICTURES) == 1  # the others are gone for good
    assert num_done(output, "other", PICTURES) == 0


def test_a_torn_row_is_done_again_and_the_end_is_the_same(tmp_path: Path) -> None:
    output, part = tmp_path / "out.csv", tmp_path / ".out.csv.part"
    begin(output)
    part.write_bytes(part.read_bytes()[:-4])
    journal = Journal(output, "k", PICTURES)
    assert journal.num_done == 2
    journal.add(PICTURES[2:], [f"{named.name},1\n" for named in PICTURES[2:]])
    journal.finish("file,x\n")
    assert output.read_text() == "file,x\n" + "".join(f"{p.name},1\n" for p in PICTURES)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_bytes_that_are_no_journal_are_not_believed(tmp_path: Path) -> None:
    output, part = tmp_path / "out.csv", tmp_path / ".out.csv.part"
    for content in (b"\x00\xff", b'{"key": "k"}\n[1]\n', b'{"key": "k"}\n{"name": 1}\n'):
        part.write_bytes(content)
        assert num_done(output, "k", PICTURES) == 0


def test_two_do_not_write_at_once_and_a_folder_is_no_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out.csv", "k", PICTURES)
    with pytest.raises(OutputError, match="another process"):
        Journal(tmp_path / "out.csv", "k", PICTURES)
    journal.close()
    with pytest.raises(OutputError, match="is a folder"):
        Journal(tmp_path, "k", PICTURES)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        Journal(tmp_path / "file" / "out.csv", "k", PICTURES)
