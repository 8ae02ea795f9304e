"""Every file that differs from its hash is named."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.project import call_program, copy_project, run_program

pytestmark = pytest.mark.timeout(900)  # of real stages, on a slow machine


@pytest.fixture
def project(finished_project: Path, tmp_path: Path) -> Path:
    return copy_project(finished_project, tmp_path / "project", ".sft", "mlflow.db", "mlartifacts")


def verify(project: Path) -> tuple[int, str]:
    done = call_program(project, "verify")
    return done.returncode, done.stdout + done.stderr


def test_untouched_nothing_differs(project: Path) -> None:
    done = run_program(project, "python", "-m", "sftcore", "verify")
    assert (done.returncode, "no file differs" in done.stdout) == (0, True), done.stderr
    assert "there is no reference" in done.stdout
    assert call_program(project, "reference").returncode == 0
    assert "the same bytes as the reference" in verify(project)[1]
    # Another kind of machine is held to a tolerance.
    (kept,) = (project / "reference").iterdir()
    kept.rename(kept.with_name("cuda-other.json"))
    assert "within ±0.05" in verify(project)[1]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()  # it may be a link into DVC's cache
    path.write_bytes(bytes(content))


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def add(path: Path) -> None:
    path.with_name("extra.txt").write_text("not of the pipeline")


def comment(path: Path) -> None:
    path.write_text(path.read_text() + "# changed\n")


@pytest.mark.parametrize(
    ("name", "damage", "named"),
    [
        ("data/prepared/images.npy", flip, "images.npy: sha256 is"),
        ("models/finetuned/model.safetensors", cut, "model.safetensors: sha256 is"),
        ("reports/evaluate/metrics.json", flip, "metrics.json: md5 is"),
        ("reports/ablation/cells.csv", Path.unlink, "cells.csv: missing"),
        ("reports/ablation/cells.csv", add, "extra.txt: was not written by the pipeline"),
        ("data/mine/circle/000.png", flip, "000.png: sha256 is"),
        ("sftcore/foundations/errors.py", comment, "sftcore/foundations: differs from"),
    ],
)
def test_what_was_changed_is_named(
    project: Path, name: str, damage: Callable[[Path], None], named: str
) -> None:
    damage(project / name)
    code, said = verify(project)
    assert code == 1
    assert named in said


def test_without_the_cache_the_folder_is_named(project: Path) -> None:
    shutil.rmtree(project / ".dvc" / "cache")
    assert verify(project)[0] == 0
    flip(project / "reports/evaluate/metrics.json")
    assert "reports/evaluate: differs" in verify(project)[1]
