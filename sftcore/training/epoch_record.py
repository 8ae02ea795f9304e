"""The record of a finished epoch, and what it is measured with."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sftcore.data.loader import rows_of, split_batches
from sftcore.foundations.randomness import numpy_stream
from sftcore.models.network import Network
from sftcore.models.parameter_groups import Claim
from sftcore.optimization.optimizers import effective_rate
from sftcore.stability.batch_norm import recalibrate
from sftcore.training.epoch import Epoch
from sftcore.training.inputs import Inputs
from sftcore.training.measure import batch_norm_gap, evaluate_rows, measured_rows, weight_norms
from sftcore.training.plan import Course, Plan
from sftcore.training.records import EpochRecord
from sftcore.training.settings import Phase
from sftcore.training.state import TrainingState


def measure_epoch(
    state: TrainingState,
    inputs: Inputs,
    epoch: Epoch,
    claims: Sequence[Claim],
    phase: Phase,
    course: Course,
) -> EpochRecord:
    """The record of the epoch that has come to its end; the network is in evaluation mode."""
    network, plan, log = state.network, course.plan, state.result.updates
    number, update = len(state.result.history), plan.update
    if update.batch_norm == "recalibrate":
        fit_batch_norm(network, inputs, plan)
    is_last = number == plan.num_epochs - 1
    is_whole = number % plan.measure_every == 0 or is_last
    measured = losses(inputs, network, plan, with_train=is_whole)
    own = [i for i in range(len(log)) if log.epoch[i] == number]
    batches = [rows_of(batch) for batch in epoch.batches]
    learning_rate = log.learning_rate[own[-1]] if own else 0.0
    return EpochRecord(
        epoch=number,
        phase=phase.name,
        **measured,
        learning_rate=learning_rate,
        gradient_norm=_mean([log.gradient_norm[i] for i in own]),
        effective_learning_rate=effective_rate(learning_rate, update.optimizer, update.momentum),
        clipped_fraction=_mean([log.is_clipped[i] for i in own]),
        batch_norm_gap=batch_norm_gap(network, inputs, batches, plan.rows.train, plan.task)
        if plan.measure_every == 1 or is_last
        else math.nan,
        num_incidents=sum(incident.epoch == number for incident in state.result.incidents),
        **weight_norms(network, claims, course.start),
    )


def _mean(values: Sequence[float]) -> float:
    """Of an epoch's updates; 0 if the guard left out every one of them."""
    return float(np.mean(values)) if values else 0.0


def fit_batch_norm(network: Network, inputs: Inputs, plan: Plan) -> None:
    """Give batch norms the statistics of the training pictures, in batches as training has them.

    Rows lie class by class, and a batch of one class has other statistics, so they are shuffled.
    """
    measured = measured_rows(plan.rows.train, plan.seeds.order, plan.task.most_measured)
    shuffled = numpy_stream(plan.seeds.order, "recalibration").permutation(measured)
    batches = split_batches(shuffled, plan.update.batch_size)
    recalibrate(network, map(inputs.reader(measured), batches), inputs.first_block)


def losses(
    inputs: Inputs, network: Network, plan: Plan, *, with_train: bool = True
) -> dict[str, Any]:
    """What an epoch's record and a candidate hold of the network as it is, by their names.

    Numbers of the training examples are NaN where they are not wanted.
    """
    rows, measured = (
        plan.rows,
        measured_rows(plan.rows.train, plan.seeds.order, plan.task.most_measured),
    )
    headline, *others = plan.task.scores
    train = {"loss": math.nan, headline: math.nan}
    if with_train:
        train = evaluate_rows(network, inputs, measured, plan.task)
    val = evaluate_rows(network, inputs, rows.val, plan.task)
    scores = {f"train_{headline}": train[headline], f"val_{headline}": val[headline]}
    scores |= {f"val_{name}": val[name] for name in others}
    return {"train_loss": train["loss"], "val_loss": val["loss"], "scores": scores}
