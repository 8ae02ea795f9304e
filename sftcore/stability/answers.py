"""Which answer the guard gives, and when it gives up: pure functions of the incidents."""

import math
from collections.abc import Sequence

from sftcore.stability.guard import (
    CLIP,
    GIVE_UP,
    GRADIENT_SPIKE,
    LOSS_SPIKE,
    NON_FINITE_GRADIENT,
    NON_FINITE_LOSS,
    ROLLBACK,
    GuardSettings,
    Incident,
    Trouble,
)

_CALM_UPDATES = 2  # that end a series of incidents
_HARDLY = 0.1  # pictures that bad batches may be expected to share by chance
_KINDS = (NON_FINITE_LOSS, NON_FINITE_GRADIENT, LOSS_SPIKE, GRADIENT_SPIKE)


def choose_answer(
    incidents: Sequence[Incident],
    trouble: Trouble,
    phase: str,
    num_calm: int,
    settings: GuardSettings,
) -> str:
    """The answer to a trouble: the next in order for each incident of the series it belongs to.

    A series ends after two calm updates: the answer has helped, and what comes later is another
    trouble, such as the same bad picture in the next epoch. The last answer in order is repeated. A
    gradient that is not finite cannot be clipped, so that answer is passed over.

    How many incidents there are in all ends no training; too many in a row do: of one series, or
    rollbacks with fewer calm updates from one to the next than the window has.

    Args:
        incidents: so far.
        trouble: what is wrong now.
        phase: name of the phase.
        num_calm: updates since the last incident.
        settings: answers and their order.
    """
    own = [incident for incident in incidents if incident.phase == phase]
    level = len(in_a_row(own, num_calm, _CALM_UPDATES))
    possible = [
        answer
        for answer in settings.in_order
        if answer != CLIP or trouble.kind in (LOSS_SPIKE, GRADIENT_SPIKE)
    ]
    if level >= settings.max_incidents or not possible:
        return GIVE_UP
    answer = possible[min(level, len(possible) - 1)]
    if answer == ROLLBACK:
        row = rollbacks_in_a_row(own, num_calm, settings.window)
        if len(row) >= settings.max_incidents:
            return GIVE_UP
    return answer


def in_a_row(incidents: Sequence[Incident], num_calm: int, num_ending: int) -> list[Incident]:
    """The last incidents between which there were fewer calm updates than end a row.

    Args:
        incidents: of the phase.
        num_calm: updates since the last one.
        num_ending: calm updates that end a row.
    """
    first = len(incidents)
    while first > 0 and num_calm < num_ending:
        first -= 1
        num_calm = incidents[first].num_calm
    return list(incidents[first:])


def rollbacks_in_a_row(
    incidents: Sequence[Incident], num_calm: int, num_ending: int
) -> list[Incident]:
    """The same of rollbacks alone; other incidents between them neither count nor end the row."""
    row: list[Incident] = []
    for incident in reversed(incidents):
        if num_calm >= num_ending:
            break
        if incident.answer == ROLLBACK:
            row.insert(0, incident)
            num_calm = 0
        num_calm += incident.num_calm
    return row


def reasons(incidents: Sequence[Incident], settings: GuardSettings) -> list[Incident]:
    """The row of incidents that made the guard give up, the last of them among it.

    Args:
        incidents: the last one is that at which it gave up.
        settings: answers and their order.
    """
    last = incidents[-1]
    own = [each for each in incidents[:-1] if each.phase == last.phase]
    row = in_a_row(own, last.num_calm, _CALM_UPDATES)
    if len(row) < settings.max_incidents:
        row = rollbacks_in_a_row(own, last.num_calm, settings.window) or row
    return [*row, last]


def advice(incidents: Sequence[Incident], num_examples: int, examples: str = "pictures") -> str:
    """What to change after the guard has given up, from what it saw.

    Args:
        incidents: of the phase that made it give up, at least one.
        num_examples: that batches are drawn from. Examples are blamed only if so many batches would
            hardly share any by chance.
        examples: what these are called.
    """
    counts = {kind: sum(i.trouble == kind for i in incidents) for kind in _KINDS}
    seen = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    common = set.intersection(*(set(incident.rows) for incident in incidents))
    last = incidents[-1]
    text = f"the guard gave up after {len(incidents)} incidents ({seen})"
    by_chance = num_examples * math.prod(len(i.rows) / num_examples for i in incidents)
    if common and by_chance < _HARDLY:
        rows = ", ".join(str(row) for row in sorted(common))
        return (
            f"{text}; the same {examples} (rows {rows} of data/prepared/samples.csv) were in every "
            "one of these batches: look at them and at their labels"
        )
    name = f"train.{'head.' if last.phase == 'head' else ''}learning_rate"
    if last.rate_factor < 1:
        return (
            f"{text}, the last of them at {last.rate_factor:.2g} of the learning rate it began "
            f"with: lower {name} by more than that, and set train.schedule.warmup or "
            "train.clipping.norm"
        )
    return (
        f"{text}: lower {name}, set train.schedule.warmup or train.clipping.norm, or add rollback "
        "to train.guard.answers"
    )
