"""The one training loop: phases of epochs, measured on plain pictures, best epoch by validation."""

import logging
from collections.abc import Callable

import numpy as np

from sftcore.data.loader import split_batches
from sftcore.errors import DivergedError
from sftcore.interruption import uninterrupted
from sftcore.models.network import Network
from sftcore.optimization.optimizers import build_optimizer
from sftcore.stability.batch_norm import recalibrate, set_training_mode
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.epoch import run_epoch
from sftcore.training.finish import Measure, best_epoch_alone, choose_parameters
from sftcore.training.inputs import FeatureCache, Inputs
from sftcore.training.knowledge import gather_knowledge
from sftcore.training.measure import (
    MEASURED_BATCH_SIZE,
    evaluate_rows,
    logits_of,
    measured_rows,
    weight_norms,
)
from sftcore.training.plan import Course, Plan
from sftcore.training.settings import Phase
from sftcore.training.state import EpochRecord, FitResult, TrainingState

LOGGER = logging.getLogger("sftcore")


def fit(
    network: Network,
    plan: Plan,
    *,
    cache: FeatureCache,
    on_epoch: Callable[[EpochRecord], None],
    checkpoints: Checkpoints | None = None,
) -> FitResult:
    """Train the network phase by phase, and let validation choose its parameters.

    Args:
        network: changed in place; it ends with the parameters of the last update.
        plan: of the training.
        cache: features of frozen blocks.
        on_epoch: called with every record, those of the part done earlier among them.
        checkpoints: of this very training. It goes on from the newest, and leaves one where it
            ends or where a signal ends it; a divergence removes them.

    Returns:
        The history and the chosen state. A divergence ends the training and is part of the result.
    """
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    features = plan.inputs(network.eval(), len(network.blocks), cache)
    knowledge = gather_knowledge(network, features, plan.rows, plan.update)
    course = Course(plan, start, knowledge, cache, on_epoch, checkpoints)
    state = _begin(network, course)
    for record in state.result.history:
        on_epoch(record)
    try:
        for phase in plan.phases[state.position.phase :]:
            _run_phase(state, phase, course)
        _save(state, checkpoints)
        _finish(state, course)
    except DivergedError as error:
        name, epoch = plan.phases[state.position.phase].name, len(state.result.history)
        state.result.diverged = f"{name} phase, epoch {epoch}: {error}"
        best_epoch_alone(state.result)
        if checkpoints is not None:
            checkpoints.discard()
    except (KeyboardInterrupt, SystemExit):
        _save(state, checkpoints)
        raise
    return state.result


def _begin(network: Network, course: Course) -> TrainingState:
    """The state of the newest checkpoint that fits, or of the beginning."""
    if course.checkpoints is not None:
        for saved in course.checkpoints.load(course.plan.rows.labels.device):
            state = TrainingState(network)
            try:
                state.load_state_dict(saved)
            except (KeyError, TypeError, RuntimeError) as error:
                LOGGER.warning("a checkpoint does not fit and is skipped: %s", error)
                network.load_state_dict(course.start)
                continue
            LOGGER.warning("going on from epoch %d, update %d of it", *state.num_updates)
            return state
    return TrainingState(network)


def _save(state: TrainingState, checkpoints: Checkpoints | None) -> None:
    if checkpoints is not None:
        checkpoints.save(state.num_updates, state.state_dict())


def _run_phase(state: TrainingState, phase: Phase, course: Course) -> None:
    """Train one phase from where the state is to its end."""
    network, plan = state.network, course.plan
    update, averaging = plan.update, plan.averaging
    claims = plan.claim(network, phase.first_block)
    optimizer = build_optimizer(
        update.optimizer, claims, momentum=update.momentum, weight_decay=update.weight_decay
    )
    state.begin_phase(optimizer)
    if averaging.wise_ft and phase is plan.phases[-1]:
        state.keep_anchor()
    while not _is_over(phase, state):
        epoch = len(state.result.history)
        first_block = phase.first_block_at(state.position.epoch, len(network.blocks))
        set_training_mode(network, batch_norm=update.batch_norm, first_block=first_block)
        inputs = plan.inputs(network, first_block, course.cache)
        learning_rate = run_epoch(state, optimizer, inputs, claims, first_block, phase, course)
        with state.measured_network():
            train_loss, train_accuracy, val_loss, val_accuracy = _losses(inputs, network, plan)
            record = EpochRecord(
                epoch=epoch,
                phase=phase.name,
                train_loss=train_loss,
                val_loss=val_loss,
                train_accuracy=train_accuracy,
                val_accuracy=val_accuracy,
                learning_rate=learning_rate,
                gradient_norm=float(np.mean(state.position.gradient_norms)),
                **weight_norms(claims, course.start),
            )
            with uninterrupted():
                state.add_epoch(
                    record,
                    selection_metric=plan.selection_metric,
                    min_change=phase.early_stopping_min_change,
                    soup_size=averaging.soup_size,
                    is_in_swa=averaging.is_in_swa(epoch, plan.num_epochs),
                )
        course.on_epoch(record)
    with uninterrupted():
        state.end_phase()


def _losses(inputs: Inputs, network: Network, plan: Plan) -> tuple[float, float, float, float]:
    """Loss and accuracy of the network as it is, on training and validation rows."""
    rows, measured = plan.rows, measured_rows(plan.rows.train, plan.seed)
    train = evaluate_rows(network, inputs, measured, rows.labels)
    val = evaluate_rows(network, inputs, rows.val, rows.labels)
    return *train, *val


def _is_over(phase: Phase, state: TrainingState) -> bool:
    """Whether the phase has had its epochs, or too many of them brought nothing better."""
    position = state.position
    waited = len(state.result.history) - 1 - position.best_in_phase
    has_waited = position.epoch > 0 and 0 < phase.early_stopping_patience <= waited
    return position.epoch >= phase.num_epochs or has_waited


def _finish(state: TrainingState, course: Course) -> None:
    """Let validation choose among the best epoch and the averages that were asked for."""
    network, plan = state.network, course.plan
    first_block = plan.phases[-1].first_block
    inputs = plan.inputs(network, first_block, course.cache)
    claims = plan.claim(network, first_block)

    def fit_batch_norm() -> None:
        if plan.update.batch_norm == "train":  # else the statistics are the pretrained ones
            measured = measured_rows(plan.rows.train, plan.seed)
            batches = split_batches(measured, MEASURED_BATCH_SIZE)
            recalibrate(network, map(inputs.reader(measured), batches), first_block)

    measure = Measure(
        losses=lambda: _losses(inputs, network, plan),
        norms=lambda: weight_norms(claims, course.start),
        val_logits=lambda: logits_of(network, inputs, plan.rows.val),
        recalibrate=fit_batch_norm,
    )
    choose_parameters(state, plan.averaging, plan.selection_metric, measure)
