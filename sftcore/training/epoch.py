"""One pass over the training rows, an update per batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from sftcore.data.loader import count_occurrences, epoch_order, rows_of, split_batches
from sftcore.foundations.interruption import uninterrupted
from sftcore.foundations.randomness import seed_global
from sftcore.models.network import Network
from sftcore.models.parameter_groups import Claim, freeze_all_but
from sftcore.models.values import Values
from sftcore.regularization.mixout import linear_maps
from sftcore.regularization.penalties import Penalized
from sftcore.stability.guard import CLIP, ROLLBACK, SKIP
from sftcore.tasks.contract import Task
from sftcore.training.guarding import Place, judge
from sftcore.training.inputs import Inputs
from sftcore.training.objective import Draws, Objective
from sftcore.training.plan import Course
from sftcore.training.settings import Phase, UpdateSettings
from sftcore.training.state import TrainingState
from sftcore.training.step import StepReport, train_step
from sftcore.training.views import Examples, View


@dataclass(frozen=True)
class Epoch:
    """What the updates of one epoch have in common.

    Attributes:
        number: counted from 0 over the training.
        batches: one array per update, of rows of the store, or of drawn rows where sampling may
            draw an augmented one again; see :func:`sftcore.data.loader.count_occurrences`.
        inputs_of: gives what the first trained block takes, [B, ...], of a batch.
        targets_of: gives the targets [B, ...] of a batch.
        objective: the loss.
        trained: parameters that change.
    """

    number: int
    batches: Sequence[np.ndarray]
    inputs_of: Callable[[np.ndarray], Values]
    targets_of: Callable[[np.ndarray], Tensor]
    objective: Objective
    trained: Sequence[nn.Parameter]


def open_epoch(
    number: int,
    network: Network,
    inputs: Inputs,
    claims: Sequence[Claim],
    first_block: int,
    phase: Phase,
    course: Course,
) -> Epoch:
    """Draw an epoch's order and examples, and let gradients flow to what it trains.

    Args:
        number: of the epoch, counted from 0 over the training.
        network: that is trained.
        inputs: of block ``first_block``.
        claims: on all parameters, for the phase.
        first_block: first one that is trained in this epoch.
        phase: that the epoch belongs to.
        course: of the training.
    """
    plan = course.plan
    rows, update, seeds = plan.rows, plan.update, plan.seeds
    view = plan.examples.view(phase.augmentation, rows.train, seeds.augmentation, number)
    power = update.imbalance.balanced_sampling
    chances = plan.task.chances(power) if power > 0 else None
    order, at_hand = epoch_order(rows.train, seeds.order, number, chances), rows.train
    is_drawn_anew = not phase.augmentation.is_off or update.embeddings.is_on
    if chances is not None and is_drawn_anew:
        order = count_occurrences(order)
        at_hand = np.unique(order)
    active = freeze_all_but(claims, first_block)
    return Epoch(
        number=number,
        batches=[plan.examples.arranged(b) for b in split_batches(order, update.batch_size)],
        inputs_of=inputs.reader(at_hand, view),
        targets_of=partial(_targets, view=view, task=plan.task, examples=plan.examples),
        objective=Objective(
            course.criterion,
            plan.task.weight,
            update,
            course.knowledge,
            first_block,
            _penalized(active, course.start, update, network.has_new_head),
            seeds.augmentation,
            _origins(active, course.start, network) if update.mixout > 0 else {},
        ),
        trained=[claim.parameter for claim in active],
    )


def run_epoch(
    state: TrainingState,
    optimizer: torch.optim.Optimizer,
    epoch: Epoch,
    phase: Phase,
    course: Course,
    rate_at: Callable[[int], float],
) -> bool:
    """Do what is left of the epoch that the state is in.

    Args:
        state: of the training; its network is in training mode.
        optimizer: over all parameters that the phase trains.
        epoch: that the state is in.
        phase: that the epoch belongs to.
        course: of the training.
        rate_at: learning rate of an update, counted from 0 over the phase.

    Returns:
        Whether it came to its end; a rollback leaves it, and maybe for an earlier epoch.

    Raises:
        DivergedError: an update left the finite numbers, or the guard gave up.
    """
    plan, position, memory = course.plan, state.position, state.guard
    update, number = plan.update, len(state.result.history)
    first_step = position.epoch * len(epoch.batches)
    for index in range(position.batch, len(epoch.batches)):
        batch, step = epoch.batches[index], first_step + index
        if (number, index) in memory.left_out:
            state.pass_over_batch()
            continue
        learning_rate = rate_at(step) * memory.rate_factor
        own = tuple(rows_of(batch).tolist())
        place = Place(phase.name, step, number, index, own, learning_rate)
        share = len(batch) / update.batch_size
        if update.guard.in_order:
            state.prepare_snapshot(update.guard)
        with uninterrupted():
            report = train_step(
                state.network,
                epoch.inputs_of(batch),
                epoch.targets_of(batch),
                optimizer,
                objective=epoch.objective,
                learning_rate=learning_rate,
                trained=epoch.trained,
                update=update,
                precision=plan.precision,
                draws=Draws(batch, number, step),
                loss_scale=state.loss_scale,
                seed_draws=partial(seed_global, plan.seeds.augmentation, "step", number, index),
                judge=partial(
                    judge,
                    state,
                    update.guard,
                    place=place,
                    share=share,
                    num_examples=len(plan.rows.train),
                    examples=plan.task.examples,
                ),
            )
            _take_in(state, report, place, share, course)
        if course.checkpoints is not None:
            course.checkpoints.save_if_due(state.progress, state.state_dict)
        if report.answer == ROLLBACK:
            return False
    return True


def _take_in(
    state: TrainingState, report: StepReport, place: Place, share: float, course: Course
) -> None:
    """Let the state follow what the update did."""
    update, averaging = course.plan.update, course.plan.averaging
    if report.answer == ROLLBACK:
        state.roll_back(state.result.incidents[-1].rate_factor)
    elif report.answer == SKIP:
        state.leave_out_batch()
    elif not report.is_made:
        state.pass_over_batch()  # fp16's scale was too large
    else:
        state.add_update(
            loss=report.loss,
            gradient_norm=report.gradient_norm,
            learning_rate=place.learning_rate,
            is_clipped=report.is_clipped,
            step=place.step,
            ema_decay=averaging.ema_decay,
        )
        if update.guard.in_order:
            state.remember_update(
                report.loss,
                report.followed_norm,
                update.guard,
                share,
                is_answered=report.answer == CLIP,
            )


def _targets(batch: np.ndarray, view: View, task: Task, examples: Examples) -> Tensor:
    """Targets of a batch [B, ...], moved or mixed where the view has it so."""
    own = rows_of(batch)
    moved = examples.moved_targets(batch, view)
    if moved is not None:
        return moved
    return task.of(own) if view.mixing is None else task.mixed(own, view.mixing(batch))


def _penalized(
    claims: Sequence[Claim],
    start: dict[str, Tensor],
    update: UpdateSettings,
    has_new_head: bool,
) -> list[Penalized]:
    """What the penalties apply to: the pretrained part with its start, a new head with zero."""
    return [
        Penalized(
            claim.parameter,
            torch.zeros_like(start[claim.name])
            if claim.block == "head" and has_new_head
            else start[claim.name],
            update.penalties.head_factor if claim.block == "head" else 1.0,
            claim.rate_factor,
        )
        for claim in claims
        if claim.is_penalized
    ]


def _origins(
    claims: Sequence[Claim], start: dict[str, Tensor], network: Network
) -> dict[str, Tensor]:
    """What mixout falls back on: the start of the trained linear maps, but not of the new head."""
    mixed = linear_maps(network.backbone)
    names = [claim.name for claim in claims]
    return {name: start[name] for name in names if name.removeprefix("backbone.") in mixed}
