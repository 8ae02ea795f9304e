"""What a training remembers besides its tensors: its position, its averages, its guard."""

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from sftcore.stability.guard import Seen


@dataclass
class Position:
    """How far a training has come; every random draw is a function of it and the seed.

    Attributes:
        phase: index of the phase.
        epoch: finished epochs of the phase.
        batch: batches of the epoch under way that are done with, by an update or left out.
        best_in_phase: record of the phase's best epoch, which early stopping looks at.
    """

    phase: int = 0
    epoch: int = 0
    batch: int = 0
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


@dataclass
class GuardMemory:
    """What the guard remembers within a phase.

    Attributes:
        seen: updates that were made, as far as the verdict needs them.
        rate_factor: on the learning rate.
        left_out: (epoch, batch) of the incidents that were skipped or rolled back from.
        num_rollbacks: of the whole training.
        num_since_snapshot: updates.
        good: the state that a rollback goes to; empty without a guard.
    """

    seen: Seen = field(default_factory=Seen)
    rate_factor: float = 1.0
    left_out: list[tuple[int, int]] = field(default_factory=list)
    num_rollbacks: int = 0
    num_since_snapshot: int = 0
    good: dict[str, Any] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values alone; the tensors are not copied."""
        return {**vars(self), "seen": asdict(self.seen)}

    @classmethod
    def from_state_dict(cls, saved: dict[str, Any]) -> "GuardMemory":
        """What :meth:`state_dict` described."""
        return cls(**{**saved, "seen": Seen(**saved["seen"])})
