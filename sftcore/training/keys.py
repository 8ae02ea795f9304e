"""What a training's numbers depend on, as one hash."""

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import torch

from sftcore.data.portions import WHOLE, Portion
from sftcore.foundations.artifacts import sha256_file, sha256_json
from sftcore.foundations.source_files import import_closure
from sftcore.models.settings import ModelSettings
from sftcore.models.weights import weights_digest
from sftcore.stability.precision import FULL
from sftcore.training.settings import TrainSettings

PACKAGE = Path(__file__).parent.parent
# What trains, and what chooses the kernels and the threads that it computes with. A training's
# numbers depend on these files and on all that they import: a change there makes another training.
_ROOTS = (
    "training/recipe.py", "training/keys.py", "foundations/runtime.py",
    "foundations/instruction_set.py",
)  # fmt: skip


def training_key(
    model: ModelSettings,
    train: TrainSettings,
    *,
    task: str,
    seed: int,
    data: str,
    device: torch.device,
    num_threads: int,
    mode: str,
    environment: Path,
    portion: Portion = WHOLE,
    precision: str = FULL,
    extra_code: tuple[str, ...] = (),
) -> str:
    """Hash of all that a training's numbers depend on: equal keys, equal numbers.

    Args:
        model: backbone, weights, head; a weights file and its record count by their content.
        train: the recipe.
        task: that is learnt.
        seed: of the training.
        data: digest of the prepared data.
        device: where it is computed; CUDA and CPU give different last digits.
        num_threads: of one CPU operation, likewise.
        mode: ``portable`` or ``native``, likewise.
        environment: lock file of the installed packages.
        portion: of the data.
        precision: of the updates.
        extra_code: files of the package that, besides the training's, decide what is kept under
            the key.
    """
    weights = weights_digest(model.backbone, model.weights)
    place = [device.type, mode, num_threads, precision]
    seeds = [*asdict(train.seeds.resolved(seed)).values(), None if portion == WHOLE else seed]
    recipe = train.model_dump(exclude={"seeds"})
    return sha256_json(
        [task, model.model_dump(), weights, recipe, seeds, data, asdict(portion), place,
         sha256_file(environment), code_digest(extra=extra_code)]
    )  # fmt: skip


@lru_cache(maxsize=2)
def code_digest(package: Path = PACKAGE, extra: tuple[str, ...] = ()) -> str:
    """Hash of the source files that a training's numbers depend on; see :func:`code_files`."""
    files = code_files(package, extra)
    return sha256_json({path.relative_to(package).as_posix(): sha256_file(path) for path in files})


def code_files(package: Path, extra: tuple[str, ...] = ()) -> list[Path]:
    """The source files that a training's numbers depend on.

    Args:
        package: folder of ``sftcore``, or of a copy.
        extra: files in it that count too, without what they import.

    Raises:
        FileNotFoundError: one of them is not there.
    """
    for name in extra:
        if not (package / name).is_file():
            raise FileNotFoundError(f"{package / name}: no source file")
    return sorted({*import_closure(package, _ROOTS), *(package / name for name in extra)})
