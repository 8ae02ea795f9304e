"""Plain settings of one training, grouped by what they decide."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one set of trained blocks.

    Attributes:
        name: ``head`` or ``full``.
        num_epochs: passes over the training rows; 0 skips the phase.
        first_block: position of the first trained block; ``len(blocks)`` trains the head alone.
        learning_rate: peak.
        schedule: a name in :data:`sftcore.optimization.schedules.SCHEDULES`.
        warmup_fraction: part of the phase's steps spent on warm-up.
        augmentation: strength from 0 (off) to 1.
        early_stopping_patience: epochs without a better one before the phase ends; 0 never ends it.
    """

    name: str
    num_epochs: int
    first_block: int
    learning_rate: float
    schedule: str
    warmup_fraction: float
    augmentation: float
    early_stopping_patience: int


@dataclass(frozen=True)
class Update:
    """What one update does besides following the gradient of the cross-entropy.

    Attributes:
        optimizer: a name known to :func:`sftcore.optimization.optimizers.build_optimizer`.
        momentum: in [0, 1).
        weight_decay: λ of the optimizer's decay.
        l1: λ of ``λ‖θ‖₁``.
        l2: λ of ``λ‖θ‖₂²``.
        penalize_norm_and_bias: whether these three also apply to norms and biases.
        label_smoothing: ε in [0, 1).
        clip_norm: largest norm of the whole gradient; 0 never clips.
        batch_norm: see :mod:`sftcore.stability.batch_norm`.
        batch_size: pictures per update.
    """

    optimizer: str
    momentum: float
    weight_decay: float
    l1: float
    l2: float
    penalize_norm_and_bias: bool
    label_smoothing: float
    clip_norm: float
    batch_norm: str
    batch_size: int
