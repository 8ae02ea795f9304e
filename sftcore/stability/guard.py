"""What can go wrong with an update, seen before it is made, and which answer is given.

Both are pure functions of what has been recorded: :func:`find_trouble` of the losses and gradient
norms of the accepted updates, :func:`choose_answer` of the incidents. A training that meets no
trouble is not changed in any bit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

NON_FINITE_LOSS = "non-finite loss"
NON_FINITE_GRADIENT = "non-finite gradient"
LOSS_SPIKE = "loss spike"
GRADIENT_SPIKE = "gradient spike"

SKIP = "skip"  # the batch: no update, on with the next one
CLIP = "clip"  # the gradient to the median norm of the window
ROLLBACK = "rollback"  # to the last good state, leave out this batch, lower the rate
GIVE_UP = "give up"

_MAD_TO_SIGMA = 1.4826  # of a normal distribution
_LEAST_LOSS_PART = 0.1  # of the median loss; batches of one network differ by that much at least
_LEAST_LOSS_NATS = 0.1  # likewise where the loss is small
_LEAST_LOG_NORM = 0.3  # likewise of the gradient norm's logarithm
_TINY = 1e-30
_LARGEST_LOG = 700.0  # the exponential of more is no number
_CALM_UPDATES = 3  # that end a series of incidents
_HARDLY = 0.1  # pictures that bad batches may be expected to share by chance
_LEAST_HISTORY = 5  # values from which a spread is taken; of fewer, two can hide a third


@dataclass(frozen=True)
class GuardSettings:
    """What counts as trouble and what is done about it.

    Attributes:
        answers: in the order in which they are tried; empty is no guard.
        loss_z: robust z-score from which a loss is a spike; 0 is off.
        norm_z: of the logarithm of the gradient's norm, likewise.
        window: accepted updates that the median is taken over.
        snapshot_updates: accepted updates from one kept state to the next.
        rate_factor: on the learning rate of the phase at each rollback.
        max_incidents: of a phase; the next one ends the training.
    """

    answers: tuple[str, ...] = ()
    loss_z: float = 8.0
    norm_z: float = 10.0
    window: int = 50
    snapshot_updates: int = 10
    rate_factor: float = 0.3
    max_incidents: int = 20


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
        score: robust z-score of a spike; NaN where a number was not finite.
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
    learning_rate: float
    answer: str
    rate_factor: float


@dataclass(frozen=True)
class Trouble:
    """What is wrong with an update, and by how much."""

    kind: str
    score: float = math.nan


def find_trouble(
    losses: Sequence[float],
    norms: Sequence[float],
    loss: float,
    norm: float,
    settings: GuardSettings,
) -> Trouble | None:
    """The verdict on an update that has not been made.

    Args:
        losses: of the accepted updates of the phase, newest last; the window's are looked at.
        norms: of their gradients, as many.
        loss: of the update.
        norm: ``‖g‖₂`` of the update.
        settings: thresholds and window.

    Returns:
        None if nothing is wrong. Without a history nothing but a number that is not finite is.
    """
    if not math.isfinite(loss):
        return Trouble(NON_FINITE_LOSS)
    if not math.isfinite(norm):
        return Trouble(NON_FINITE_GRADIENT)
    if not losses:
        return None
    if settings.loss_z > 0:
        recent = losses[-settings.window :]
        score = robust_z(recent, loss, _least_loss_scale(recent))
        if score > settings.loss_z:
            return Trouble(LOSS_SPIKE, score)
    if settings.norm_z > 0:
        recent = [math.log(max(value, _TINY)) for value in norms[-settings.window :]]
        score = robust_z(recent, math.log(max(norm, _TINY)), _LEAST_LOG_NORM)
        if score > settings.norm_z:
            return Trouble(GRADIENT_SPIKE, score)
    return None


def spike_limits(
    losses: Sequence[float], norms: Sequence[float], settings: GuardSettings
) -> tuple[float, float]:
    """Loss and gradient norm from which the next update would be a spike; infinite where off.

    Args:
        losses: of the accepted updates of the phase; at least one.
        norms: of their gradients, as many.
        settings: thresholds and window.
    """
    recent = losses[-settings.window :]
    loss_limit = median(recent) + settings.loss_z * _scale(recent, _least_loss_scale(recent))
    logs = [math.log(max(value, _TINY)) for value in norms[-settings.window :]]
    log_limit = median(logs) + settings.norm_z * _scale(logs, _LEAST_LOG_NORM)
    has_limit = settings.norm_z > 0 and log_limit < _LARGEST_LOG
    return (
        loss_limit if settings.loss_z > 0 else math.inf,
        math.exp(log_limit) if has_limit else math.inf,
    )


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


def choose_answer(
    incidents: Sequence[Incident], trouble: Trouble, phase: str, step: int, settings: GuardSettings
) -> str:
    """The answer to a trouble: the next in order for each incident of the series it belongs to.

    A series ends after three updates without an incident: the answer has helped, and what comes
    later is another trouble, such as the same bad picture in the next epoch. The last answer in
    order is repeated. A gradient that is not finite cannot be clipped, so that answer is passed
    over.

    Args:
        incidents: so far.
        trouble: what is wrong now.
        phase: name of the phase.
        step: of the update, counted from 0 over the phase.
        settings: answers and their order.
    """
    own = [incident for incident in incidents if incident.phase == phase]
    if len(own) >= settings.max_incidents:
        return GIVE_UP
    level, last = 0, step
    for incident in reversed(own):
        if last - incident.step > _CALM_UPDATES:
            break
        level, last = level + 1, incident.step
    possible = [
        answer
        for answer in settings.answers
        if answer != CLIP or trouble.kind in (LOSS_SPIKE, GRADIENT_SPIKE)
    ]
    return possible[min(level, len(possible) - 1)] if possible else GIVE_UP


def advice(incidents: Sequence[Incident], num_pictures: int) -> str:
    """What to change after the guard has given up, from what it saw.

    Args:
        incidents: of the phase, at least one.
        num_pictures: that batches are drawn from. Pictures are blamed only if so many batches would
            hardly share any by chance.
    """
    counts = {kind: sum(i.trouble == kind for i in incidents) for kind in _KINDS}
    seen = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    common = set.intersection(*(set(incident.rows) for incident in incidents))
    last = incidents[-1]
    text = f"the guard gave up after {len(incidents)} incidents ({seen})"
    by_chance = num_pictures * math.prod(len(i.rows) / num_pictures for i in incidents)
    if common and by_chance < _HARDLY:
        rows = ", ".join(str(row) for row in sorted(common))
        return (
            f"{text}; the same pictures (rows {rows} of data/prepared/samples.csv) were in every "
            "one of these batches: look at them and at their labels"
        )
    name = f"train.{'head_' if last.phase == 'head' else ''}learning_rate"
    if last.rate_factor < 1:
        return (
            f"{text}, the last of them at {last.rate_factor:.2g} of the learning rate it began "
            f"with: lower {name} by more than that, and set train.warmup or train.clip_norm"
        )
    return (
        f"{text}: lower {name}, set train.warmup or train.clip_norm, or add rollback to train.guard"
    )


_KINDS = (NON_FINITE_LOSS, NON_FINITE_GRADIENT, LOSS_SPIKE, GRADIENT_SPIKE)
