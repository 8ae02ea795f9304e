"""Run twice in two places and compare: ``python -m reliability.reproduce [--task TASK | --small]``.

Two fresh copies of the repository, in folders of other names and depths, run ``dvc repro`` from
nothing, under another locale, time zone, umask, hash seed, order of directory listings, and number
of worker processes. Their dvc.lock must be byte-identical, and equal to the committed one. With
``--task``, that of an example; with ``--small``, of a small project. Exit code 1 if a byte differs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from sftcore.foundations.repository import EXAMPLES
from sftcore.foundations.yaml_files import read_yaml
from sftcore.settings.tree import Params
from tests.pipeline.project import environment, make_project, set_params

ROOT = Path(__file__).parent.parent
SHUFFLE = '''
"""Directory listings in another order than the file system's."""
import os, random
_listdir, _scandir = os.listdir, os.scandir
def listdir(*arguments):
    names = _listdir(*arguments)
    random.Random(len(names)).shuffle(names)
    return names
class scandir:
    def __init__(self, *arguments):
        self._real = _scandir(*arguments)
        self._left = list(self._real)
        random.Random(len(self._left)).shuffle(self._left)
    def __iter__(self): return self
    def __next__(self):
        if not self._left: raise StopIteration
        return self._left.pop()
    def __enter__(self): return self
    def __exit__(self, *_): self.close()
    def close(self): self._real.close()
os.listdir, os.scandir = listdir, scandir
'''


@dataclass(frozen=True)
class Place:
    """Where a pipeline is run, besides its folder.

    Attributes:
        variables: of the environment.
        umask: of its processes.
        num_workers: processes that train cells of the study.
        is_shuffled: whether folders are listed in another order than the file system's.
    """

    variables: Mapping[str, str]
    umask: int
    num_workers: int
    is_shuffled: bool


PLACES = {
    "a": Place({"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "0"}, 0o022, 1, is_shuffled=False),
    "another/and deeper/b": Place(
        {"LC_ALL": "C.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "4711"}, 0o077, 2,
        is_shuffled=True,
    ),
}  # fmt: skip


def run_pipeline(folder: Path) -> None:
    """``dvc repro`` from its beginning to its end.

    Raises:
        CalledProcessError: a stage failed.
    """
    subprocess.run(["dvc", "repro"], cwd=folder, env=environment(), check=True, stdout=sys.stderr)


def reproduce(
    root: Path,
    *,
    within: Path = Path(),
    is_small: bool = False,
    places: dict[str, Place] = PLACES,
    known: Sequence[Path] = (),
    run: Callable[[Path], object] = run_pipeline,
) -> list[str]:
    """Run in all places under ``root``; a line for every difference.

    Args:
        root: an empty folder.
        within: the folder of a copy whose pipeline is run: the top or an example.
        is_small: whether a small project runs and not the shipped one, whose lock is compared too.
        places: by the names of their folders.
        known: locks of runs elsewhere, which are compared with those of the places.
        run: brings the pipeline in a folder to its end.
    """
    (root / "shuffle").mkdir()
    (root / "shuffle" / "sitecustomize.py").write_text(SHUFFLE)
    locks = [*known]
    for name, place in places.items():
        folder = lay_out(root / name, is_small) / within
        (folder / "dvc.lock").unlink(missing_ok=True)
        set_params(folder, {"runtime.num_workers": place.num_workers})
        shuffled = {"PYTHONPATH": str(root / "shuffle")} if place.is_shuffled else {}
        with surroundings({**place.variables, **shuffled}, place.umask):
            run(folder)
        locks.append(folder / "dvc.lock")
    if not is_small:
        locks.append(ROOT / within / "dvc.lock")
    return [line for lock in locks[1:] for line in differences(locks[0], lock)]


@contextmanager
def surroundings(variables: Mapping[str, str], mask: int) -> Iterator[None]:
    """Variables and a umask for the processes that are started within."""
    before = os.umask(mask)
    try:
        with mock.patch.dict(os.environ, variables):
            yield
    finally:
        os.umask(before)


def lay_out(folder: Path, is_small: bool) -> Path:
    """A copy that has never run."""
    if is_small:
        make_project(folder)
        for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
            subprocess.run(command, cwd=folder, env=environment(), check=True)
        return folder
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    return folder


def differences(first: Path, second: Path) -> list[str]:
    """What two lock files say differently; nothing if they are byte-identical."""
    if first.read_bytes() == second.read_bytes():
        return []
    lines = []
    stages = [read_yaml(lock)["stages"] for lock in (first, second)]
    for name in stages[0].keys() | stages[1].keys():
        entries = [stage.get(name, {}) for stage in stages]
        for part in ("deps", "outs"):
            hashes = [{e["path"]: e["md5"] for e in entry.get(part, ())} for entry in entries]
            differing = {path for path, _ in hashes[0].items() ^ hashes[1].items()}
            lines += [f"{name}: {path} differs" for path in sorted(differing)]
        if entries[0].get("params") != entries[1].get("params"):
            lines.append(f"{name}: parameters differ")
    return lines or [f"{first} and {second} differ in form"]


def main() -> None:
    """Run in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--task", default="", help="a folder of examples/; without, the top")
    which.add_argument("--small", action="store_true")
    options = parser.parse_args()
    is_top = options.task in ("", Params().task)
    within = Path() if is_top else Path(EXAMPLES, options.task)
    with tempfile.TemporaryDirectory(prefix="reproduce-") as temporary:
        found = reproduce(Path(temporary), within=within, is_small=options.small)
    if found:
        sys.exit("\n".join(found))
    print(f"dvc.lock is byte-identical in {len(PLACES)} places")


if __name__ == "__main__":
    main()
