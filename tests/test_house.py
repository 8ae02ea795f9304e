"""The house: no room but ``tasks/`` asks which task it serves, and nothing grows too large."""

import ast
from pathlib import Path

import numpy as np
import pytest

from sftcore.settings.tree import Params
from sftcore.tasks.registry import TASKS
from tests.import_closure import ROOT

ROOMS = ("ablation", "evaluation", "optimization", "regularization", "stability", "tracking",
         "training")  # fmt: skip
FILES = sorted((ROOT / "sftcore").rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_does_not_ask_which_task_it_serves(room: str) -> None:
    names = set(TASKS) | {kind.__name__ for kind in TASKS.values()}
    for path in (ROOT / "sftcore" / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in names, f"{path.name}:{node.lineno} names a task"
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sftcore.tasks"):
                own = node.module.removeprefix("sftcore.tasks").strip(".").split(".")[0]
                assert own not in names, f"{path.name}:{node.lineno} imports a task"
            assert not (isinstance(node, ast.Name) and node.id in names), path


def test_every_task_is_known_under_its_name() -> None:
    assert {name: kind.name for name, kind in TASKS.items()} == {name: name for name in TASKS}
    assert Params().task in TASKS


def test_files_and_functions_stay_small() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in FILES}
    assert {path.name: size for path, size in sizes.items() if size > 300} == {}
    assert np.median([size for size in sizes.values() if size > 1]) < 130
    lengths = [
        node.end_lineno - node.lineno + 1
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None
    ]
    assert np.percentile(lengths, 90) <= 32


@pytest.mark.parametrize("library", ["torchvision", "timm", "transformers", "mlflow"])
def test_large_libraries_are_imported_where_they_are_used(library: str) -> None:
    """Each takes a second or more, and most processes get by without."""
    for path in FILES:
        if path.name == "pyfunc_model.py":  # code that MLflow carries along
            continue
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in getattr(node, "names", ())]
            names.append(getattr(node, "module", None) or "")
            assert library not in {name.partition(".")[0] for name in names}, path


def test_the_packages_top_is_no_room() -> None:
    at_the_top = {path.name for path in Path(ROOT / "sftcore").glob("*.py")}
    assert at_the_top == {"__init__.py", "__main__.py", "pyfunc_model.py"}
