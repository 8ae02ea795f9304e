"""Learning-rate schedules as pure functions of the step.

Each takes the progress t in [0, 1) through the steps after warm-up and gives the factor on the
peak learning rate.
"""

import math
from collections.abc import Callable

STEP_DECAY = 0.1  # factor at each of the two drops of `step`, and over the whole of `exponential`
STEP_DROPS = (1 / 2, 3 / 4)
EXPONENTIAL_END = 0.01


def constant(progress: float) -> float:
    """1 throughout."""
    return 1.0


def linear(progress: float) -> float:
    """From 1 to 0 in a straight line."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """From 1 to 0 along half a cosine (Loshchilov and Hutter, 2017, SGDR, eq. 5)."""
    return (1 + math.cos(math.pi * progress)) / 2


def step(progress: float) -> float:
    """Times 0.1 at one half and again at three quarters."""
    return STEP_DECAY ** sum(progress >= drop for drop in STEP_DROPS)


def exponential(progress: float) -> float:
    """From 1 to 0.01 by equal factors."""
    return EXPONENTIAL_END**progress


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "step": step,
    "exponential": exponential,
}


def learning_rate_at(
    step_index: int, num_steps: int, *, peak: float, schedule: str, warmup_fraction: float
) -> float:
    """The learning rate of one update.

    During warm-up it rises in a straight line and reaches the peak at its last step (Goyal et al.,
    2017, Accurate, large minibatch SGD, section 2.2).

    Args:
        step_index: counted from 0.
        num_steps: length of the phase in updates.
        peak: highest learning rate.
        schedule: a name in :data:`SCHEDULES`.
        warmup_fraction: part of ``num_steps`` spent on warm-up, rounded to whole steps.

    Raises:
        ValueError: ``step_index`` lies outside the phase.
    """
    if not 0 <= step_index < num_steps:
        raise ValueError(f"step {step_index} lies outside a phase of {num_steps} steps")
    warmup_steps = round(warmup_fraction * num_steps)
    if step_index < warmup_steps:
        return peak * (step_index + 1) / warmup_steps
    progress = (step_index - warmup_steps) / (num_steps - warmup_steps)
    return peak * SCHEDULES[schedule](progress)
