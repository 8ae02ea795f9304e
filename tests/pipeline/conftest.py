"""A project that real git and real DVC have run once."""

from pathlib import Path

import pytest

from tests.pipeline.project import dvc, git, make_project


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that has run the pipeline once and committed its lock."""
    folder = make_project(tmp_path_factory.mktemp("dvc"), tracking__enabled=True)
    git(folder, "init", "-b", "main")
    dvc(folder, "init", "-q")
    dvc(folder, "config", "core.analytics", "false")
    with (folder / ".gitignore").open("a") as ignored:
        ignored.write("!/data/mine/\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-m", "project")
    dvc(folder, "repro")
    git(folder, "add", "-A")
    git(folder, "commit", "-m", "first run")
    return folder
