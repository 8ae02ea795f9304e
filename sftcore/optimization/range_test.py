"""The learning-rate range test: a sweep of rates, its smoothed losses, and what they suggest.

(Smith, 2017, Cyclical learning rates for training neural networks, section 3.3.) How the sweep is
trained without a trace is :mod:`sftcore.training.trial`'s business.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from sftcore.foundations.settings import Rate, Settings, setting

_SMOOTHING = 0.9  # weight of the past in the moving average of the losses
_STOP_FACTOR = 4.0  # a smoothed loss beyond this multiple of the least ends the sweep
_NUM_SETTLING = 10  # first steps, in which the moving average settles: 1/(1 − β)
_LEAST_LENGTH = 5  # losses from which anything is suggested
_SLOPE_FRACTION = 1 / 6  # of the sweep: stretch over which a slope is taken


class RangeTestSettings(Settings):
    """The range test, before each phase; it leaves no trace."""

    enabled: bool = setting(True, "whether its curve is drawn; auto runs it in any case")
    steps: Annotated[int, Field(ge=10, le=10_000)] = setting(
        50, "updates from the least rate to the most"
    )
    least: Rate = setting(1e-5, "first rate")
    most: Rate = setting(1.0, "last rate, if the loss does not blow up before")
    suggestion: Literal["valley", "steepest"] = setting("valley", "what auto takes")

    @model_validator(mode="after")
    def _rises(self) -> "RangeTestSettings":
        if self.least >= self.most:
            raise ValueError("train.range_test.least must be below train.range_test.most")
        return self


@dataclass(frozen=True)
class RangeTest:
    """A sweep of one phase and its suggestions, in the order of the rates.

    Attributes:
        phase: name of the phase that the sweep came before.
        rates: tried.
        losses: of each batch before its update, as trained on.
        smoothed: see :func:`smooth`.
        steepest: where the smoothed loss falls fastest; NaN if it falls nowhere.
        valley: two thirds down the longest fall; NaN likewise.
    """

    phase: str
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steepest: float
    valley: float


def sweep_rates(least: float, most: float, num_steps: int) -> list[float]:
    """Rates from the least to the most by equal factors."""
    return [least * (most / least) ** (i / (num_steps - 1)) for i in range(num_steps)]


def smooth(losses: Sequence[float]) -> list[float]:
    """Exponential moving average with bias correction: ``s_t = β s_{t−1} + (1−β) l_t`` over
    ``1 − β^{t+1}``, with β = 0.9.
    """
    average, smoothed = 0.0, []
    for step, loss in enumerate(losses, start=1):
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        smoothed.append(average / (1 - _SMOOTHING**step))
    return smoothed


def has_blown_up(losses: Sequence[float]) -> bool:
    """Whether a sweep need not go on: not finite, or far above its least smoothed loss."""
    if not math.isfinite(losses[-1]):
        return True
    smoothed = smooth(losses)
    return smoothed[-1] > _STOP_FACTOR * min(smoothed)


def suggest(phase: str, rates: Sequence[float], losses: Sequence[float]) -> RangeTest:
    """A finished sweep with its suggestions.

    Args:
        phase: name.
        rates: tried, rising by equal factors.
        losses: finite ones, as many; none if the first was not finite.
    """
    smoothed = smooth(losses)
    return RangeTest(
        phase=phase,
        rates=tuple(rates),
        losses=tuple(losses),
        smoothed=tuple(smoothed),
        steepest=_at(rates, steepest_index(smoothed)),
        valley=_at(rates, valley_index(smoothed)),
    )


def _at(rates: Sequence[float], index: int | None) -> float:
    return math.nan if index is None else rates[index]


def steepest_index(smoothed: Sequence[float]) -> int | None:
    """Where the loss falls fastest by the logarithm of the rate, before its least value.

    Slopes are least-squares lines through a sixth of the sweep, or all there is before the least
    value; the first steps, in which the average settles, are left out. None if it falls nowhere.
    """
    if len(smoothed) < _LEAST_LENGTH:
        return None
    begin = min(_NUM_SETTLING, len(smoothed) // 4)
    end = int(np.argmin(smoothed)) + 1
    width = min(max(3, round(_SLOPE_FRACTION * len(smoothed))), end - begin)
    if width < 3:
        return None
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(smoothed[begin:end]), width)
    slopes = np.polyfit(np.arange(width), windows.T, 1)[0]
    index = int(np.argmin(slopes))
    return begin + index + width // 2 if slopes[index] < 0 else None


def valley_index(smoothed: Sequence[float]) -> int | None:
    """Two thirds, by the number of steps, down the longest subsequence of falling losses.

    It lies well before the least loss, where a rate is already on the edge. None if no two losses
    fall, or there are fewer than five. (After fastai's suggestion of this name, which takes half.)
    """
    if len(smoothed) < _LEAST_LENGTH:
        return None
    length = [1] * len(smoothed)
    before = list(range(len(smoothed)))
    for i in range(len(smoothed)):
        for j in range(i):
            if smoothed[j] > smoothed[i] and length[j] + 1 > length[i]:
                length[i], before[i] = length[j] + 1, j
    end = int(np.argmax(length))
    if length[end] < 2:
        return None
    path = [end]
    while before[path[-1]] != path[-1]:
        path.append(before[path[-1]])
    path.reverse()
    begin, last = path[0], path[-1]
    return begin + (last - begin) * 2 // 3
