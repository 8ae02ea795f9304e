"""Averages of parameters: along the way (EMA), over epochs (SWA, soup), with the start (WiSE-FT).

A state is a network's table of tensors, buffers included. Floating tensors are averaged; counters
are taken from the newer state.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sftcore.foundations.settings import Dial, Fraction, Settings, setting

State = dict[str, Tensor]


class AveragingSettings(Settings):
    """Averages of parameters, among which validation chooses."""

    ema_decay: Fraction = setting(
        0.0, "of a moving average, measured instead of the newest; 0 is off"
    )
    swa_fraction: Dial = setting(
        0.0, "last part of all epochs, averaged in the full phase; 0 is off"
    )
    soup_size: Annotated[int, Field(ge=0, le=100)] = setting(
        0, "best epochs offered to a greedy soup; 0 is off"
    )
    wise_ft: bool = setting(False, "try the line from the trained head to the trained network")

    def is_in_swa(self, num_left: int, num_epochs: int) -> bool:
        """Whether an epoch of the last phase is averaged by SWA.

        Epochs of another phase are not: that one trains other parameters, towards another end.

        Args:
            num_left: epochs to the end of the phase, the epoch itself among them.
            num_epochs: of all phases.
        """
        return self.swa_fraction > 0 and num_left <= max(1, round(self.swa_fraction * num_epochs))


def ema_decay_at(step: int, decay: float) -> float:
    """``min(d, (1 + t)/(10 + t))``: a short memory at first, so that the start is soon forgotten.

    (Polyak and Juditsky, 1992, for the average; the warm-up is TensorFlow's
    ``ExponentialMovingAverage`` with ``num_updates``.)

    Args:
        step: t, updates averaged before this one.
        decay: d in [0, 1).
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(average: State, state: Mapping[str, Tensor], weight: float) -> None:
    """``average ← average + weight·(state − average)``, in place.

    With weight 1 − d it is an exponential moving average, with 1/n the mean of n states (Izmailov
    et al., 2018, Averaging weights leads to wider optima and better generalization, eq. 2).

    Args:
        average: changed.
        state: of the same names and shapes.
        weight: of the new state, in [0, 1].
    """
    for name, tensor in state.items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, weight)
        else:
            average[name].copy_(tensor)


def interpolate(start: Mapping[str, Tensor], end: Mapping[str, Tensor], alpha: float) -> State:
    """``(1 − α)·θ₀ + α·θ`` (Wortsman et al., 2022, Robust fine-tuning of zero-shot models, eq. 1).

    At 0 and 1 the floating tensors are exactly those of the two states.

    Args:
        start: θ₀.
        end: θ, of the same names and shapes.
        alpha: α in [0, 1].
    """
    mixed = {name: tensor.clone() for name, tensor in start.items()}
    update_average(mixed, end, alpha)
    return mixed


def mean_state(states: Sequence[Mapping[str, Tensor]]) -> State:
    """Mean of at least one state."""
    total = {name: tensor.clone() for name, tensor in states[0].items()}
    for count, state in enumerate(states[1:], start=2):
        update_average(total, state, 1 / count)
    return total


def greedy_soup(
    states: Sequence[Mapping[str, Tensor]], is_no_worse: Callable[[State], bool]
) -> list[int]:
    """Which states to average: each joins, best first, if validation does not suffer.

    (Wortsman et al., 2022, Model soups, recipe 1.)

    Args:
        states: best first.
        is_no_worse: whether validation takes this average for at least as good as all it has been
            asked about and agreed to before.

    Returns:
        Positions in ``states``; the first is always among them.
    """
    chosen: list[int] = []
    for index in range(len(states)):
        candidate = mean_state([states[i] for i in [*chosen, index]])
        if is_no_worse(candidate) or not chosen:
            chosen.append(index)
    return chosen
