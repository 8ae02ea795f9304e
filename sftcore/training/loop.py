"""The one training loop: phases of epochs, measured on plain pictures, best epoch by validation."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sftcore.data.loader import epoch_order, split_batches
from sftcore.errors import DivergedError
from sftcore.interruption import uninterrupted
from sftcore.models.network import Network
from sftcore.models.parameter_groups import Claim, claim_parameters, freeze_unclaimed
from sftcore.optimization.optimizers import build_optimizer, trained_parameters
from sftcore.optimization.schedules import learning_rate_at
from sftcore.randomness import numpy_stream, seed_global
from sftcore.stability.batch_norm import set_training_mode
from sftcore.tasks.classification import measure
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FeatureCache, Inputs, Pictures, Reader
from sftcore.training.settings import Phase, Update
from sftcore.training.state import EpochRecord, FitResult, TrainingState
from sftcore.training.step import train_step

LOGGER = logging.getLogger("sftcore")
MEASURED_BATCH_SIZE = 64
MAX_TRAIN_MEASURED = 5000  # training pictures measured after every epoch: bounds the cost


@dataclass(frozen=True)
class Rows:
    """Rows of the store by use, and the class index of every row [N] on the device."""

    train: np.ndarray
    val: np.ndarray
    labels: Tensor


@dataclass(frozen=True)
class _Setting:
    """What stays as it is over a whole training; see :func:`fit`."""

    pictures: Pictures
    rows: Rows
    update: Update
    selection_metric: str
    seed: int
    frozen_identity: str
    cache: FeatureCache
    on_epoch: Callable[[EpochRecord], None]
    checkpoints: Checkpoints | None
    start: dict[str, Tensor]


def fit(
    network: Network,
    pictures: Pictures,
    rows: Rows,
    *,
    phases: Sequence[Phase],
    update: Update,
    selection_metric: str,
    seed: int,
    frozen_identity: str,
    cache: FeatureCache,
    on_epoch: Callable[[EpochRecord], None],
    checkpoints: Checkpoints | None = None,
) -> FitResult:
    """Train the network phase by phase and remember its best epoch.

    Args:
        network: changed in place; it ends with the parameters of the last update.
        pictures: the store's pictures.
        rows: which to train and to validate on.
        phases: one after the other; the epochs count on over all of them.
        update: what each update does.
        selection_metric: ``val_loss`` (least) or ``val_accuracy`` (most, then least loss).
        seed: decides order, augmentation and dropout.
        frozen_identity: names the starting parameters, as a key of ``cache``.
        cache: features of frozen blocks.
        on_epoch: called with every record, those of the part done earlier among them.
        checkpoints: of this very training. It goes on from the newest, and leaves one where it
            ends or where a signal ends it; a divergence removes them.

    Returns:
        The history and the best state. A divergence ends the training and is part of the result.
    """
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    setting = _Setting(
        pictures, rows, update, selection_metric, seed, frozen_identity, cache, on_epoch,
        checkpoints, start,
    )  # fmt: skip
    state = _begin(network, setting)
    for record in state.result.history:
        on_epoch(record)
    try:
        for phase in phases[state.position.phase :]:
            _run_phase(state, phase, setting)
    except DivergedError as error:
        name, epoch = phases[state.position.phase].name, len(state.result.history)
        state.result.diverged = f"{name} phase, epoch {epoch}: {error}"
        if checkpoints is not None:
            checkpoints.discard()
        return state.result
    except (KeyboardInterrupt, SystemExit):
        _save(state, checkpoints)
        raise
    _save(state, checkpoints)
    return state.result


def _begin(network: Network, setting: _Setting) -> TrainingState:
    """The state of the newest checkpoint that fits, or of the beginning."""
    if setting.checkpoints is not None:
        for saved in setting.checkpoints.load(setting.rows.labels.device):
            state = TrainingState(network)
            try:
                state.load_state_dict(saved)
            except (KeyError, TypeError, RuntimeError) as error:
                LOGGER.warning("a checkpoint does not fit and is skipped: %s", error)
                network.load_state_dict(setting.start)
                continue
            LOGGER.warning("going on from epoch %d, update %d of it", *state.num_updates)
            return state
    return TrainingState(network)


def _save(state: TrainingState, checkpoints: Checkpoints | None) -> None:
    if checkpoints is not None:
        checkpoints.save(state.num_updates, state.state_dict())


def _run_phase(state: TrainingState, phase: Phase, setting: _Setting) -> None:
    """Train one phase from where the state is to its end."""
    network, rows, update = state.network, setting.rows, setting.update
    claims = claim_parameters(
        network,
        first_block=phase.first_block,
        freeze_norm=update.batch_norm == "freeze_all",
        penalize_norm_and_bias=update.penalize_norm_and_bias,
    )
    freeze_unclaimed(claims)
    optimizer = build_optimizer(
        update.optimizer, claims, momentum=update.momentum, weight_decay=update.weight_decay
    )
    state.begin_phase(optimizer)
    set_training_mode(network, batch_norm=update.batch_norm, first_block=phase.first_block)
    inputs = Inputs(
        network,
        setting.pictures,
        first_block=phase.first_block,
        frozen_identity=setting.frozen_identity,
        cache=setting.cache,
    )
    measured = measured_rows(rows.train, setting.seed)
    plain_train, plain_val = inputs.reader(measured), inputs.reader(rows.val)
    while not _is_over(phase, state):
        epoch = len(state.result.history)
        reader = inputs.reader(rows.train, augmentation=phase.augmentation, epoch=epoch)
        set_training_mode(network, batch_norm=update.batch_norm, first_block=phase.first_block)
        learning_rate = _run_epoch(state, optimizer, reader, claims, phase, setting)
        network.eval()
        train = evaluate_rows(network, plain_train, measured, rows.labels, phase.first_block)
        val = evaluate_rows(network, plain_val, rows.val, rows.labels, phase.first_block)
        record = EpochRecord(
            epoch=epoch,
            phase=phase.name,
            train_loss=train[0],
            val_loss=val[0],
            train_accuracy=train[1],
            val_accuracy=val[1],
            learning_rate=learning_rate,
            gradient_norm=float(np.mean(state.position.gradient_norms)),
            **weight_norms(claims, setting.start),
        )
        with uninterrupted():
            state.add_epoch(record, setting.selection_metric)
        setting.on_epoch(record)
    with uninterrupted():
        state.end_phase()


def _is_over(phase: Phase, state: TrainingState) -> bool:
    """Whether the phase has had its epochs, or too many of them brought nothing better."""
    position = state.position
    waited = len(state.result.history) - 1 - position.best_in_phase
    has_waited = position.epoch > 0 and 0 < phase.early_stopping_patience <= waited
    return position.epoch >= phase.num_epochs or has_waited


def _run_epoch(
    state: TrainingState,
    optimizer: torch.optim.Optimizer,
    reader: Reader,
    claims: Sequence[Claim],
    phase: Phase,
    setting: _Setting,
) -> float:
    """What is left of a pass over the training rows; gives the last learning rate."""
    rows, update, seed, position = setting.rows, setting.update, setting.seed, state.position
    epoch = len(state.result.history)
    batches = split_batches(epoch_order(rows.train, seed, epoch), update.batch_size)
    trained = trained_parameters(claims)
    penalized = [claim.parameter for claim in claims if claim.is_penalized]

    def rate_at(step: int) -> float:
        return learning_rate_at(
            step,
            phase.num_epochs * len(batches),
            peak=phase.learning_rate,
            schedule=phase.schedule,
            warmup_fraction=phase.warmup_fraction,
        )

    first_step = position.epoch * len(batches)
    for index in range(position.batch, len(batches)):
        batch, step = batches[index], first_step + index
        targets = rows.labels[torch.from_numpy(batch).to(rows.labels.device)]
        with uninterrupted():
            seed_global(seed, "step", epoch, index)  # dropout is a function of the step
            report = train_step(
                state.network,
                reader(batch),
                targets,
                optimizer,
                first_block=phase.first_block,
                learning_rate=rate_at(step),
                trained=trained,
                penalized=penalized,
                update=update,
                step=step,
            )
            state.add_update(report.gradient_norm)
        if setting.checkpoints is not None:
            setting.checkpoints.save_if_due(state.num_updates, state.state_dict)
    return rate_at(first_step + len(batches) - 1)


def measured_rows(train: np.ndarray, seed: int) -> np.ndarray:
    """The training rows measured after every epoch: all, or a fixed random 5000 of more."""
    if len(train) <= MAX_TRAIN_MEASURED:
        return train
    chosen = numpy_stream(seed, "measured").permutation(train)[:MAX_TRAIN_MEASURED]
    return np.sort(chosen)


@torch.no_grad()
def evaluate_rows(
    network: Network, reader: Reader, rows: np.ndarray, labels: Tensor, first_block: int
) -> tuple[float, float]:
    """Plain cross-entropy in nats and accuracy of a network in evaluation mode."""
    logits = torch.cat(
        [network(reader(batch), first_block) for batch in split_batches(rows, MEASURED_BATCH_SIZE)]
    )
    return measure(logits, labels[torch.from_numpy(rows).to(labels.device)])


def weight_norms(claims: Sequence[Claim], start: dict[str, Tensor]) -> dict[str, float]:
    """``‖w‖₂`` over all parameters, and ``‖w − w₀‖₂`` from where training began."""
    size = sum(float(claim.parameter.detach().double().square().sum()) for claim in claims)
    moved = sum(
        float((claim.parameter.detach() - start[claim.name]).double().square().sum())
        for claim in claims
    )
    return {"weight_norm": size**0.5, "weight_distance": moved**0.5}


def epoch_metrics(record: EpochRecord) -> dict[str, float]:
    """An epoch's numbers under the names that MLflow groups its charts by."""
    return {
        "train/loss": record.train_loss,
        "train/accuracy": record.train_accuracy,
        "val/loss": record.val_loss,
        "val/accuracy": record.val_accuracy,
        "optimization/learning_rate": record.learning_rate,
        "optimization/gradient_norm": record.gradient_norm,
        "weights/norm": record.weight_norm,
        "weights/distance": record.weight_distance,
    }
