"""Losses and gradients of a network that fits all but the wrong labels, as the guard sees them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sftcore.stability.answers import choose_answer
from sftcore.stability.guard import (
    GIVE_UP,
    ROLLBACK,
    GuardSettings,
    Incident,
    Seen,
    find_trouble,
    is_high,
    remember_incident,
    remember_update,
)

BATCH_SIZES = (4, 16, 64)
WRONG = 0.01  # of the labels
_CHUNK = 10_000  # updates that are drawn at once


def _all_alike(stream: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Wrong labels cost 5 to 9 nats, all others 0.02."""
    return np.where(stream.random(shape) < WRONG, stream.uniform(5, 9, shape), 0.02)


def _heavy_tails(stream: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Wrong ones cost log-normal around e nats, others exponential with a mean of 0.05 to 0.2."""
    mean = stream.uniform(0.05, 0.2, (shape[0], 1))
    wrong = np.exp(stream.normal(1.0, 0.7, shape))
    return np.where(stream.random(shape) < WRONG, wrong, mean * stream.exponential(size=shape))


def _all_but_perfect(stream: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Wrong labels cost 9 to 15 nats, others log-normal around 0.0005."""
    others = 0.0005 * np.exp(stream.normal(0.0, 1.5, shape))
    return np.where(stream.random(shape) < WRONG, stream.uniform(9, 15, shape), others)


SIMULATIONS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "all alike": _all_alike,
    "heavy tails": _heavy_tails,
    "all but perfect": _all_but_perfect,
}


def simulate(
    name: str, batch_size: int, num_updates: int, seed: int, settings: GuardSettings
) -> list[Incident]:
    """The incidents of a network that learns nothing new, so that each of them is a false alarm.

    The norm of a picture's gradient is taken as ``1 − e^(−loss)``, which that of cross-entropy by
    the logits goes with, and that of a batch as their mean: all pull in one direction.

    Args:
        name: of :data:`SIMULATIONS`.
        batch_size: pictures of an update.
        num_updates: that are judged.
        seed: of the draws.
        settings: of the guard.
    """
    stream = np.random.default_rng(seed)
    seen = good = Seen()
    num_since = 0
    incidents: list[Incident] = []
    for first in range(0, num_updates, _CHUNK):
        each = SIMULATIONS[name](stream, (min(_CHUNK, num_updates - first), batch_size))
        numbers = zip(each.mean(axis=1).tolist(), (1 - np.exp(-each)).mean(axis=1).tolist(),
                      strict=True)  # fmt: skip
        for step, (loss, norm) in enumerate(numbers, start=first):
            trouble = find_trouble(seen, loss, norm, settings)
            if trouble is None:
                if num_since >= settings.snapshot_updates and not (
                    seen.high or is_high(seen, loss, settings)
                ):
                    good, num_since = seen, 0
                seen = remember_update(seen, loss, norm, settings)
                num_since += 1
                continue
            answer = choose_answer(incidents, trouble, "full", seen.num_calm, settings)
            incidents.append(
                Incident("full", step, 0, step, (), trouble.kind, loss, norm, trouble.score,
                         seen.num_calm, 0.0, answer, 1.0)
            )  # fmt: skip
            if answer == GIVE_UP:
                return incidents
            seen = remember_incident(seen, trouble, norm, answer, settings)
            if answer == ROLLBACK:
                seen = replace(seen, losses=good.losses, norms=good.norms, high=())
                num_since = 0
    return incidents
