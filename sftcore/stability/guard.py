"""What can go wrong with an update, seen before it is made.

The verdict is a pure function of the losses and gradient norms of the updates that were made. A
training that meets no trouble is not changed in any bit.

A single high loss is no trouble: one wrong label in a batch gives it. An explosion stays, or its
gradient explodes with it; so a loss is a spike only as the last of several high ones in a row, or
where the gradient agrees. Where the network learns nothing new, the
order of its losses is chance: that k losses in a row are all higher than each of the W before them
has the probability 1 / C(W + k, k), whatever the losses are distributed like.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Annotated

from pydantic import AfterValidator, Field

from sftcore.foundations.settings import Coefficient, Count, PositiveCount, Settings, setting

NON_FINITE_LOSS = "non-finite loss"
NON_FINITE_GRADIENT = "non-finite gradient"
LOSS_SPIKE = "loss spike"
GRADIENT_SPIKE = "gradient spike"

SKIP = "skip"  # the batch: no update, on with the next one
CLIP = "clip"  # the gradient to the median norm of the window
ROLLBACK = "rollback"  # to the last good state, leave out this batch, lower the rate
GIVE_UP = "give up"
NONE = "none"  # of the answers

_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_LEAST_LOSS_PART = 0.1  # of the median loss; batches of one network differ by that much at least
_LEAST_LOSS_NATS = 0.1  # likewise where the loss is small
_LEAST_HISTORY = 5  # values from which a spread is taken; of fewer, two can hide a third


def _are_answers(value: str) -> str:
    if value != NONE and not set(value.split("+")) <= {SKIP, CLIP, ROLLBACK}:
        raise ValueError(
            f"should be none, or answers joined by +, as skip+rollback; of {SKIP}, {CLIP}, "
            f"{ROLLBACK}"
        )
    return value


class GuardSettings(Settings):
    """When an update goes wrong, and what is done then."""

    answers: Annotated[str, AfterValidator(_are_answers)] = setting(
        "skip+rollback", "none, or answers in their order: skip | clip | rollback"
    )
    loss_z: Coefficient = setting(8.0, "robust z-score from which a loss is high; 0 is off")
    loss_run: PositiveCount = setting(5, "high losses in a row that are an explosion")
    norm_factor: Coefficient = setting(
        20.0, "on the phase's largest gradient norm: more explodes, or its root if the loss is "
        "high; 0 is off"
    )  # fmt: skip
    window: Annotated[int, Field(ge=3, le=10_000)] = setting(
        50, "updates that a loss is compared with"
    )
    snapshot_updates: PositiveCount = setting(20, "from one state that is kept to the next")
    rate_factor: Annotated[float, Field(gt=0, lt=1)] = setting(
        0.3, "on the learning rate at each rollback"
    )
    max_incidents: Count = setting(20, "in a row, before it gives up")

    @property
    def in_order(self) -> tuple[str, ...]:
        """The answers in the order in which they are tried; empty is no guard."""
        return () if self.answers == NONE else tuple(self.answers.split("+"))


@dataclass(frozen=True)
class Seen:
    """The updates of a phase that were made, as far as a verdict needs them.

    Attributes:
        losses: the last ones, newest last, as many as the window.
        high: losses over the limit that the last updates had, in a row; part of ``losses`` when
            the row ends without a spike.
        norms: of the last gradients that were followed, as many as the window.
        largest_norm: of all of the phase; 0 before the first.
        num_calm: updates since the last incident whose loss was not high.
    """

    losses: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    norms: tuple[float, ...] = ()
    largest_norm: float = 0.0
    num_calm: int = 0


@dataclass(frozen=True)
class Incident:
    """An update that was not made as it stood.

    Attributes:
        phase: name of the phase.
        step: update counted from 0 over the phase.
        epoch: counted from 0 over the training.
        batch: position in the epoch.
        rows: of the store, the pictures of the batch.
        trouble: what was seen.
        loss: as trained on.
        gradient_norm: ``‖g‖₂``.
        score: of a loss its robust z-score, of a gradient its part of the limit; NaN where a number
            was not finite.
        num_calm: updates without trouble since the incident before, or since the phase began.
        learning_rate: of the update.
        answer: :data:`SKIP`, :data:`CLIP`, :data:`ROLLBACK` or :data:`GIVE_UP`.
        rate_factor: on the phase's learning rate from now on.
    """

    phase: str
    step: int
    epoch: int
    batch: int
    rows: tuple[int, ...]
    trouble: str
    loss: float
    gradient_norm: float
    score: float
    num_calm: int
    learning_rate: float
    answer: str
    rate_factor: float


@dataclass(frozen=True)
class Trouble:
    """What is wrong with an update, and by how much."""

    kind: str
    score: float = math.nan


def find_trouble(
    seen: Seen, loss: float, norm: float, settings: GuardSettings, share: float = 1.0
) -> Trouble | None:
    """The verdict on an update that has not been made.

    Args:
        seen: updates of the phase that were made.
        loss: of the update.
        norm: ``‖g‖₂`` of the update.
        settings: thresholds and window.
        share: rows of the batch as part of a whole one; the mean over fewer is noisier.

    Returns:
        None if nothing is wrong. Without a history nothing but a number that is not finite is.
    """
    if not math.isfinite(loss):
        return Trouble(NON_FINITE_LOSS)
    if not math.isfinite(norm):
        return Trouble(NON_FINITE_GRADIENT)
    limit = norm_limit(seen, settings, share)
    if is_high(seen, loss, settings, share):
        stays = len(seen.high) + 1 >= settings.loss_run
        if stays or norm > norm_limit(seen, settings, share, is_with_high_loss=True):
            return Trouble(LOSS_SPIKE, robust_z(seen.losses, loss, _least_loss_scale(seen.losses)))
    if norm > limit:
        return Trouble(GRADIENT_SPIKE, norm / limit)
    return None


def is_high(seen: Seen, loss: float, settings: GuardSettings, share: float = 1.0) -> bool:
    """Whether a loss is over :func:`loss_limit`; quick where it is not."""
    if not seen.losses or loss <= max(seen.losses):
        return False
    return loss > loss_limit(seen, settings, share)


def loss_limit(seen: Seen, settings: GuardSettings, share: float = 1.0) -> float:
    """The loss from which one is high: over the largest of the window, and far from its median.

    ``median + max(z·max(1.4826·MAD, floor), largest − median) / √share``; the standard deviation of
    a mean over n rows goes with 1/√n. Infinite without a history, and where it is off.

    Args:
        seen: updates of the phase that were made.
        settings: z and window.
        share: rows of the batch as part of a whole one.
    """
    losses = seen.losses
    if not losses or settings.loss_z == 0:
        return math.inf
    centre = median(losses)
    reach = settings.loss_z * _scale(losses, _least_loss_scale(losses))
    return centre + max(reach, max(losses) - centre) / math.sqrt(min(share, 1.0))


def norm_limit(
    seen: Seen, settings: GuardSettings, share: float = 1.0, *, is_with_high_loss: bool = False
) -> float:
    """``factor · largest norm of the phase / √share``; with a high loss half as far, ``√factor``.

    The largest of the phase and not of the window: a network that fits has small gradients, and a
    wrong label gives it one as large as it had at its beginning, now and then. Infinite without a
    history, and where it is off.

    Args:
        seen: updates of the phase that were made.
        settings: factor.
        share: rows of the batch as part of a whole one.
        is_with_high_loss: whether the update's loss is high.
    """
    if settings.norm_factor == 0 or seen.largest_norm == 0:
        return math.inf
    factor = math.sqrt(settings.norm_factor) if is_with_high_loss else settings.norm_factor
    return factor * seen.largest_norm / math.sqrt(min(share, 1.0))


def remember_update(
    seen: Seen,
    loss: float,
    norm: float,
    settings: GuardSettings,
    share: float = 1.0,
    *,
    is_answered: bool = False,
) -> Seen:
    """What has been seen after an update that was made.

    Args:
        seen: before it.
        loss: as trained on.
        norm: of the gradient that was followed.
        settings: thresholds and window.
        share: rows of the batch as part of a whole one.
        is_answered: whether it was an incident.
    """
    window = settings.window
    is_one_more = is_high(seen, loss, settings, share)
    row = (*seen.high, loss)
    return Seen(
        losses=seen.losses if is_one_more else (*seen.losses, *row)[-window:],
        high=row[-window:] if is_one_more else (),
        norms=(*seen.norms, norm)[-window:],
        largest_norm=max(seen.largest_norm, norm),
        num_calm=seen.num_calm + (not is_one_more and not is_answered),
    )


def remember_incident(
    seen: Seen, trouble: Trouble, norm: float, answer: str, settings: GuardSettings
) -> Seen:
    """What has been seen after an incident: no calm update since.

    A gradient that was passed over counts like one at its limit, so that what comes again and
    again, as a wrong label does, is usual at last. One that is clipped stays to be clipped.
    """
    largest = seen.largest_norm
    is_usual_at_last = trouble.kind in (LOSS_SPIKE, GRADIENT_SPIKE) and answer != CLIP
    if is_usual_at_last and settings.norm_factor > 0:
        is_with_high_loss = trouble.kind == LOSS_SPIKE
        limit = norm_limit(seen, settings, is_with_high_loss=is_with_high_loss)
        largest = max(largest, min(norm, limit))
    return replace(seen, largest_norm=largest, num_calm=0)


def _least_loss_scale(losses: Sequence[float]) -> float:
    return max(_LEAST_LOSS_PART * abs(median(losses)), _LEAST_LOSS_NATS)


def _scale(history: Sequence[float], floor: float) -> float:
    centre = median(history)
    spread = median(abs(each - centre) for each in history)
    return max(_MAD_TO_SIGMA * spread if len(history) >= _LEAST_HISTORY else 0.0, floor)


def robust_z(history: Sequence[float], value: float, floor: float) -> float:
    """``(x − median) / max(1.4826·MAD, floor)`` (Iglewicz and Hoaglin, 1993, section 3.2).

    Args:
        history: at least one value; of fewer than five the scale is the floor.
        value: x.
        floor: least scale.
    """
    return (value - median(history)) / _scale(history, floor)
