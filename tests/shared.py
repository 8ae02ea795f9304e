"""Folders that are costly to make: one worker of pytest-xdist makes them, and all of them read."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder of this test run; who needs it first makes it, and others wait.

    Args:
        factory: of the worker's own folders.
        name: of the folder; one for each ``make``.
        make: is given the folder's path, at which nothing is.

    Returns:
        The folder, which tests must leave as it is.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all workers of this run
    folder, finished = base / name, base / f"{name}.finished"
    with FileLock(base / f"{name}.lock"):
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            make(folder)
            finished.touch()
    return folder
