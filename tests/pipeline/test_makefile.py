"""The Makefile in a copy that git does not know."""

import shutil
import sys
from pathlib import Path

from tests.pipeline.project import ROOT, git, run_program

QUIET = "--no-print-directory"  # else a make that was started by another names its folder


def test_a_copy_without_git_runs_and_says_what_it_lacks(tmp_path: Path) -> None:
    shutil.copyfile(ROOT / "Makefile", tmp_path / "Makefile")
    shutil.copytree(ROOT / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns(
        "cache", "tmp", "config.local"))  # fmt: skip
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: echo done > a, outs: [a]}}\n")
    (tmp_path / "requirements.lock").touch()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / ".venv" / ".installed").touch()
    assert "is not a git repository" in run_program(tmp_path, "dvc", "repro").stderr
    done = run_program(tmp_path, "make", QUIET, "scm")
    assert (done.returncode, "dvc exp needs `git init`" in done.stdout) == (0, True), done.stderr
    assert run_program(tmp_path, "dvc", "repro").returncode == 0
    git(tmp_path, "init", "--quiet")
    done = run_program(tmp_path, "make", QUIET, "scm")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no_scm" not in (tmp_path / ".dvc" / "config.local").read_text()
