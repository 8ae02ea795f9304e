import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from sftcore.foundations import artifacts
from sftcore.foundations.errors import OutputError


def test_canonical_json_does_not_depend_on_order_and_holds_no_nan() -> None:
    assert artifacts.sha256_json({"a": 1, "b": 2}) == artifacts.sha256_json({"b": 2, "a": 1})
    text = artifacts.canonical_json({"x": float("nan"), "y": [float("inf"), 1.5]})
    assert json.loads(text) == {"x": None, "y": [None, 1.5]}


def test_csv_bytes_are_fixed(tmp_path: Path) -> None:
    artifacts.write_csv(tmp_path / "t.csv", pd.DataFrame({"a": [1 / 3], "b": ["é"]}))
    assert (tmp_path / "t.csv").read_bytes() == "a,b\n0.333333333,é\n".encode()


def test_tensors_do_not_depend_on_their_order(tmp_path: Path) -> None:
    tensors = {"b": torch.ones(2), "a": torch.zeros(3)}
    artifacts.write_tensors(tmp_path / "1", tensors)
    artifacts.write_tensors(tmp_path / "2", dict(sorted(tensors.items())))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_output_folder_keeps_the_earlier_one_on_an_error(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with artifacts.output_folder(target) as folder:
        (folder / "file").write_text("first")

    def fail_halfway() -> None:
        with artifacts.output_folder(target) as folder:
            (folder / "file").write_text("second")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert (target / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_output_folder_replaces_all_of_the_earlier_one(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with artifacts.output_folder(tmp_path / "out") as folder:
            (folder / name).write_text("")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["second"]


def test_a_full_disk_is_an_output_error_and_leaves_no_rest(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")

    def write_to_a_full_disk() -> None:
        with artifacts.output_folder(tmp_path / "out") as folder:
            (folder / "file").symlink_to(full)
            (folder / "file").write_text("x" * 100_000)

    with pytest.raises(OutputError, match="No space left"):
        write_to_a_full_disk()
    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_told_before_the_work(tmp_path: Path) -> None:
    artifacts.require_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(OutputError, match="MB left"):
        artifacts.require_space(tmp_path / "not" / "yet", 1 << 60)


def test_write_into_a_file_used_as_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        artifacts.write_text(tmp_path / "file" / "below", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
