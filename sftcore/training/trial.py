"""Updates that are made to learn something, and undone to the last bit.

The range test sweeps the learning rate; the precision test times a few updates. Both leave network,
modes, gradients and random streams as they were, so that training after them is bit for bit the
training without them.
"""

import copy
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch

from sftcore.data.loader import rows_of
from sftcore.foundations.errors import DivergedError
from sftcore.foundations.interruption import uninterrupted
from sftcore.foundations.randomness import seed_global
from sftcore.models.network import Network
from sftcore.models.parameter_groups import Claim
from sftcore.optimization.optimizers import build_optimizer
from sftcore.optimization.range_test import (
    RangeTest,
    RangeTestSettings,
    has_blown_up,
    suggest,
    sweep_rates,
)
from sftcore.stability.precision import LossScale
from sftcore.training.epoch import Epoch
from sftcore.training.guarding import Place, refuse_not_finite
from sftcore.training.objective import Draws
from sftcore.training.settings import Seeds, UpdateSettings
from sftcore.training.step import StepReport, train_step

_NUM_WARM_UP, _NUM_TIMED = 2, 5  # updates of the precision test


@contextmanager
def without_a_trace(network: Network) -> Iterator[None]:
    """Undo at the end whatever happens to the network and to torch's random streams."""
    state = copy.deepcopy(network.state_dict())
    modes = [(module, module.training) for module in network.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    random = torch.get_rng_state()
    is_on_cuda = any(parameter.is_cuda for parameter in network.parameters())
    on_cuda = torch.cuda.get_rng_state_all() if is_on_cuda else []
    try:
        yield
    finally:
        with uninterrupted():
            network.load_state_dict(state)
            network.zero_grad(set_to_none=True)
            for module, mode in modes:
                module.training = mode
            for parameter, is_wanted in wanted:
                parameter.requires_grad_(is_wanted)
            torch.set_rng_state(random)
            if on_cuda:
                torch.cuda.set_rng_state_all(on_cuda)


@dataclass(frozen=True)
class Trial:
    """Updates on the batches of one epoch, over and over, with an optimizer of their own.

    Attributes:
        network: in training mode.
        claims: on all parameters.
        epoch: whose batches are used; its position in the training does not move.
        update: of the training; the guard is not asked.
        precision: of the updates.
        seeds: of the training; dropout draws from a stream of the trial.
        phase: name.
    """

    network: Network
    claims: Sequence[Claim]
    epoch: Epoch
    update: UpdateSettings
    precision: str
    seeds: Seeds
    phase: str

    def updates(self, rates: Sequence[float]) -> Iterator[StepReport]:
        """An update at each rate.

        Raises:
            DivergedError: loss or gradient is not finite.
        """
        update, epoch = self.update, self.epoch
        optimizer = build_optimizer(
            update.optimizer, self.claims, momentum=update.momentum,
            weight_decay=update.weight_decay,
        )  # fmt: skip
        loss_scale = LossScale()
        for step, rate in enumerate(rates):
            index = step % len(epoch.batches)
            batch = epoch.batches[index]
            place = Place(self.phase, step, -1, index, tuple(rows_of(batch).tolist()), rate)
            is_made = False
            while not is_made:  # again with a lower scale, where fp16 overflows
                report = train_step(
                    self.network,
                    epoch.inputs_of(batch),
                    epoch.targets_of(batch),
                    optimizer,
                    objective=epoch.objective,
                    learning_rate=rate,
                    trained=epoch.trained,
                    update=update,
                    precision=self.precision,
                    draws=Draws(batch, epoch.number, step),
                    loss_scale=loss_scale,
                    seed_draws=partial(seed_global, self.seeds.augmentation, "trial", step),
                    judge=partial(refuse_not_finite, place=place),
                )
                is_made = report.is_made
            yield report


def run_range_test(trial: Trial, sweep: RangeTestSettings) -> RangeTest:
    """Sweep the learning rate until the loss blows up, and undo it.

    Args:
        trial: at the beginning of a phase.
        sweep: the rates.
    """
    rates = sweep_rates(sweep.least, sweep.most, sweep.steps)
    losses: list[float] = []
    with without_a_trace(trial.network):
        try:
            for report in trial.updates(rates):
                losses.append(report.loss)
                if has_blown_up(losses):
                    break
        except DivergedError:
            pass  # the end of the sweep; what was before it counts
    losses = [loss for loss in losses if math.isfinite(loss)]
    return suggest(trial.phase, rates[: len(losses)], losses)


def seconds_per_update(trial: Trial, precision: str, learning_rate: float) -> float:
    """Median time of an update in a precision, after two to warm up; undone.

    Infinite if a loss, a gradient or a parameter does not stay finite, or torch cannot do it.
    """
    tried = replace(trial, precision=precision)
    times: list[float] = []
    with without_a_trace(trial.network):
        try:
            began = _now(trial)
            for _ in tried.updates([learning_rate] * (_NUM_WARM_UP + _NUM_TIMED)):
                ended = _now(trial)
                times.append(ended - began)
                began = ended
        except (DivergedError, RuntimeError, NotImplementedError):
            return math.inf
        if not all(torch.isfinite(parameter).all() for parameter in trial.network.parameters()):
            return math.inf
    return sorted(times[_NUM_WARM_UP:])[_NUM_TIMED // 2]


def _now(trial: Trial) -> float:
    """Seconds, after the device has done what it was told."""
    device = next(trial.network.parameters()).device
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
