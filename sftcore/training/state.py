"""What a training has come to: its records, where it is, and the tensors that change."""

import copy
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from sftcore.models.network import Network


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
        self._loaded_optimizer: dict[str, Any] | None = None

    def begin_phase(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the optimizer of the phase, with the moments it had if the phase is continued."""
        self.optimizer = optimizer
        if self._loaded_optimizer is not None:
            optimizer.load_state_dict(self._loaded_optimizer)
            self._loaded_optimizer = None

    def add_update(self, gradient_norm: float) -> None:
        """Count an update of the epoch under way."""
        self.position.batch += 1
        self.position.gradient_norms.append(gradient_norm)

    def add_epoch(self, record: EpochRecord, selection_metric: str) -> None:
        """Close the epoch under way, and keep its parameters if it is the best so far."""
        result, position = self.result, self.position
        result.history.append(record)
        if result.best_epoch < 0 or is_better(record, result.best, selection_metric):
            result.best_epoch = record.epoch
            result.best_state = copy.deepcopy(self.network.state_dict())
        best = position.best_in_phase
        if best < 0 or is_better(record, result.history[best], selection_metric):
            position.best_in_phase = record.epoch
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


def is_better(record: EpochRecord, best: EpochRecord, selection_metric: str) -> bool:
    """Whether validation prefers ``record``; an equal one does not replace an earlier one."""
    if selection_metric == "val_loss":
        return record.val_loss < best.val_loss
    return (record.val_accuracy, -record.val_loss) > (best.val_accuracy, -best.val_loss)
