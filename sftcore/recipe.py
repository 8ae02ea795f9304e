"""From params.yaml to objects: the only place where names and sections become plain arguments."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from sftcore.artifacts import sha256_file, sha256_json
from sftcore.data.augment import Augmentation
from sftcore.data.loader import split_batches
from sftcore.data.portions import Portion, take_portion
from sftcore.data.store import Store
from sftcore.errors import ParamsError
from sftcore.models.network import Start, build_start
from sftcore.models.parameter_groups import format_claims
from sftcore.optimization.clipping import Clipping
from sftcore.optimization.optimizers import scaled_rate
from sftcore.optimization.schedules import Schedule
from sftcore.regularization.penalties import Coefficients
from sftcore.sections import ModelParams, TrainParams
from sftcore.stability.guard import GuardSettings
from sftcore.stability.precision import FULL
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FeatureCache
from sftcore.training.loop import fit
from sftcore.training.plan import Plan, Rows
from sftcore.training.records import EpochRecord, FitResult
from sftcore.training.settings import Averaging, Phase, Seeds, Sweep, Update
from sftcore.training.views import Pictures

WHOLE = Portion()

# What a training's numbers depend on: a change in these files makes another training.
_CODE = (
    "artifacts.py", "sections.py", "randomness.py", "recipe.py", "runtime.py", "data/augment.py",
    "data/loader.py", "data/portions.py", "data/store.py", "metrics/calibration.py",
    "metrics/classification.py", "models", "optimization", "regularization", "stability", "tasks",
    "training",
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A training: what it began with, what came of it, and which parameters it changed."""

    start: Start
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

    Raises:
        WeightsError: unknown backbone, or weights that do not fit.
        ParamsError: ``model.trainable_blocks`` is more than the backbone has, or a length of the
            schedule is more than a phase has.
    """
    start, plan = prepare_training(
        store, model, train, seed=seed, device=device, portion=portion, precision=precision
    )
    claims = format_claims(plan.claim(start.network, plan.phases[-1].first_block))
    result = fit(start.network, plan, cache=cache, on_epoch=on_epoch, checkpoints=checkpoints)
    return Trained(start, result, claims)


def prepare_training(
    store: Store,
    model: ModelParams,
    train: TrainParams,
    *,
    seed: int,
    device: torch.device,
    portion: Portion = WHOLE,
    precision: str = FULL,
) -> tuple[Start, Plan]:
    """The network to start with and the plan; see :func:`train`."""
    seeds = plan_seeds(train, seed)
    rows = Rows(
        *take_portion(store.samples, portion, seed),
        torch.from_numpy(store.labels).to(device),
        len(store.classes),
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
        selection_metric=train.selection_metric,
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
) -> str:
    """Hash of all that a training's numbers depend on: equal keys, equal numbers.

    Args:
        model: backbone, weights, head; a weights file counts by its content.
        train: the recipe.
        seed: of the training.
        data: digest of the prepared data.
        device: where it is computed; CUDA and CPU give different last digits.
        num_threads: of one CPU operation, likewise.
        mode: ``portable`` or ``native``, likewise.
        environment: lock file of the installed packages.
        portion: of the data.
        precision: of the updates.
    """
    file = Path(model.weights)
    weights = sha256_file(file) if file.is_file() else model.weights
    place = [device.type, mode, num_threads, precision]
    seeds = [*asdict(plan_seeds(train, seed)).values(), None if portion == WHOLE else seed]
    recipe = train.model_dump(exclude={"seed_init", "seed_order", "seed_augmentation"})
    return sha256_json(
        [model.model_dump(), weights, recipe, seeds, data, asdict(portion), place,
         sha256_file(environment), code_digest()]
    )  # fmt: skip


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Hash of the source files that a training's numbers depend on."""
    package = Path(__file__).parent
    files = [
        path
        for name in _CODE
        for path in ([package / name] if name.endswith(".py") else (package / name).rglob("*.py"))
    ]
    return sha256_json({str(path.relative_to(package)): sha256_file(path) for path in files})


def plan_phases(model: ModelParams, train: TrainParams, num_blocks: int) -> list[Phase]:
    """The head first, then the trained blocks with it (LP-FT; Kumar et al., ICLR 2022).

    The head phase sees plain pictures, so that the backbone's features are computed only once.

    Raises:
        ParamsError: more blocks are asked for than the backbone has.
    """
    wanted = num_blocks if model.trainable_blocks == "all" else model.trainable_blocks
    if wanted > num_blocks:
        raise ParamsError(
            f"model.trainable_blocks is {wanted}; {model.backbone} can be cut into {num_blocks} "
            f"block{'s' * (num_blocks > 1)}: set 'all' or a number from 0 to {num_blocks}"
        )
    head = Phase(
        name="head",
        num_epochs=train.head_epochs,
        first_block=num_blocks,
        unfreeze_every_epochs=0,
        learning_rate=_peak(train, train.head_learning_rate),
        schedule=plan_schedule(train),
        sweep=_sweep(train, train.head_learning_rate),
        augmentation=Augmentation(),
        early_stopping_patience=train.early_stopping_patience,
        early_stopping_min_change=train.early_stopping_min_change,
    )
    full = replace(
        head,
        name="full",
        num_epochs=train.epochs,
        first_block=num_blocks - wanted,
        unfreeze_every_epochs=train.unfreeze_every_epochs,
        learning_rate=_peak(train, train.learning_rate),
        sweep=_sweep(train, train.learning_rate),
        augmentation=changed_pictures(train),
    )
    return [phase for phase in (head, full) if phase.num_epochs > 0]


