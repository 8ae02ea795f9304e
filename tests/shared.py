"""What several tests use: folders that are costly to make, and the figures that are drawn."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


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


def figures_drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures, as they are drawn from now on; each as it was laid out."""
    drawn: list[Figure] = []
    original = FigureCanvasAgg.print_png

    def kept(canvas: FigureCanvasAgg, *given: Any, **named: Any) -> Any:
        drawn.append(canvas.figure)
        return original(canvas, *given, **named)

    monkeypatch.setattr(FigureCanvasAgg, "print_png", kept)
    return drawn
