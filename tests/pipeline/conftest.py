"""A project that real git and real DVC have run once."""

import time
from pathlib import Path

import pytest

from tests.pipeline.project import copy_project, dvc, dvc_here, git, make_project, set_params
from tests.shared import made_once

SECONDS_FILE = "seconds.txt"


def run_once(folder: Path) -> None:
    """Make a repository, run its pipeline in this process, and commit its lock.

    That stages which are processes of their own write the same bytes is seen where the pipeline is
    killed again and again, and where it runs in an unlike place.
    """
    make_project(folder, tracking__enabled=True)
    git(folder, "init", "-b", "main")
    dvc(folder, "init", "-q")
    dvc(folder, "config", "core.analytics", "false")
    with (folder / ".gitignore").open("a") as ignored:
        ignored.write("!/data/mine/\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-m", "project")
    began = time.monotonic()
    dvc_here(folder, "repro")
    (folder / ".git" / SECONDS_FILE).write_text(str(time.monotonic() - began))
    git(folder, "add", "-A")
    git(folder, "commit", "-m", "first run")


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that has run the pipeline once; all workers read it, so it stays as it is."""
    return made_once(tmp_path_factory, "finished_project", run_once)


@pytest.fixture(scope="session")
def seconds_of_a_run(finished_project: Path) -> float:
    """How long the pipeline took here, where no stage has to import anything first."""
    return float((finished_project / ".git" / SECONDS_FILE).read_text())


@pytest.fixture(scope="session")
def untold_project(finished_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same outside of git and DVC and without MLflow; as it is, too."""

    def make(folder: Path) -> None:
        copy_project(finished_project, folder, ".git", ".dvc", "mlflow.db", "mlartifacts")
        set_params(folder, {"tracking.enabled": False})

    return made_once(tmp_path_factory, "untold_project", make)
