"""From params.yaml to objects: the only place where names and sections become plain arguments."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from sftcore.artifacts import sha256_file, sha256_json
from sftcore.data.augment import Augmentation
from sftcore.data.portions import Portion, take_portion
from sftcore.data.store import Store
from sftcore.errors import ParamsError
from sftcore.models.network import Start, build_start
from sftcore.models.parameter_groups import format_claims
from sftcore.regularization.penalties import Coefficients
from sftcore.sections import ModelParams, TrainParams
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FeatureCache
from sftcore.training.loop import fit
from sftcore.training.plan import Plan, Rows
from sftcore.training.settings import Averaging, Phase, Update
from sftcore.training.state import EpochRecord, FitResult
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
) -> Trained:
    """Fine-tune one network as the parameters say.

    Args:
        store: opened with the train and val splits.
        model: backbone, weights, head.
        train: the recipe.
        seed: decides head, order, augmentation and dropout.
        device: where to compute.
        cache: features of frozen blocks; pass the same one to trainings that share them.
        on_epoch: called with every epoch's record.
        checkpoints: of the training that :func:`training_key` names.
        portion: which of the pictures to train and to validate on.

    Raises:
        WeightsError: unknown backbone, or weights that do not fit.
        ParamsError: ``model.trainable_blocks`` is more than the backbone has.
    """
    start = build_start(
        backbone=model.backbone,
        weights=model.weights,
        num_classes=len(store.classes),
        image_size=store.image_size,
        dropout=model.dropout,
        seed=seed,
        device=device,
        stochastic_depth=model.stochastic_depth,
        with_source_head=train.co_tuning > 0,
    )
    random_part = seed if model.weights == "none" else 0  # random blocks differ by seed
    plan = Plan(
        pictures=Pictures(
            images=store.images,
            mean=start.record.mean,
            std=start.record.std,
            background=store.background,
            device=device,
        ),
        rows=Rows(
            *take_portion(store.samples, portion, seed),
            torch.from_numpy(store.labels).to(device),
            len(store.classes),
        ),
        phases=plan_phases(model, train, len(start.network.blocks)),
        update=plan_update(train),
        averaging=plan_averaging(train),
        selection_metric=train.selection_metric,
        seed=seed,
        frozen_identity=sha256_json(
            [model.backbone, model.weights, start.record.sha256, random_part, store.digest]
        ),
    )
    claims = format_claims(plan.claim(start.network, plan.phases[-1].first_block))
    result = fit(start.network, plan, cache=cache, on_epoch=on_epoch, checkpoints=checkpoints)
    return Trained(start, result, claims)


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
    """
    file = Path(model.weights)
    weights = sha256_file(file) if file.is_file() else model.weights
    place = [device.type, mode, num_threads]
    return sha256_json(
        [model.model_dump(), weights, train.model_dump(), seed, data, asdict(portion), place,
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
        learning_rate=train.head_learning_rate,
        schedule=train.schedule,
        warmup_fraction=train.warmup_fraction,
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
        learning_rate=train.learning_rate,
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


def plan_update(train: TrainParams) -> Update:
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
        clip_norm=train.clip_norm,
        batch_norm=train.batch_norm,
        batch_size=train.batch_size,
    )


def plan_averaging(train: TrainParams) -> Averaging:
    """Which averages of parameters are tried."""
    return Averaging(
        ema_decay=train.ema_decay,
        swa_fraction=train.swa_fraction,
        soup_size=train.soup_size,
        wise_ft=train.wise_ft,
    )
