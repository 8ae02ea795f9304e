"""One pass over the training rows, an update per batch."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from sftcore.data.loader import epoch_order, split_batches
from sftcore.interruption import uninterrupted
from sftcore.models.parameter_groups import Claim, freeze_all_but
from sftcore.optimization.schedules import learning_rate_at
from sftcore.randomness import seed_global
from sftcore.regularization.imbalance import sampling_probabilities
from sftcore.regularization.mixing import mix_targets
from sftcore.regularization.penalties import Penalized
from sftcore.training.inputs import Inputs
from sftcore.training.objective import Objective
from sftcore.training.plan import Course, Rows
from sftcore.training.settings import Phase, Update
from sftcore.training.state import TrainingState
from sftcore.training.step import train_step
from sftcore.training.views import View, epoch_view


def run_epoch(
    state: TrainingState,
    optimizer: torch.optim.Optimizer,
    inputs: Inputs,
    claims: Sequence[Claim],
    first_block: int,
    phase: Phase,
    course: Course,
) -> float:
    """Do what is left of the epoch that the state is in.

    Args:
        state: of the training; its network is in training mode.
        optimizer: over all parameters that the phase trains.
        inputs: of block ``first_block``.
        claims: on all parameters, for the phase.
        first_block: first one that is trained in this epoch.
        phase: that the epoch belongs to.
        course: of the training.

    Returns:
        The last learning rate.

    Raises:
        DivergedError: an update left the finite numbers.
    """
    plan, position = course.plan, state.position
    rows, update, seed = plan.rows, plan.update, plan.seed
    epoch = len(state.result.history)
    view = epoch_view(phase.augmentation, rows.train, plan.pictures.images, seed, epoch)
    reader = inputs.reader(rows.train, view)
    chances = _sampling_chances(rows, update.balanced_sampling)
    batches = split_batches(epoch_order(rows.train, seed, epoch, chances), update.batch_size)
    active = freeze_all_but(claims, first_block)
    objective = Objective(
        update, course.knowledge, first_block, _penalized(active, course.start, update)
    )

    def rate_at(step: int) -> float:
        return learning_rate_at(
            step,
            phase.num_epochs * len(batches),
            peak=phase.learning_rate,
            schedule=phase.schedule,
            warmup_fraction=phase.warmup_fraction,
        )

    first_step = position.epoch * len(batches)
    for index in range(position.batch, len(batches)):
        batch, step = batches[index], first_step + index
        with uninterrupted():
            report = train_step(
                state.network,
                reader(batch),
                _targets(batch, view, rows),
                optimizer,
                objective=objective,
                learning_rate=rate_at(step),
                trained=[claim.parameter for claim in active],
                update=update,
                step=step,
                seed_draws=partial(seed_global, seed, "step", epoch, index),
            )
            state.add_update(report.gradient_norm, plan.averaging.ema_decay)
        if course.checkpoints is not None:
            course.checkpoints.save_if_due(state.num_updates, state.state_dict)
    return rate_at(first_step + len(batches) - 1)


def _targets(batch: np.ndarray, view: View, rows: Rows) -> Tensor:
    """Class indices [B], or probabilities [B, C] where the view mixes pictures."""
    if view.mixing is not None:
        return mix_targets(rows.labels, view.mixing, batch, rows.num_classes)
    return rows.labels[torch.from_numpy(batch).to(rows.labels.device)]


def _sampling_chances(rows: Rows, power: float) -> np.ndarray | None:
    if power == 0:
        return None
    labels = rows.labels.cpu().numpy()[rows.train]
    return sampling_probabilities(labels, rows.num_classes, power)


def _penalized(
    claims: Sequence[Claim], start: dict[str, Tensor], update: Update
) -> list[Penalized]:
    """What the penalties apply to: the backbone with its start, the new head with zero."""
    return [
        Penalized(
            claim.parameter,
            torch.zeros_like(start[claim.name]) if claim.block == "head" else start[claim.name],
            update.head_penalty_factor if claim.block == "head" else 1.0,
            claim.rate_factor,
        )
        for claim in claims
        if claim.is_penalized
    ]
