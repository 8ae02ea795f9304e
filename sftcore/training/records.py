"""What a training leaves behind: a record per epoch and per update, and what it may end with."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from sftcore.optimization.range_test import RangeTest
from sftcore.stability.guard import Incident
from sftcore.tasks.contract import is_error


@dataclass(frozen=True)
class EpochRecord:
    """One row of the history.

    Losses are plain cross-entropy in nats of plain pictures in evaluation mode: no smoothing, no
    penalty, no augmentation, so that train and validation can be compared.

    Attributes:
        epoch: counted from 0 over all phases.
        phase: name.
        train_loss: on the training pictures.
        val_loss: on the validation pictures.
        learning_rate: of the last update.
        weight_norm: ``‖w‖₂``.
        weight_distance: ``‖w − w₀‖₂``.
        gradient_norm: mean over the updates, before clipping.
        effective_learning_rate: ``η/(1 − m)``, see
            :func:`sftcore.optimization.optimizers.effective_rate`.
        clipped_fraction: of the updates.
        batch_norm_gap: loss in evaluation mode minus loss normalised by the batch, on the same
            training pictures; 0 where no running statistics move. NaN before the last epoch where
            the training pictures are not measured after each.
        num_incidents: of the guard in this epoch.
        scores: of the task, by names as ``train_accuracy`` and ``val_accuracy``: the headline on
            both, the others on the validation pictures.
    """

    epoch: int
    phase: str
    train_loss: float
    val_loss: float
    learning_rate: float
    weight_norm: float
    weight_distance: float
    gradient_norm: float
    effective_learning_rate: float
    clipped_fraction: float
    batch_norm_gap: float
    num_incidents: int
    scores: dict[str, float] = field(default_factory=dict)


@dataclass
class UpdateLog:
    """Every update that led to where the training is, a value each.

    Attributes:
        epoch: counted from 0 over the training.
        step: counted from 0 over its phase.
        loss: as trained on, with smoothing, penalties and mixing.
        gradient_norm: before clipping.
        learning_rate: of the update.
        is_clipped: 1 if its gradient was shrunk.
    """

    epoch: list[float] = field(default_factory=list)
    step: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    is_clipped: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.step)

    def append(self, **values: float) -> None:
        """Add an update; every column gets its value."""
        for name in vars(self):
            getattr(self, name).append(values[name])

    def truncate(self, length: int) -> None:
        """Forget all but the first updates."""
        for column in vars(self).values():
            del column[length:]

    def state_dict(self) -> dict[str, Tensor]:
        """A float64 tensor for each column."""
        return {name: torch.tensor(v, dtype=torch.float64) for name, v in vars(self).items()}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        """Become what :meth:`state_dict` described."""
        for name in vars(self):
            setattr(self, name, saved[name].tolist())


@dataclass(frozen=True)
class HeadStart:
    """How the head was solved before the other phases.

    Attributes:
        strength: λ that validation chose, see :mod:`sftcore.optimization.linear_head`.
        gradient: largest entry of the problem's gradient there.
        num_iterations: of the search.
    """

    strength: float
    gradient: float
    num_iterations: int


@dataclass(frozen=True)
class Candidate:
    """A set of parameters that the training could end with, measured as an epoch is.

    Attributes:
        name: ``best epoch``, ``last epoch``, ``swa``, ``soup`` or ``wise_ft``.
        epochs: whose parameters went into it.
        alpha: of WiSE-FT, the part of the fine-tuned parameters; 1 for all others.
    """

    name: str
    epochs: tuple[int, ...]
    alpha: float
    train_loss: float
    val_loss: float
    weight_norm: float
    weight_distance: float
    scores: dict[str, float] = field(default_factory=dict)


def candidate_of(record: EpochRecord) -> Candidate:
    """An epoch as something to end with."""
    return Candidate(
        name="best epoch",
        epochs=(record.epoch,),
        alpha=1.0,
        train_loss=record.train_loss,
        val_loss=record.val_loss,
        weight_norm=record.weight_norm,
        weight_distance=record.weight_distance,
        scores=record.scores,
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
        judge_logits: likewise of the rows that had no say, [J, C]; None without any.
        best_judge_logits: the same of the best epoch's parameters.
        last_judge_logits: the same of the last epoch's parameters.
        updates: those that led to the last parameters.
        incidents: of the guard, those that were rolled back among them.
        range_tests: that were asked for, by phase.
        head: how it was solved; None where it was not.
    """

    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = -1
    diverged: str = ""
    best_state: dict[str, Tensor] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    chosen: int = -1
    chosen_state: dict[str, Tensor] = field(default_factory=dict)
    val_logits: Tensor | None = None
    judge_logits: Tensor | None = None
    best_judge_logits: Tensor | None = None
    last_judge_logits: Tensor | None = None
    updates: UpdateLog = field(default_factory=UpdateLog)
    incidents: list[Incident] = field(default_factory=list)
    range_tests: list[RangeTest] = field(default_factory=list)
    head: HeadStart | None = None

    @property
    def best(self) -> EpochRecord:
        """The record of the best epoch."""
        return self.history[self.best_epoch]


def columns_of(record: EpochRecord | Candidate) -> dict[str, Any]:
    """A record as one line of a table: the headline score stands beside the losses."""
    line = asdict(record)
    scores = line.pop("scores")
    headline = dict(list(scores.items())[:2])
    columns: dict[str, Any] = {}
    for name, value in line.items():
        columns[name] = value
        if name == "val_loss":
            columns |= headline
    return columns | scores


def badness(record: EpochRecord | Candidate, selection_metric: str) -> float:
    """The number that validation chooses by, the less the better.

    Args:
        record: of an epoch or a candidate.
        selection_metric: ``val_loss``, or a score; one that is called an error is the less the
            better as it is.
    """
    if selection_metric == "val_loss":
        return record.val_loss
    value = record.scores[selection_metric]
    return value if is_error(selection_metric) else -value


def is_better(
    record: EpochRecord | Candidate,
    best: EpochRecord | Candidate,
    selection_metric: str,
    min_change: float = 0.0,
) -> bool:
    """Whether validation prefers ``record``; an equal one does not replace an earlier one.

    Any finite loss is better than none, whatever the scores.

    Args:
        record: the newer one.
        best: so far.
        selection_metric: ``val_loss`` (least), or a score (best, then least loss).
        min_change: by how much it must be better; above 0 an equal score never is.
    """
    if not (math.isfinite(record.val_loss) and math.isfinite(best.val_loss)):
        return math.isfinite(record.val_loss)
    own, other = badness(record, selection_metric), badness(best, selection_metric)
    if selection_metric == "val_loss" or min_change > 0:
        return own < other - min_change
    return (own, record.val_loss) < (other, best.val_loss)


def rank_epochs(records: Sequence[EpochRecord], selection_metric: str) -> list[int]:
    """Epochs from best to worst as :func:`is_better` has it, the earlier of equal ones first."""

    def place(record: EpochRecord) -> tuple[float, ...]:
        if not math.isfinite(record.val_loss):
            return math.inf, math.inf, record.epoch
        by_loss = selection_metric == "val_loss"
        return 0.0 if by_loss else badness(record, selection_metric), record.val_loss, record.epoch

    return [record.epoch for record in sorted(records, key=place)]