def changed_pictures(train: TrainParams) -> Augmentation:
    """How the training pictures of the full phase are changed."""
    return Augmentation(
        policy=train.augmentation_policy,
        strength=train.augmentation,
        erasing=train.random_erasing,
        mixup=train.mixup,
        cutmix=train.cutmix,
    )


def _peak(train: TrainParams, rate: float | str) -> float | None:
    """The peak for this size of the batch; None where the range test decides, at that size."""
    if isinstance(rate, str):
        return None
    return scaled_rate(rate, train.rate_scaling, train.batch_size, train.rate_scaling_batch_size)


def _sweep(train: TrainParams, rate: float | str) -> Sweep | None:
    if not train.range_test and not isinstance(rate, str):
        return None
    return Sweep(
        least=train.range_test_least,
        most=train.range_test_most,
        num_steps=train.range_test_steps,
        suggestion=train.range_test_suggestion,
    )


def plan_schedule(train: TrainParams) -> Schedule:
    """How the learning rate goes on from its peak."""
    return Schedule(
        name=train.schedule,
        warmup=train.warmup,
        factor=train.schedule_factor,
        every=train.schedule_every,
        milestones=tuple(train.schedule_milestones),
        end=train.schedule_end,
        power=train.schedule_power,
        cycles=train.schedule_cycles,
        rise=train.schedule_rise,
        decay=train.schedule_decay,
        patience=train.schedule_patience,
    )


def check_lengths(train: TrainParams, num_train: int) -> None:
    """Refuse a schedule that does not fit into the phases.

    Args:
        train: the recipe.
        num_train: training pictures.

    Raises:
        ParamsError: a length is more than a phase has.
    """
    steps_per_epoch = len(split_batches(np.arange(num_train), train.batch_size))
    for num_epochs in (train.head_epochs, train.epochs):
        if num_epochs > 0:
            try:
                plan_schedule(train).in_steps(num_epochs, steps_per_epoch)
            except ValueError as error:
                raise ParamsError(str(error)) from error


def plan_seeds(train: TrainParams, seed: int) -> Seeds:
    """The seed of each stream: its own, or else that of the training."""

    def own(value: int | None) -> int:
        return seed if value is None else value

    return Seeds(own(train.seed_init), own(train.seed_order), own(train.seed_augmentation))


def plan_guard(train: TrainParams) -> GuardSettings:
    """What counts as trouble, and the answers."""
    return GuardSettings(
        answers=() if train.guard == "none" else tuple(train.guard.split("+")),
        loss_z=train.guard_loss_z,
        norm_z=train.guard_norm_z,
        window=train.guard_window,
        snapshot_updates=train.guard_snapshot_updates,
        rate_factor=train.guard_rate_factor,
        max_incidents=train.guard_max_incidents,
    )


def plan_update(train: TrainParams, precision: str) -> Update:
    """The settings of one update."""
    return Update(
        optimizer=train.optimizer,
        momentum=train.momentum,
        weight_decay=train.weight_decay,
        penalties=Coefficients(train.l1, train.l2, train.l1_sp, train.l2_sp),
        penalty_form=train.penalty_form,
        head_penalty_factor=train.head_penalty_factor,
        penalize_norm_and_bias=train.penalize_norm_and_bias,
        layer_rate_decay=train.layer_rate_decay,
        delta=train.delta,
        bss=train.bss,
        co_tuning=train.co_tuning,
        label_smoothing=train.label_smoothing,
        class_weighting=train.class_weighting,
        balanced_sampling=train.balanced_sampling,
        logit_adjustment=train.logit_adjustment,
        sam_rho=train.sam_rho,
        sam_every=train.sam_every,
        clipping=Clipping(agc=train.clip_agc, value=train.clip_value, norm=train.clip_norm),
        batch_norm=train.batch_norm,
        batch_size=train.batch_size,
        micro_batch_size=train.micro_batch_size,
        precision=precision,
        guard=plan_guard(train),
    )


def plan_averaging(train: TrainParams) -> Averaging:
    """Which averages of parameters are tried."""
    return Averaging(
        ema_decay=train.ema_decay,
        swa_fraction=train.swa_fraction,
        soup_size=train.soup_size,
        wise_ft=train.wise_ft,
    )
