"""Where a training is, and the tensors that change: all that a checkpoint has to hold."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from sftcore.models.network import Network
from sftcore.optimization.range_test import RangeTest
from sftcore.regularization.averaging import ema_decay_at, update_average
from sftcore.stability.batch_norm import running_statistics
from sftcore.stability.guard import GuardSettings, Incident, remember_update
from sftcore.stability.precision import LossScale
from sftcore.training.fixed import with_fixed, without_fixed
from sftcore.training.memory import Averages, GuardMemory, Position
from sftcore.training.records import EpochRecord, FitResult, HeadStart, is_better, rank_epochs
from sftcore.training.snapshots import copied, go_back, snapshot_of


class TrainingState:
    """All that changes while a network is trained, so all that a checkpoint has to hold.

    Random streams are not part of it: they are keyed by seed and position. Nor is the learning
    rate's schedule, which is a function of the position.

    Args:
        network: as it is before its first update.
        fixed: names of what never changes of it; see :func:`sftcore.training.fixed.fixed_names`.
    """

    def __init__(self, network: Network, fixed: frozenset[str] = frozenset()) -> None:
        self.network = network
        self._fixed = fixed
        self.optimizer: torch.optim.Optimizer | None = None
        self.position = Position()
        self.result = FitResult()
        self.averages = Averages()
        self.guard = GuardMemory()
        self.loss_scale = LossScale()
        self._loaded_optimizer: dict[str, Any] | None = None
        self._statistics: dict[str, Tensor] = {}  # before the forward pass, if a snapshot is due

    def begin_phase(self, optimizer: torch.optim.Optimizer, *, is_guarded: bool) -> None:
        """Take the optimizer of the phase, with the moments it had if the phase is continued.

        Args:
            optimizer: over all parameters that the phase trains.
            is_guarded: whether the state of its beginning is kept for a rollback.
        """
        self.optimizer = optimizer
        if self._loaded_optimizer is not None:
            optimizer.load_state_dict(self._loaded_optimizer)
            self._loaded_optimizer = None
        if is_guarded and not self.guard.good:
            self.guard.good = snapshot_of(self, running_statistics(self.network))

    def keep_anchor(self) -> None:
        """Remember where the last phase begins, if it does just now."""
        if not self.averages.anchor:
            self.averages.anchor = copy.deepcopy(self.network.model_state())

    def add_update(
        self,
        *,
        loss: float,
        gradient_norm: float,
        learning_rate: float,
        is_clipped: bool,
        step: int,
        ema_decay: float,
    ) -> None:
        """Count an update of the epoch under way, and let the moving average follow it.

        Args:
            loss: as trained on.
            gradient_norm: before clipping.
            learning_rate: of the update.
            is_clipped: whether its gradient was shrunk.
            step: counted from 0 over the phase.
            ema_decay: of the moving average; 0 is none.
        """
        self.position.batch += 1
        self.result.updates.append(
            epoch=len(self.result.history),
            step=step,
            loss=loss,
            gradient_norm=gradient_norm,
            learning_rate=learning_rate,
            is_clipped=float(is_clipped),
        )
        if ema_decay > 0:
            averages = self.averages
            if not averages.ema:
                averages.ema = copy.deepcopy(self.network.state_dict())
            decay = ema_decay_at(averages.num_ema_updates, ema_decay)
            update_average(averages.ema, self.network.state_dict(), 1 - decay)
            averages.num_ema_updates += 1

    def pass_over_batch(self) -> None:
        """Go on to the next batch without an update."""
        self.position.batch += 1

    def leave_out_batch(self) -> None:
        """Pass over the batch under way, also when a rollback comes by it again."""
        place = len(self.result.history), self.position.batch
        self.guard.left_out = [*self.guard.left_out, place]
        self.pass_over_batch()

    def remember_update(
        self,
        loss: float,
        gradient_norm: float,
        settings: GuardSettings,
        share: float,
        *,
        is_answered: bool,
    ) -> None:
        """Let the guard know of an update that was made.

        Args:
            loss: as trained on.
            gradient_norm: of the gradient that was followed.
            settings: of the guard.
            share: rows of the batch as part of a whole one.
            is_answered: whether it was an incident.
        """
        guard = self.guard
        guard.num_since_snapshot += 1
        guard.seen = remember_update(
            guard.seen, loss, gradient_norm, settings, share, is_answered=is_answered
        )

    def prepare_snapshot(self, settings: GuardSettings) -> None:
        """Before a batch: keep what its forward pass will move, if a snapshot is due."""
        is_due = self.guard.num_since_snapshot >= settings.snapshot_updates
        self._statistics = copied(running_statistics(self.network)) if is_due else {}

    def take_snapshot_if_due(self, settings: GuardSettings) -> None:
        """Keep the state from before the batch under way, whose loss and gradient are calm.

        The batch vouches for the update before it: the damage of an update is seen in the next
        loss. So one copy is enough, and it takes the memory of the one before.
        """
        guard = self.guard
        if guard.num_since_snapshot < settings.snapshot_updates or guard.seen.high:
            return
        guard.num_since_snapshot = 0
        guard.good = snapshot_of(self, self._statistics)
        first = guard.good["num_epochs"]  # no rollback goes before it
        guard.left_out = [place for place in guard.left_out if place[0] >= first]

    def roll_back(self, rate_factor: float) -> None:
        """Become the last good state again, without the batch under way, at a lower rate.

        Order, augmentation and dropout are functions of the position, so they come back with it.

        Args:
            rate_factor: on the phase's learning rate from now on.
        """
        guard = self.guard
        guard.left_out = [*guard.left_out, (len(self.result.history), self.position.batch)]
        guard.rate_factor = rate_factor
        guard.num_rollbacks += 1
        guard.num_since_snapshot = 0
        go_back(self, guard.good)

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
        is_best = result.best_epoch < 0 or is_better(record, result.best, selection_metric)
        is_kept = is_best or is_in_swa or soup_size > 0
        state = copy.deepcopy(self.network.model_state()) if is_kept else {}
        if is_best:
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
            kept = {**averages.kept, record.epoch: state}
            ranked = rank_epochs([result.history[i] for i in kept], selection_metric)
            averages.kept = {epoch: kept[epoch] for epoch in ranked[:soup_size]}
        position.epoch += 1
        position.batch = 0

    def end_phase(self) -> None:
        """Move on to the beginning of the next phase."""
        self.optimizer = None
        self.position = Position(phase=self.position.phase + 1)
        self.guard = GuardMemory(num_rollbacks=self.guard.num_rollbacks)

    @property
    def progress(self) -> tuple[int, int, int]:
        """Grows with every update: rollbacks, finished epochs, and batches of the one under way."""
        return self.guard.num_rollbacks, len(self.result.history), self.position.batch

    @property
    def settled(self) -> list[EpochRecord]:
        """Records that no rollback can reach any more."""
        good, history = self.guard.good, self.result.history
        return history[: good["num_epochs"]] if good else history

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values alone, of what changes; the tensors are not copied."""
        whole = {
            "network": dict(self.network.state_dict()),
            "optimizer": self.optimizer.state_dict() if self.optimizer else self._loaded_optimizer,
            "position": asdict(self.position),
            "history": [asdict(record) for record in self.result.history],
            "best_epoch": self.result.best_epoch,
            "best_state": dict(self.result.best_state),
            "updates": self.result.updates.state_dict(),
            "incidents": [asdict(incident) for incident in self.result.incidents],
            "range_tests": [asdict(test) for test in self.result.range_tests],
            "head": asdict(self.result.head) if self.result.head else None,
            "averages": vars(self.averages),
            "guard": self.guard.state_dict(),
            "loss_scale": asdict(self.loss_scale),
        }
        return without_fixed(whole, self._fixed)

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Become what :meth:`state_dict` described.

        Raises:
            KeyError, TypeError, RuntimeError: the description is of another network or version.
        """
        saved = with_fixed(saved, self.network, self._fixed)
        self.network.load_state_dict(saved["network"])
        self._loaded_optimizer = saved["optimizer"]
        self.position = Position(**saved["position"])
        self.result = FitResult(
            history=[EpochRecord(**record) for record in saved["history"]],
            best_epoch=saved["best_epoch"],
            best_state=saved["best_state"],
            incidents=[Incident(**incident) for incident in saved["incidents"]],
            range_tests=[RangeTest(**test) for test in saved["range_tests"]],
            head=HeadStart(**saved["head"]) if saved["head"] else None,
        )
        self.result.updates.load_state_dict(saved["updates"])
        self.averages = Averages(**saved["averages"])
        self.guard = GuardMemory.from_state_dict(saved["guard"])
        self.loss_scale = LossScale(**saved["loss_scale"])
