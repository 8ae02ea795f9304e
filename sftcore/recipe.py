"""From params.yaml to objects: the only place where names and sections become plain arguments."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from sftcore.data.portions import Portion, take_portion
from sftcore.data.store import Store
from sftcore.foundations.artifacts import sha256_file, sha256_json
from sftcore.models.network import Start, build_start
from sftcore.models.parameter_groups import format_claims
from sftcore.planning import (
    check_lengths,
    plan_averaging,
    plan_phases,
    plan_seeds,
    plan_update,
)
from sftcore.settings.sections import ModelParams, TrainParams
from sftcore.stability.precision import FULL
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FeatureCache
from sftcore.training.loop import fit
from sftcore.training.plan import Plan, Rows
from sftcore.training.records import EpochRecord, FitResult
from sftcore.training.settings import Selection
from sftcore.training.views import Pictures

WHOLE = Portion()

PACKAGE = Path(__file__).parent
# What a training's numbers depend on: a change in these files makes another training. It is all
# that the engine imports: a file too many costs a training, one too few gives a wrong number.
_CODE = (
    "__init__.py", "planning.py", "recipe.py",
    "foundations/__init__.py", "foundations/artifacts.py", "foundations/errors.py",
    "foundations/instruction_set.py", "foundations/interruption.py", "foundations/randomness.py",
    "foundations/runtime.py",
    "settings/__init__.py", "settings/grids.py", "settings/parameter_types.py",
    "settings/sections.py",
    "data/__init__.py", "data/loader.py", "data/pictures/__init__.py",
    "data/pictures/augment.py", "data/portions.py", "data/splits.py", "data/store.py",
    "models", "optimization", "regularization", "stability", "tasks", "training",
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A training: what it began with, what came of it, and which parameters it changed."""

    start: Start
    plan: Plan
    result: FitResult
    claims: str


def train(
    store: Store,
    model: ModelParams,
    train: TrainParams,
    *,
    seed: int,
    device: torch.device,
    cache: FeatureCache,
    on_epoch: Callable[[EpochRecord], None],
    checkpoints: Checkpoints | None = None,
    portion: Portion = WHOLE,
    precision: str = FULL,
    measure_every: int = 1,
) -> Trained:
    """Fine-tune one network as the parameters say.

    Args:
        store: opened with the train and val splits.
        model: backbone, weights, head.
        train: the recipe.
        seed: decides head, order, augmentation and dropout, where ``train`` gives them none.
        device: where to compute.
        cache: features of frozen blocks; pass the same one to trainings that share them.
        on_epoch: called with every epoch's record.
        checkpoints: of the training that :func:`training_key` names.
        portion: which of the pictures to train and to validate on.
        precision: of the updates; see :func:`sftcore.stability.precision.computed_in`.
        measure_every: epochs from one measurement of the training pictures to the next; the first
            and the last are measured in any case.

    Raises:
        WeightsError: unknown backbone, or weights that do not fit.
        ParamsError: ``model.trainable_blocks`` is more than the backbone has, or a length of the
            schedule is more than a phase has.
    """
    start, plan = prepare_training(
        store,
        model,
        train,
        seed=seed,
        device=device,
        portion=portion,
        precision=precision,
        measure_every=measure_every,
    )
    claims = format_claims(plan.claim(start.network, plan.phases[-1].first_block))
    result = fit(start.network, plan, cache=cache, on_epoch=on_epoch, checkpoints=checkpoints)
    return Trained(start, plan, result, claims)


def prepare_training(
    store: Store,
    model: ModelParams,
    train: TrainParams,
    *,
    seed: int,
    device: torch.device,
    portion: Portion = WHOLE,
    precision: str = FULL,
    measure_every: int = 1,
) -> tuple[Start, Plan]:
    """The network to start with and the plan; see :func:`train`."""
    seeds = plan_seeds(train, seed)
    parts = take_portion(store.samples, portion, seed)
    rows = Rows(
        parts.train,
        parts.val,
        parts.judge,
        torch.from_numpy(store.labels).to(device),
        len(store.classes),
        store.samples["row"].to_numpy(dtype=np.int64, copy=True),
    )
    check_lengths(train, len(rows.train))
    start = build_start(
        backbone=model.backbone,
        weights=model.weights,
        num_classes=len(store.classes),
        image_size=store.image_size,
        dropout=model.dropout,
        seed=seeds.init,
        device=device,
        stochastic_depth=model.stochastic_depth,
        with_source_head=train.co_tuning > 0,
    )
    random_part = seeds.init if model.weights == "none" else 0  # random blocks differ by seed
    plan = Plan(
        pictures=Pictures(
            images=store.images,
            mean=start.record.mean,
            std=start.record.std,
            background=store.background,
            device=device,
        ),
        rows=rows,
        phases=plan_phases(model, train, len(start.network.blocks)),
        update=plan_update(train, precision),
        averaging=plan_averaging(train),
        selection=Selection(train.selection_metric, train.selection_margin),
        measure_every=measure_every,
        seeds=seeds,
        frozen_identity=sha256_json(
            [model.backbone, model.weights, start.record.sha256, random_part, store.digest]
        ),
    )
    return start, plan


def training_key(
    model: ModelParams,
    train: TrainParams,
    *,
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
        seed: of the training.
        data: digest of the prepared data.
        device: where it is computed; CUDA and CPU give different last digits.
        num_threads: of one CPU operation, likewise.
        mode: ``portable`` or ``native``, likewise.
        environment: lock file of the installed packages.
        portion: of the data.
        precision: of the updates.
        extra_code: files and folders of the package that, besides the training's, decide what is
            kept under the key.
    """
    file = Path(model.weights)
    beside = file.with_suffix(".json")  # its mean and standard deviation
    read = [each for each in (file, beside) if file.is_file() and each.is_file()]
    weights = [sha256_file(each) for each in read] or model.weights
    place = [device.type, mode, num_threads, precision]
    seeds = [*asdict(plan_seeds(train, seed)).values(), None if portion == WHOLE else seed]
    recipe = train.model_dump(exclude={"seed_init", "seed_order", "seed_augmentation"})
    return sha256_json(
        [model.model_dump(), weights, recipe, seeds, data, asdict(portion), place,
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
        extra: files and folders in it that are to be there too.

    Raises:
        FileNotFoundError: one of them is not there.
    """
    found: list[Path] = []
    for name in (*_CODE, *extra):
        path = package / name
        files = [path] if path.is_file() else sorted(path.rglob("*.py"))
        if not files:
            raise FileNotFoundError(f"{path}: no source file")
        found += files
    return found
