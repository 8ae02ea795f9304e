"""A training from its settings: names become objects, and the objects are trained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from sftcore.data.dialogues.canaries import canaries
from sftcore.data.portions import WHOLE, Portion, take_portion
from sftcore.data.store import Store
from sftcore.data.targets.target import ANNOTATED
from sftcore.foundations.artifacts import sha256_json
from sftcore.foundations.errors import ParamsError
from sftcore.models.network import Network
from sftcore.models.parameter_groups import format_claims
from sftcore.models.settings import ModelSettings
from sftcore.models.start import Start, build_start
from sftcore.models.text.encoder import TextEncoder
from sftcore.regularization.reinitialize import reinitialize
from sftcore.stability.batch_norm import MOVING, moving_norms
from sftcore.stability.precision import FULL
from sftcore.tasks.registry import TASKS
from sftcore.training.annotated import annotated_pictures
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.dialogues import tokenise_dialogues
from sftcore.training.inputs import FeatureCache
from sftcore.training.loop import fit
from sftcore.training.plan import Plan, Rows
from sftcore.training.planning import check_lengths, plan_phases
from sftcore.training.records import EpochRecord, FitResult
from sftcore.training.settings import TrainSettings
from sftcore.training.texts import tokenise
from sftcore.training.views import Examples, Pictures


@dataclass(frozen=True)
class Trained:
    """A training: what it began with, what came of it, and which parameters it changed."""

    start: Start
    plan: Plan
    result: FitResult
    claims: str


def train(
    store: Store,
    model: ModelSettings,
    train: TrainSettings,
    *,
    task: str,
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
        task: in :data:`sftcore.tasks.registry.TASKS`.
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
        task=task,
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
    model: ModelSettings,
    train: TrainSettings,
    *,
    task: str,
    seed: int,
    device: torch.device,
    portion: Portion = WHOLE,
    precision: str = FULL,
    measure_every: int = 1,
) -> tuple[Start, Plan]:
    """The network to start with and the plan; see :func:`train`."""
    seeds = train.seeds.resolved(seed)
    parts = take_portion(store.samples, portion, seed)
    planted = len(store.targets) + np.arange(train.canaries)  # their rows follow the store's
    pool = store.samples["row"].to_numpy(dtype=np.int64)
    rows = Rows(
        np.concatenate([parts.train, planted]),
        parts.val,
        parts.judge,
        np.concatenate([pool, planted]),
    )
    check_lengths(train, len(rows.train))
    kind = TASKS[task]
    start = build_start(
        backbone=model.backbone,
        weights=model.weights,
        num_classes=len(store.names),
        image_size=store.image_size,
        dropout=model.dropout,
        seed=seeds.init,
        device=device,
        stochastic_depth=model.stochastic_depth,
        with_source_head=train.features.co_tuning > 0,
        text=model.text,
        goes_on=not kind.has_new_head,
        dense=model.dense_head(store.target),
    )
    phases = plan_phases(model, train, len(start.network.blocks), has_new_head=kind.has_new_head)
    begin_anew(start.network, model.text.reinitialized_layers, phases[-1].first_block, seeds.init)
    _adapt(start.network, model, train, phases[-1].first_block, seeds.init)
    is_random = model.weights == "none" or model.text.reinitialized_layers > 0
    random_part = seeds.init if is_random else 0  # random blocks differ by seed
    _recompute(start.network, train)
    examples = _EXAMPLES[store.kind](store, start, model, _Making(train, seed), device)
    bound = kind(torch.from_numpy(store.targets).to(device), store.names, rows.train)
    bound.own_targets = examples.own_targets
    bound.meet(start.network, model, train, store.image_size)
    plan = Plan(
        examples=examples,
        task=bound,
        rows=rows,
        phases=phases,
        update=train,
        averaging=train.averaging,
        selection=train.selection,
        measure_every=measure_every,
        precision=precision,
        rate_of_b=model.lora.rate_of_b,
        seeds=seeds,
        frozen_identity=sha256_json(
            [
                model.backbone,
                model.weights,
                start.record.sha256,
                model.text.model_dump(),
                train.prompt_weight > 0,  # then the head is asked in prompts, too
                [train.canaries, seed if train.canaries else 0],
                random_part,
                start.network.strides,
                store.digest,
            ]
        ),
    )
    return start, plan


def _recompute(network: Network, train: TrainSettings) -> None:
    """Let activations be computed twice.

    Raises:
        ParamsError: batch norm would count the statistics of a batch twice.
    """
    is_on = train.recompute_activations
    if is_on and train.batch_norm in MOVING and moving_norms(network):
        raise ParamsError(
            "train.recompute_activations computes a batch twice, and batch norm would count its "
            "statistics twice: set it to false, or train.batch_norm to freeze_statistics"
        )
    network.recomputes = is_on


def _adapt(
    network: Network, model: ModelSettings, train: TrainSettings, first_block: int, seed: int
) -> None:
    """Let the trained blocks learn by LoRA, where it is on and a block is trained.

    Raises:
        ParamsError: another setting needs weights that change by themselves.
        WeightsError: the trained blocks have no linear map.
    """
    if model.lora.rank == 0 or first_block == len(network.blocks):
        return
    if train.mixout > 0 or model.text.reinitialized_layers > 0:
        raise ParamsError(
            "model.lora.rank is above 0, so that the weights themselves stay as they came: set "
            "train.mixout and model.text.reinitialized_layers to 0"
        )
    network.adapt(model.lora, first_block, seed)


def begin_anew(network: Network, num_layers: int, first_block: int, seed: int) -> None:
    """Give the last layers of a text encoder random parameters.

    Args:
        network: changed in place.
        num_layers: of its encoder; 0 changes nothing.
        first_block: that is trained.
        seed: decides the parameters.

    Raises:
        WeightsError: there are fewer layers, or the encoder's layers are not known.
        ParamsError: one of them would stay random.
    """
    if num_layers == 0 or not isinstance(network.backbone, TextEncoder):
        return
    layers = network.backbone.top_layers(num_layers)
    if any(network.block_of(f"backbone.model.{name}") < first_block for name in layers):
        raise ParamsError(
            f"model.text.reinitialized_layers is {num_layers}, and a layer that begins anew must "
            "be trained: raise model.trainable_blocks"
        )
    reinitialize(layers, network.backbone.model.config.initializer_range, seed)


@dataclass(frozen=True)
class _Making:
    """What of the recipe decides how examples are made."""

    train: TrainSettings
    seed: int


def _pictures(
    store: Store, start: Start, model: ModelSettings, making: _Making, device: torch.device
) -> Examples:
    record = start.record
    pictures = Pictures(store.images, record.mean, record.std, store.background, device)
    return annotated_pictures(store, pictures) if store.target in ANNOTATED else pictures


def _texts(
    store: Store, start: Start, model: ModelSettings, making: _Making, device: torch.device
) -> Examples:
    return tokenise(store.texts, model, device)


def _dialogues(
    store: Store, start: Start, model: ModelSettings, making: _Making, device: torch.device
) -> Examples:
    train = making.train
    planted = [canary.dialogue for canary in canaries(train.canaries, making.seed)]
    return tokenise_dialogues(store.texts, model, device, train.prompt_weight, planted)


_Made = Callable[[Store, Start, ModelSettings, _Making, torch.device], Examples]
_EXAMPLES: Mapping[str, _Made] = {
    "pictures": _pictures,
    "texts": _texts,
    "dialogues": _dialogues,
}
