"""Learning-rate schedules as pure functions of the step.

A shape takes the step t counted from the end of the warm-up, and the number of steps T from there
to the end of the phase, and gives the factor on the peak learning rate. Only the plateau also looks
at what has been measured, and that is an argument too: the number of its drops so far.

The updates are those at t = 0 to T − 1. Linear, cosine, polynomial and warmup_stable_decay would
reach their end at t = T, so that the last update is one step before it and no update is lost to a
rate of 0; one_cycle ends at its last update, as torch's does.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from sftcore.foundations.settings import (
    Count,
    Dial,
    Length,
    Rate,
    Settings,
    one_of,
    setting,
)

ONE_CYCLE_START = 1 / 25  # of the peak, as torch's OneCycleLR has it
ONE_CYCLE_END = 1e-4  # of the start
_ROUNDING = 1e-9  # 0.7 of 10 steps is a hair more than 7
ScheduleName = Annotated[str, one_of(lambda: SHAPES)]


class ScheduleSettings(Settings):
    """How the rate goes on; lengths: parts of a phase, "50 steps", "2 epochs".

    Lengths that are parts are parts of the steps after the warm-up; the warm-up is a part of all.
    """

    name: ScheduleName = setting("cosine", "the shape of its way")
    warmup: Length = setting(0.0, "length in which the rate rises to its peak, in any schedule")
    factor: Annotated[float, Field(gt=0, lt=1)] = setting(
        0.1, "at each drop of step, multi_step, plateau; exponential in `every`"
    )
    every: Length = setting(0.5, "length between drops of step; of one factor of exponential")
    milestones: Annotated[list[Length], Field(min_length=1)] = setting(
        [0.5, 0.75], "lengths to the drops of multi_step"
    )
    end: Dial = setting(0.0, "part of the peak that linear, cosine, polynomial, wsd end at")
    power: Rate = setting(2.0, "of polynomial")
    cycles: Annotated[int, Field(ge=1, le=1000)] = setting(1, "of cosine; more are warm restarts")
    rise: Length = setting(0.3, "length of one_cycle's way up")
    decay: Length = setting(0.2, "length of warmup_stable_decay's way down")
    patience: Count = setting(2, "epochs without a better one before plateau drops")

    @model_validator(mode="after")
    def _drops(self) -> "ScheduleSettings":
        if self.every == 0:
            raise ValueError("train.schedule.every must be above 0")
        return self

    def in_steps(self, num_epochs: int, steps_per_epoch: int) -> "StepSchedule":
        """The schedule of a phase of this length, with every length in steps.

        Raises:
            ValueError: a length that the schedule uses does not fit into the phase.
        """
        whole = num_epochs * steps_per_epoch
        warmup = round(_steps(self.warmup, whole, steps_per_epoch))
        _must_fit("warmup", self.warmup, warmup, whole - 1, num_epochs, whole)
        rest = whole - warmup
        used: dict[str, Length] = {
            "step": {"every": self.every},
            "exponential": {"every": self.every},
            "multi_step": {f"milestones.{i}": m for i, m in enumerate(self.milestones)},
            "one_cycle": {"rise": self.rise},
            "warmup_stable_decay": {"decay": self.decay},
        }.get(self.name, {})
        for name, length in used.items():
            if name == "every" and _steps(length, rest, steps_per_epoch) <= 0:
                raise ValueError(
                    f"train.schedule.{name} is {length}: it must be longer than nothing"
                )
            _must_fit(name, length, _steps(length, rest, steps_per_epoch), rest, num_epochs, whole)
        return StepSchedule(
            shape=self,
            num_steps=whole,
            warmup_steps=warmup,
            every_steps=_steps(self.every, rest, steps_per_epoch),
            milestone_steps=tuple(_steps(m, rest, steps_per_epoch) for m in self.milestones),
            rise_steps=_steps(self.rise, rest, steps_per_epoch),
            decay_steps=_steps(self.decay, rest, steps_per_epoch),
        )

    def in_more_epochs(self, factor: float) -> Self:
        """The same in epochs of so many times fewer steps: what is counted in epochs, times this.

        Parts of a phase and numbers of steps stay.
        """
        longer = {
            name: _times(getattr(self, name), factor)
            for name in ("warmup", "every", "rise", "decay")
        }
        return self.model_copy(
            update=longer
            | {
                "milestones": [_times(milestone, factor) for milestone in self.milestones],
                "patience": round(self.patience * factor),
            }
        )


@dataclass(frozen=True)
class StepSchedule:
    """A schedule in a phase of known length; see :meth:`ScheduleSettings.in_steps`."""

    shape: ScheduleSettings
    num_steps: int
    warmup_steps: int = 0
    every_steps: float = 1.0
    milestone_steps: tuple[float, ...] = ()
    rise_steps: float = 0.0
    decay_steps: float = 0.0


def _steps(length: Length, whole: int, steps_per_epoch: int) -> float:
    """A length in steps; a part of ``whole`` need not be a round number."""
    if not isinstance(length, str):
        return length * whole
    number, unit = length.split()
    return float(number) * (steps_per_epoch if unit.startswith("epoch") else 1)


def _times(length: Length, factor: float) -> Length:
    if not isinstance(length, str) or "epoch" not in length or factor == 1:
        return length
    return f"{float(length.split()[0]) * factor:.9g} epochs"


def _must_fit(
    name: str, length: Length, steps: float, most: float, num_epochs: int, num_steps: int
) -> None:
    if steps > most:
        raise ValueError(
            f"train.schedule.{name} is {length}, which is {steps:g} steps: at most {most:g} fit "
            f"into a phase of {num_epochs} epochs, {num_steps} steps. Shorten it, or train for "
            "more epochs"
        )


def constant(t: int, total: int, schedule: StepSchedule) -> float:
    """1 throughout."""
    return 1.0


def linear(t: int, total: int, schedule: StepSchedule) -> float:
    """From 1 to e in a straight line, ``1 − (1 − e)·t/T``."""
    return 1.0 - (1 - schedule.shape.end) * (t / total)


def cosine(t: int, total: int, schedule: StepSchedule) -> float:
    """From 1 to e along half a cosine, as often as there are cycles of equal length.

    (Loshchilov and Hutter, 2017, SGDR, eq. 5, with T_mult = 1.)
    """
    end, progress = schedule.shape.end, (t / total * schedule.shape.cycles) % 1
    return end + (1 - end) * ((1 + math.cos(math.pi * progress)) / 2)


def polynomial(t: int, total: int, schedule: StepSchedule) -> float:
    """``e + (1 − e)·(1 − t/T)^p`` (Chen et al., 2018, DeepLab, section 4.1, with e = 0)."""
    end = schedule.shape.end
    return end + (1 - end) * (1 - t / total) ** schedule.shape.power


def exponential(t: int, total: int, schedule: StepSchedule) -> float:
    """By equal factors, f in each stretch: ``f^(t/s)``."""
    return schedule.shape.factor ** (t / schedule.every_steps)


def step(t: int, total: int, schedule: StepSchedule) -> float:
    """Times f after each stretch: ``f^⌊t/s⌋``."""
    return schedule.shape.factor ** int(t / schedule.every_steps + _ROUNDING)


def multi_step(t: int, total: int, schedule: StepSchedule) -> float:
    """Times f at each milestone."""
    return schedule.shape.factor ** sum(t + _ROUNDING >= m for m in schedule.milestone_steps)


def one_cycle(t: int, total: int, schedule: StepSchedule) -> float:
    """Up from 1/25 along half a cosine, and down to 1/250 000 along another.

    The rise of r steps is over at t = r − 1 and the fall at the last update, t = T − 1 (Smith and
    Topin, 2018, Super-convergence, as torch's ``OneCycleLR`` has it; the momentum stays).
    """
    top, last = schedule.rise_steps - 1, total - 1
    if t < top:
        return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * (1 - math.cos(math.pi * t / top)) / 2
    end = ONE_CYCLE_START * ONE_CYCLE_END
    fallen = (t - top) / (last - top) if last > top else 0.0
    return end + (1 - end) * (1 + math.cos(math.pi * fallen)) / 2


def warmup_stable_decay(t: int, total: int, schedule: StepSchedule) -> float:
    """1, and in the last part from 1 to e in a straight line.

    (Hägele et al., 2024, Scaling laws and compute-optimal training beyond fixed training durations,
    section 3.)
    """
    begin = total - schedule.decay_steps
    if t <= begin:
        return 1.0
    return 1.0 - (1 - schedule.shape.end) * (t - begin) / schedule.decay_steps


SHAPES: dict[str, Callable[[int, int, StepSchedule], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "polynomial": polynomial,
    "exponential": exponential,
    "step": step,
    "multi_step": multi_step,
    "one_cycle": one_cycle,
    "warmup_stable_decay": warmup_stable_decay,
    "plateau": constant,  # its drops are counted by plateau_drops
}


def learning_rate_at(
    step_index: int, schedule: StepSchedule, *, peak: float, num_drops: int = 0
) -> float:
    """The learning rate of one update.

    During warm-up it rises in a straight line and reaches the peak at its last step (Goyal et al.,
    2017, Accurate, large minibatch SGD, section 2.2).

    Args:
        step_index: counted from 0 over the phase.
        schedule: of the phase.
        peak: highest learning rate.
        num_drops: of the plateau, see :func:`plateau_drops`; other schedules have none.

    Raises:
        ValueError: ``step_index`` lies outside the phase.
    """
    if not 0 <= step_index < schedule.num_steps:
        raise ValueError(f"step {step_index} lies outside a phase of {schedule.num_steps} steps")
    warmup = schedule.warmup_steps
    if step_index < warmup:
        return peak * (step_index + 1) / warmup
    shape = SHAPES[schedule.shape.name]
    factor = shape(step_index - warmup, schedule.num_steps - warmup, schedule)
    return peak * factor * schedule.shape.factor**num_drops


def plateau_drops(losses: Sequence[float], patience: int) -> int:
    """How often a plateau has dropped the rate: a function of what has been measured alone.

    An epoch is better if its loss is below the least before it. After more than ``patience`` epochs
    in a row that are not, the rate drops and the count begins anew, as in torch's
    ``ReduceLROnPlateau`` with a threshold of 0. A loss that is not a number is not better.

    Args:
        losses: of the phase's finished epochs, the less the better.
        patience: epochs.
    """
    best, waited, drops = math.inf, 0, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = loss if loss < best else best
        if waited > patience:
            drops, waited = drops + 1, 0
    return drops
