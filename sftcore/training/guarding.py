"""The guard at work: what its verdict on an update means for the training's state."""

import logging
from dataclasses import dataclass
from statistics import median

from sftcore.foundations.errors import DivergedError
from sftcore.stability.answers import advice, choose_answer, reasons
from sftcore.stability.guard import (
    GIVE_UP,
    ROLLBACK,
    GuardSettings,
    Incident,
    Seen,
    find_trouble,
    is_high,
    remember_incident,
)
from sftcore.training.state import TrainingState

LOGGER = logging.getLogger("sftcore")
_NOT_FINITE_ALONE = GuardSettings(answers="none", loss_z=0.0, norm_factor=0.0)


@dataclass(frozen=True)
class Ruling:
    """What is to be done with an update.

    Attributes:
        answer: of the guard; empty to go on.
        norm_limit: to which the answer ``clip`` shrinks the gradient.
    """

    answer: str = ""
    norm_limit: float = float("inf")


@dataclass(frozen=True)
class Place:
    """Which update it is.

    Attributes:
        phase: name.
        step: counted from 0 over the phase.
        epoch: counted from 0 over the training.
        batch: position in the epoch.
        rows: of the store.
        learning_rate: of the update.
    """

    phase: str
    step: int
    epoch: int
    batch: int
    rows: tuple[int, ...]
    learning_rate: float


def refuse_not_finite(loss: float, gradient_norm: float, place: Place) -> Ruling:
    """The ruling where there is no guard.

    Raises:
        DivergedError: the loss or the gradient is not finite.
    """
    if find_trouble(Seen(), loss, gradient_norm, _NOT_FINITE_ALONE):
        raise DivergedError(
            f"the loss is {loss:g} and the gradient's norm {gradient_norm:g} at update "
            f"{place.step} with learning rate {place.learning_rate:g}",
            place.step,
        )
    return Ruling()


def judge(
    state: TrainingState,
    settings: GuardSettings,
    loss: float,
    gradient_norm: float,
    *,
    place: Place,
    share: float,
    num_examples: int,
    examples: str,
) -> Ruling:
    """The ruling on an update; an incident is added to the state's result.

    Where nothing is wrong and a snapshot is due, it is taken.

    Args:
        state: before the update.
        settings: of the guard.
        loss: of the update.
        gradient_norm: of the update.
        place: of the update.
        share: rows of the batch as part of a whole one.
        num_examples: that batches are drawn from.
        examples: what these are called.

    Raises:
        DivergedError: there have been too many incidents, or no answer fits.
    """
    if not settings.in_order:
        return refuse_not_finite(loss, gradient_norm, place)
    memory, incidents = state.guard, state.result.incidents
    seen = memory.seen
    trouble = find_trouble(seen, loss, gradient_norm, settings, share)
    if trouble is None:
        if not is_high(seen, loss, settings, share):
            state.take_snapshot_if_due(settings)
        return Ruling()
    answer = choose_answer(incidents, trouble, place.phase, seen.num_calm, settings)
    factor = memory.rate_factor * (settings.rate_factor if answer == ROLLBACK else 1.0)
    incident = Incident(
        phase=place.phase,
        step=place.step,
        epoch=place.epoch,
        batch=place.batch,
        rows=place.rows,
        trouble=trouble.kind,
        loss=loss,
        gradient_norm=gradient_norm,
        score=trouble.score,
        num_calm=seen.num_calm,
        learning_rate=place.learning_rate,
        answer=answer,
        rate_factor=factor,
    )
    incidents.append(incident)
    memory.seen = remember_incident(seen, trouble, gradient_norm, answer, settings)
    LOGGER.info(
        "%s at update %d of the %s phase (loss %.3g, gradient norm %.3g): %s",
        trouble.kind, place.step, place.phase, loss, gradient_norm, answer,
    )  # fmt: skip
    if answer == GIVE_UP:
        text = advice(reasons(incidents, settings), num_examples, examples)
        raise DivergedError(text, place.step)
    return Ruling(answer, median(seen.norms) if seen.norms else float("inf"))
