"""What a key of a training or a cell says of the code: all that the numbers depend on."""

import shutil
from pathlib import Path

import pytest
import torch

from sftcore.ablation.cells import CELL_CODE
from sftcore.training.keys import code_digest, code_files, training_key
from tests.import_closure import ROOT, closure_of
from tests.training.test_loop import small

PACKAGE = ROOT / "sftcore"
# What the engine imports, and what chooses the kernels and the threads that it computes with.
ENGINE = (
    "training/recipe.py",
    "training/keys.py",
    "foundations/runtime.py",
    "foundations/instruction_set.py",
)
# These say which cells there are. What that comes to, resolved parameters, is in the key itself.
NAMES_CELLS_ALONE = {
    "ablation/__init__.py",
    "ablation/plan.py",
    "data/pictures/settings.py",
    "data/settings.py",
    "data/texts/settings.py",
    "evaluation/__init__.py",
    "evaluation/settings.py",
    "foundations/runtime_settings.py",
    "foundations/yaml_files.py",
    "settings/__init__.py",
    "settings/grids.py",
    "settings/moved.py",
    "settings/reading.py",
    "settings/studies.py",
    "settings/tracking.py",
    "settings/tree.py",
}
TASK = "classification"


def names(files: set[Path]) -> set[str]:
    return {path.relative_to(PACKAGE).as_posix() for path in files}


def closure(*roots: str) -> set[str]:
    return names(closure_of(*(PACKAGE / root for root in roots)))


def test_the_digest_is_of_all_that_the_engine_runs() -> None:
    covered = names(set(code_files(PACKAGE)))
    assert covered == closure(*ENGINE)
    assert {"training/step.py", "tasks/multilabel/task.py", "stability/guard.py"} <= covered
    assert not {"training/tables.py", "tasks/classification/report.py"} & covered


def test_that_of_a_cell_is_also_of_what_measures_it() -> None:
    covered = names(set(code_files(PACKAGE, CELL_CODE)))
    assert closure(*ENGINE, "ablation/cells.py") - covered == NAMES_CELLS_ALONE
    assert "ablation/cells.py" in covered


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("copy") / "package"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.mark.parametrize("extra", [(), CELL_CODE], ids=["training", "cell"])
def test_a_byte_in_any_of_the_files_moves_the_digest_and_in_others_it_does_not(
    package: Path, extra: tuple[str, ...]
) -> None:
    roots = (*ENGINE, "ablation/cells.py") if extra else ENGINE
    wanted = closure(*roots) - NAMES_CELLS_ALONE
    before = code_digest(package, extra)
    assert before == code_digest(PACKAGE, extra)
    files = {path.relative_to(package).as_posix(): path for path in package.rglob("*.py")}
    assert wanted <= files.keys()

    def digest_with_a_byte_more(*changed: Path) -> str:
        contents = {path: path.read_bytes() for path in changed}
        for path, content in contents.items():
            path.write_bytes(content + b"#")
        code_digest.cache_clear()
        found = code_digest(package, extra)
        for path, content in contents.items():
            path.write_bytes(content)
        return found

    others = [path for name, path in files.items() if name not in wanted]
    assert digest_with_a_byte_more(*others) == before
    digests = {name: digest_with_a_byte_more(files[name]) for name in wanted}
    assert len({before, *digests.values()}) == 1 + len(wanted)


def test_a_file_that_the_digest_names_is_there(package: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no_such"):
        code_files(package, ("no_such_folder",))
    with pytest.raises(FileNotFoundError, match="no_such"):
        code_files(package, ("no_such.py",))


def test_keys_of_a_training_and_of_a_cell_differ_by_their_code() -> None:
    params = small()

    def key(extra: tuple[str, ...]) -> str:
        return training_key(
            params.model, params.train, task=TASK, seed=0,
            data="", device=torch.device("cpu"), num_threads=1,
            mode="native", environment=ROOT / "requirements.lock", extra_code=extra,
        )  # fmt: skip

    assert key(()) != key(CELL_CODE)
