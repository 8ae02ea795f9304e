"""What a training has come to: its records, where it is, and the tensors that change."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from sftcore.models.network import Network
from sftcore.regularization.averaging import ema_decay_at, update_average


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


@dataclass(frozen=True)
class Candidate:
    """A set of parameters that the training could end with, measured as an epoch is.

    Attributes:
        name: ``best epoch``, ``swa``, ``soup`` or ``wise_ft``.
        epochs: whose parameters went into it.
        alpha: of WiSE-FT, the part of the fine-tuned parameters; 1 for all others.
    """

    name: str
    epochs: tuple[int, ...]
    alpha: float
    train_loss: float
    val_loss: float
    train_accuracy: float
    val_accuracy: float
    weight_norm: float
    weight_distance: float


def candidate_of(record: EpochRecord) -> Candidate:
    """An epoch as something to end with."""
    return Candidate(
        name="best epoch",
        epochs=(record.epoch,),
        alpha=1.0,
        train_loss=record.train_loss,
        val_loss=record.val_loss,
        train_accuracy=record.train_accuracy,
        val_accuracy=record.val_accuracy,
        weight_norm=record.weight_norm,
        weight_distance=record.weight_distance,
    )


@dataclass
class FitResult:
    """What a training leaves.

    Attributes:
        history: one record per finished epoch.
        best_epoch: the record's epoch that validation chose; -1 if none finished.
        diverged: why training stopped early, empty if it did not leave the finite numbers.
        best_state: parameters and buffers at the best epoch.
        candidates: the best epoch and the averages that were asked for.
        chosen: position among ``candidates`` of what validation chose; -1 if no epoch finished.
        chosen_state: its parameters and buffers.
        val_logits: of the chosen parameters, [V, C] in the order of the validation rows.
    """

    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = -1
    diverged: str = ""
    best_state: dict[str, Tensor] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    chosen: int = -1
    chosen_state: dict[str, Tensor] = field(default_factory=dict)
    val_logits: Tensor | None = None

    @property
    def best(self) -> EpochRecord:
        """The record of the best epoch."""
        return self.history[self.best_epoch]


@dataclass
class Position:
    """How far a training has come; every random draw is a function of it and the seed.

    Attributes:
        phase: index of the phase.
        epoch: finished epochs of the phase.
        batch: updates made in the epoch under way.
        gradient_norms: of these updates.
        best_in_phase: record of the phase's best epoch, which early stopping looks at.
    """

    phase: int = 0
    epoch: int = 0
    batch: int = 0
    gradient_norms: list[float] = field(default_factory=list)
    best_in_phase: int = -1


@dataclass
class Averages:
    """States that averages are made of, as far as a training has come.

    Attributes:
        ema: the moving average; empty where it is off.
        num_ema_updates: that went into it.
        swa: mean of the states of ``swa_epochs``.
        swa_epochs: those averaged so far.
        kept: the best epochs' states by epoch.
        anchor: the state at the beginning of the last phase.
    """

    ema: dict[str, Tensor] = field(default_factory=dict)
    num_ema_updates: int = 0
    swa: dict[str, Tensor] = field(default_factory=dict)
    swa_epochs: list[int] = field(default_factory=list)
    kept: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    anchor: dict[str, Tensor] = field(default_factory=dict)


class TrainingState:
    """All that changes while a network is trained, so all that a checkpoint has to hold.

    Random streams are not part of it: they are keyed by seed and position. Nor is the learning
    rate's schedule, which is a function of the position.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.optimizer: torch.optim.Optimizer | None = None
        self.position = Position()
        self.result = FitResult()
        self.averages = Averages()
        self._loaded_optimizer: dict[str, Any] | None = None

    def begin_phase(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the optimizer of the phase, with the moments it had if the phase is continued."""
        self.optimizer = optimizer
        if self._loaded_optimizer is not None:
            optimizer.load_state_dict(self._loaded_optimizer)
            self._loaded_optimizer = None

    def keep_anchor(self) -> None:
        """Remember where the last phase begins, if it does just now."""
        if not self.averages.anchor:
            self.averages.anchor = copy.deepcopy(self.network.model_state())

    def add_update(self, gradient_norm: float, ema_decay: float) -> None:
        """Count an update of the epoch under way, and let the moving average follow it."""
        self.position.batch += 1
        self.position.gradient_norms.append(gradient_norm)
        if ema_decay > 0:
            averages = self.averages
            if not averages.ema:
                averages.ema = copy.deepcopy(self.network.state_dict())
            decay = ema_decay_at(averages.num_ema_updates, ema_decay)
            update_average(averages.ema, self.network.state_dict(), 1 - decay)
            averages.num_ema_updates += 1

    @contextmanager
    def measured_network(self) -> Iterator[Network]:
        """The network in evaluation mode, for a while with the moving average if there is one."""
        self.network.eval()
        if not self.averages.ema:
            yield self.network
            return
        newest = copy.deepcopy(self.network.state_dict())
        try:
            self.network.load_state_dict(self.averages.ema)
            yield self.network
        finally:
            self.network.load_state_dict(newest)

    def add_epoch(
        self,
        record: EpochRecord,
        *,
        selection_metric: str,
        min_change: float,
        soup_size: int,
        is_in_swa: bool,
    ) -> None:
        """Close the epoch under way, and keep its parameters as far as they will be needed.

        Args:
            record: of the epoch, measured on the network as it is now.
            selection_metric: decides which epochs are best.
            min_change: by how much early stopping wants the metric to improve.
            soup_size: best epochs to keep.
            is_in_swa: whether SWA averages this epoch.
        """
        result, position, averages = self.result, self.position, self.averages
        result.history.append(record)
        state = copy.deepcopy(self.network.model_state())
        if result.best_epoch < 0 or is_better(record, result.best, selection_metric):
            result.best_epoch = record.epoch
            result.best_state = state
        best = position.best_in_phase
        if best < 0 or is_better(record, result.history[best], selection_metric, min_change):
            position.best_in_phase = record.epoch
        if is_in_swa:
            averages.swa_epochs.append(record.epoch)
            averages.swa = averages.swa or copy.deepcopy(state)
            update_average(averages.swa, state, 1 / len(averages.swa_epochs))
        if soup_size > 0:
            averages.kept[record.epoch] = state
            ranked = rank_epochs([result.history[i] for i in averages.kept], selection_metric)
            averages.kept = {epoch: averages.kept[epoch] for epoch in ranked[:soup_size]}
        position.epoch += 1
        position.batch = 0
        position.gradient_norms = []

    def end_phase(self) -> None:
        """Move on to the beginning of the next phase."""
        self.optimizer = None
        self.position = Position(phase=self.position.phase + 1)

    @property
    def num_updates(self) -> tuple[int, int]:
        """Grows with every update: finished epochs, and updates of the one under way."""
        return len(self.result.history), self.position.batch

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values alone; the tensors are not copied."""
        return {
            "network": dict(self.network.state_dict()),
            "optimizer": self.optimizer.state_dict() if self.optimizer else None,
            "position": asdict(self.position),
            "history": [asdict(record) for record in self.result.history],
            "best_epoch": self.result.best_epoch,
            "best_state": dict(self.result.best_state),
            "averages": vars(self.averages),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Become what :meth:`state_dict` described.

        Raises:
            KeyError, TypeError, RuntimeError: the description is of another network or version.
        """
        self.network.load_state_dict(saved["network"])
        self._loaded_optimizer = saved["optimizer"]
        self.position = Position(**saved["position"])
        self.result = FitResult(
            history=[EpochRecord(**record) for record in saved["history"]],
            best_epoch=saved["best_epoch"],
            best_state=saved["best_state"],
        )
        self.averages = Averages(**saved["averages"])


def is_better(
    record: EpochRecord | Candidate,
    best: EpochRecord | Candidate,
    selection_metric: str,
    min_change: float = 0.0,
) -> bool:
    """Whether validation prefers ``record``; an equal one does not replace an earlier one.

    Args:
        record: the newer one.
        best: so far.
        selection_metric: ``val_loss`` (least) or ``val_accuracy`` (most, then least loss).
        min_change: by how much it must be better; above 0 an equal accuracy never is.
    """
    if selection_metric == "val_loss":
        return record.val_loss < best.val_loss - min_change
    if min_change > 0:
        return record.val_accuracy > best.val_accuracy + min_change
    return (record.val_accuracy, -record.val_loss) > (best.val_accuracy, -best.val_loss)


def rank_epochs(records: Sequence[EpochRecord], selection_metric: str) -> list[int]:
    """Epochs from the best to the worst; the earlier of two equal ones first."""
    if selection_metric == "val_loss":
        ranked = sorted(records, key=lambda r: (r.val_loss, r.epoch))
    else:
        ranked = sorted(records, key=lambda r: (-r.val_accuracy, r.val_loss, r.epoch))
    return [record.epoch for record in ranked]
