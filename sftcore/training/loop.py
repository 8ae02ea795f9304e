"""The one training loop: phases of epochs, measured on plain pictures, best epoch by validation."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sftcore.data.loader import epoch_order, split_batches
from sftcore.errors import DivergedError
from sftcore.models.network import Network
from sftcore.models.parameter_groups import Claim, claim_parameters, freeze_unclaimed
from sftcore.optimization.optimizers import build_optimizer, trained_parameters
from sftcore.optimization.schedules import learning_rate_at
from sftcore.randomness import numpy_stream, seed_global
from sftcore.stability.batch_norm import set_training_mode
from sftcore.tasks.classification import measure
from sftcore.training.inputs import FeatureCache, Inputs, Pictures, Reader
from sftcore.training.settings import Phase, Update
from sftcore.training.step import train_step

MEASURED_BATCH_SIZE = 64
MAX_TRAIN_MEASURED = 5000  # training pictures measured after every epoch: bounds the cost


@dataclass(frozen=True)
class EpochRecord:
    """One row of the history.

    Losses are plain cross-entropy in nats of plain pictures in evaluation mode: no smoothing, no
    penalty, no augmentation, so that train and validation can be compared.
    """

    epoch: int
    phase: str
    train_loss: float
    val_loss: float
    train_accuracy: float
    val_accuracy: float
    learning_rate: float
    weight_norm: float
    weight_distance: float
    gradient_norm: float


@dataclass
class FitResult:
    """What a training leaves.

    Attributes:
        history: one record per finished epoch.
        best_epoch: the record's epoch that validation chose; -1 if none finished.
        diverged: why training stopped early, empty if it did not leave the finite numbers.
        best_state: parameters and buffers at the best epoch.
    """

    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = -1
    diverged: str = ""
    best_state: dict[str, Tensor] = field(default_factory=dict)

    @property
    def best(self) -> EpochRecord:
        """The record of the best epoch."""
        return self.history[self.best_epoch]


@dataclass(frozen=True)
class Rows:
    """Rows of the store by use, and the class index of every row [N] on the device."""

    train: np.ndarray
    val: np.ndarray
    labels: Tensor


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
        on_epoch: called with every new record.

    Returns:
        The history and the best state. A divergence ends the training and is part of the result.
    """
    result = FitResult()
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for phase in phases:
        try:
            _run_phase(
                network,
                pictures,
                rows,
                phase=phase,
                update=update,
                selection_metric=selection_metric,
                seed=seed,
                frozen_identity=frozen_identity,
                cache=cache,
                on_epoch=on_epoch,
                start=start,
                result=result,
            )
        except DivergedError as error:
            result.diverged = f"{phase.name} phase, epoch {len(result.history)}: {error}"
            break
    return result


def _run_phase(
    network: Network,
    pictures: Pictures,
    rows: Rows,
    *,
    phase: Phase,
    update: Update,
    selection_metric: str,
    seed: int,
    frozen_identity: str,
    cache: FeatureCache,
    on_epoch: Callable[[EpochRecord], None],
    start: dict[str, Tensor],
    result: FitResult,
) -> None:
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
    set_training_mode(network, batch_norm=update.batch_norm, first_block=phase.first_block)
    inputs = Inputs(
        network,
        pictures,
        first_block=phase.first_block,
        frozen_identity=frozen_identity,
        cache=cache,
    )
    measured = measured_rows(rows.train, seed)
    plain_train, plain_val = inputs.reader(measured), inputs.reader(rows.val)
    first_epoch, best_in_phase = len(result.history), len(result.history)
    for index in range(phase.num_epochs):
        epoch = first_epoch + index
        reader = inputs.reader(rows.train, augmentation=phase.augmentation, epoch=epoch)
        set_training_mode(network, batch_norm=update.batch_norm, first_block=phase.first_block)
        gradient_norm, learning_rate = _run_epoch(
            network, reader, rows, claims, optimizer, phase, update, seed, epoch, index
        )
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
            gradient_norm=gradient_norm,
            **weight_norms(claims, start),
        )
        result.history.append(record)
        on_epoch(record)
        if result.best_epoch < 0 or is_better(record, result.best, selection_metric):
            result.best_epoch = epoch
            result.best_state = copy.deepcopy(network.state_dict())
        if epoch == first_epoch or is_better(
            record, result.history[best_in_phase], selection_metric
        ):
            best_in_phase = epoch
        if 0 < phase.early_stopping_patience <= epoch - best_in_phase:
            break


def _run_epoch(
    network: Network,
    reader: Reader,
    rows: Rows,
    claims: Sequence[Claim],
    optimizer: torch.optim.Optimizer,
    phase: Phase,
    update: Update,
    seed: int,
    epoch: int,
    index: int,
) -> tuple[float, float]:
    """One pass over the training rows; mean gradient norm and the last learning rate."""
    batches = split_batches(epoch_order(rows.train, seed, epoch), update.batch_size)
    trained = trained_parameters(claims)
    penalized = [claim.parameter for claim in claims if claim.is_penalized]
    norms, learning_rate = [], 0.0
    for position, batch in enumerate(batches):
        step = index * len(batches) + position
        seed_global(seed, "step", epoch, position)  # dropout is a function of the step
        learning_rate = learning_rate_at(
            step,
            phase.num_epochs * len(batches),
            peak=phase.learning_rate,
            schedule=phase.schedule,
            warmup_fraction=phase.warmup_fraction,
        )
        report = train_step(
            network,
            reader(batch),
            rows.labels[torch.from_numpy(batch).to(rows.labels.device)],
            optimizer,
            first_block=phase.first_block,
            learning_rate=learning_rate,
            trained=trained,
            penalized=penalized,
            update=update,
            step=step,
        )
        norms.append(report.gradient_norm)
    return float(np.mean(norms)), learning_rate


def is_better(record: EpochRecord, best: EpochRecord, selection_metric: str) -> bool:
    """Whether validation prefers ``record``; an equal one does not replace an earlier one."""
    if selection_metric == "val_loss":
        return record.val_loss < best.val_loss
    return (record.val_accuracy, -record.val_loss) > (best.val_accuracy, -best.val_loss)


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
