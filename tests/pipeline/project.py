"""A copy of the project with few pictures and a small network, to be run from its command line."""

import contextlib
import importlib
import io
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ruamel.yaml import YAML

from sftcore import __main__ as program
from sftcore.ablation import cells
from sftcore.foundations.artifacts import sha256_file
from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.instruction_set import PORTABLE
from tests.import_closure import ROOT
from tests.pictures import write_folders

OUTPUTS = ("data/prepared", "models", "reports")
SMALL: dict[str, Any] = {
    "data.path": "data/mine",
    "data.pictures.image_size": 32,
    "data.min_per_class": 3,
    "data.split_seed": 0,
    "model.backbone": "timm/test_efficientnet",
    "model.weights": "none",
    "model.trainable_blocks": 2,
    "train.epochs": 1,
    "train.head.method": "descend",
    "train.head.epochs": 1,
    "train.batch_size": 8,
    "evaluate.num_bootstrap": 100,
    "ablation.judge_fraction": 0.25,
    "ablation.choose_fraction": 0.25,
    "study.screen.num_replicates": 2,
    "study.screen.rows": {"none": {}, "l1": {"train.penalties.l1": 0.001}},
    "study.confirm": {"num_replicates": 2, "num_rows": 1},
    "study.data_size": None,
    "study.stability": {
        "num_replicates": 2,
        "base": {},
        "learning_rates": [0.1],
        "schedules": ["cosine"],
        "answers": {"none": {}},
    },
    "train.range_test.steps": 10,
    "runtime.device": "cpu",
    "runtime.num_threads": 1,
    "runtime.num_workers": 1,
    "tracking.enabled": False,
}


def make_project(folder: Path, **changes: Any) -> Path:
    """Copy the code and lay out pictures and parameters."""
    copy_code(folder)
    for name in ("dvc.yaml", "requirements.lock", ".gitignore", ".dvcignore"):
        shutil.copyfile(ROOT / name, folder / name)
    write_folders(folder / "data" / "mine")
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    shutil.copytree(ROOT / "studies", folder / "studies")
    set_params(folder, SMALL | {name.replace("__", "."): v for name, v in changes.items()})
    return folder


def copy_code(folder: Path) -> None:
    """The packages with the bytecode that is there, which is valid as long as the times are.

    Without it the stages of every copy would compile them first. What is being written there just
    now is left out.
    """
    being_written = shutil.ignore_patterns("*.pyc.*")
    for name in ("sftcore", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=being_written)


def copy_project(project: Path, folder: Path, *left_out: str) -> Path:
    """Copy a project that has run; its MLflow store, if it comes along, then lies in the copy.

    Args:
        project: the project.
        folder: where the copy goes; nothing is there.
        left_out: names of its files and folders that stay behind.
    """

    def ignore(place: str, names: list[str]) -> set[str]:
        return set(left_out if Path(place) == project else ()) & set(names)

    shutil.copytree(project, folder, ignore=ignore, symlinks=True)
    if (folder / "mlflow.db").exists():
        places = {"experiments": "artifact_location", "runs": "artifact_uri",
                  "logged_models": "artifact_location"}  # fmt: skip
        with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as store, store:
            for table, column in places.items():
                store.execute(
                    f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                    (project.as_uri(), folder.as_uri()),
                )
    return folder


def set_params(folder: Path, changes: dict[str, Any]) -> None:
    """Change parameters by dotted name; a name that is not there is added.

    Those that begin with ``study.`` are of the quick study.
    """
    of_study = {n.removeprefix("study."): v for n, v in changes.items() if n.startswith("study.")}
    others = {name: value for name, value in changes.items() if not name.startswith("study.")}
    _change(folder / "params.yaml", others)
    _change(folder / "studies" / "quick.yaml", of_study)


def _change(file: Path, changes: dict[str, Any]) -> None:
    if not changes:  # writing it would lay it out anew, and DVC hashes it
        return
    yaml = YAML()
    tree = yaml.load(file)
    for name, value in changes.items():
        *path, last = name.split(".")
        branch = tree
        for part in path:
            branch = branch[part]
        branch[last] = value
    yaml.dump(tree, file)


def environment(**extra: str) -> dict[str, str]:
    """The caller's environment with this Python's programs first and bytecode files on.

    Kernels are not those of the tests: what is run chooses its own.
    """
    dropped = {"PYTHONDONTWRITEBYTECODE", *PORTABLE}
    kept = {n: v for n, v in os.environ.items() if n not in dropped}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return kept | {"PATH": path} | extra


def run_program(folder: Path, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program in the project."""
    env = environment(**options.pop("env", {}))
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=600, **options
    )


def run_stage(folder: Path, stage: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run one stage as DVC would."""
    return run_program(folder, sys.executable, "-m", f"stages.{stage}", **options)


def call_stage(folder: Path, stage: str) -> subprocess.CompletedProcess[str]:
    """Run one stage inside this process, which saves the imports; see :func:`_call`."""
    return _call(folder, importlib.import_module(f"stages.{stage}").main)


def call_program(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m sftcore`` inside this process; see :func:`_call`."""
    with patch.object(sys, "argv", ["sftcore", *arguments]):
        return _call(folder, program.main)


def dvc_here(folder: Path, *arguments: str, fails: bool = False) -> str:
    """What ``dvc`` prints; it and the stages that it runs are called inside this process.

    They must write the bytes that processes of their own have written. Not for what makes
    processes itself, as experiments do.
    """
    from dvc import logger
    from dvc.cli import main
    from dvc.stage.exceptions import StageCmdFailedError

    told: list[str] = []

    def run(executable: str, command: str, cwd: str, env: dict[str, str], **_: Any) -> None:
        python, dash_m, stage = command.split()
        assert (python, dash_m) == ("python", "-m")
        own = {name: value for name, value in env.items() if name.startswith("DVC_")}
        with patch.dict(os.environ, own):
            done = call_stage(Path(cwd), stage.removeprefix("stages."))
        told.append(done.stdout + done.stderr)
        if done.returncode:
            raise StageCmdFailedError(command, done.returncode)

    said = io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        patch("dvc.stage.run._run", run),
    ):
        logger.setup()  # it keeps the streams that it finds
        code = main(list(arguments))
    found = said.getvalue() + "".join(told)
    assert (code != 0) is fails, found
    return found


def _call(folder: Path, main: Callable[[], int | None]) -> subprocess.CompletedProcess[str]:
    """What a process would say and its exit code; what would be a traceback is raised.

    Tests compute with the portable kernels, so that there is nothing left to choose, and under
    stricter rules: a warning is an error. A stage is a process of its own, so what an earlier one
    has kept of its project is forgotten.
    """
    cells._worker_state.cache_clear()
    said, complained = io.StringIO(), io.StringIO()
    code: Any = None
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complained),
        patch("sftcore.settings.early.choose_instruction_set"),
        patch("sftcore.use.kernels.choose_instruction_set"),
    ):
        try:
            with exit_on_error():
                code = main()
        except SystemExit as left:
            code = left.code
    return subprocess.CompletedProcess((), code or 0, said.getvalue(), complained.getvalue())


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every output file."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for output in OUTPUTS
        for path in sorted((folder / output).rglob("*"))
        if path.is_file()
    }


def dvc(folder: Path, *arguments: str, **options: Any) -> str:
    """What ``dvc`` prints; it must succeed."""
    done = run_program(folder, "dvc", *arguments, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def git(folder: Path, *arguments: str) -> None:
    """Run git under a name of its own; it must succeed."""
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)
