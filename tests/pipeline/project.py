"""A copy of the project with few pictures and a small network, to be run from its command line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sftcore.foundations.artifacts import sha256_file
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
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("sftcore", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("dvc.yaml", "requirements.lock", ".gitignore", ".dvcignore"):
        shutil.copyfile(ROOT / name, folder / name)
    write_folders(folder / "data" / "mine")
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    shutil.copytree(ROOT / "studies", folder / "studies")
    set_params(folder, SMALL | {name.replace("__", "."): v for name, v in changes.items()})
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


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every output file."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for output in OUTPUTS
        for path in sorted((folder / output).rglob("*"))
        if path.is_file()
    }


def dvc(folder: Path, *arguments: str) -> str:
    """What ``dvc`` prints; it must succeed."""
    done = run_program(folder, "dvc", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def git(folder: Path, *arguments: str) -> None:
    """Run git under a name of its own; it must succeed."""
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)
