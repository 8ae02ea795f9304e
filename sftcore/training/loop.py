"""The one training loop: phases of epochs, measured on plain pictures, best epoch by validation."""

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial

from sftcore.foundations.errors import DivergedError, ParamsError
from sftcore.foundations.interruption import uninterrupted
from sftcore.models.network import Network
from sftcore.models.parameter_groups import Claim
from sftcore.optimization.optimizers import build_optimizer
from sftcore.optimization.range_test import RangeTest
from sftcore.optimization.schedules import learning_rate_at, plateau_drops
from sftcore.stability.batch_norm import MOVING, set_training_mode
from sftcore.training.beginning import Teller, begin, set_out
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.epoch import Epoch, open_epoch, run_epoch
from sftcore.training.epoch_record import fit_batch_norm, losses, measure_epoch
from sftcore.training.finish import Measure, best_epoch_alone, choose_parameters
from sftcore.training.head import solve_head
from sftcore.training.inputs import FeatureCache, Inputs
from sftcore.training.measure import outputs_of, weight_norms
from sftcore.training.plan import Course, Plan
from sftcore.training.records import EpochRecord, FitResult, badness
from sftcore.training.settings import Phase
from sftcore.training.state import TrainingState
from sftcore.training.trial import Trial, run_range_test, seconds_per_update

LOGGER = logging.getLogger("sftcore")
_CAREFUL_RATE = 1e-4  # for the precision test where the range test has not been run


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
        on_epoch: called with every record, those of the part done earlier among them, when no
            rollback can reach it any more.
        checkpoints: of this very training. It goes on from the newest, and leaves one where it
            ends or where a signal ends it; a divergence removes them.

    Returns:
        The history and the chosen state. A divergence ends the training and is part of the result.

    Raises:
        ParamsError: a learning rate is left to the range test, and it found none.
    """
    course = set_out(network, plan, cache, Teller(on_epoch), checkpoints)
    state = begin(network, course)
    course.tell(state.settled)
    try:
        for phase in plan.phases[state.position.phase :]:
            _run_phase(state, phase, course)
        _save(state, checkpoints)
        _finish(state, course)
    except DivergedError as error:
        name, epoch = plan.phases[state.position.phase].name, len(state.result.history)
        state.result.diverged = f"{name} phase, epoch {epoch}: {error}"
        course.tell(state.result.history)
        best_epoch_alone(state.result)
        if checkpoints is not None:
            checkpoints.discard()
    except (KeyboardInterrupt, SystemExit):
        _save(state, checkpoints)
        raise
    return state.result


def time_precisions(
    network: Network, plan: Plan, precisions: Sequence[str], cache: FeatureCache
) -> dict[str, float]:
    """Seconds of an update of the last phase in each precision; infinite where it is not finite.

    Args:
        network: at its start; left as it was.
        plan: of the training.
        precisions: to try.
        cache: features of frozen blocks.
    """
    course = set_out(network, plan, cache, lambda records: None, None)
    state, phase = TrainingState(network), plan.phases[-1]
    claims = plan.claim(network, phase.first_block)
    _, epoch = _open(state, claims, phase, course)
    trial = Trial(network, claims, epoch, plan.update, plan.precision, plan.seeds, phase.name)
    rate = phase.learning_rate or _CAREFUL_RATE
    return {name: seconds_per_update(trial, name, rate) for name in precisions}


def _save(state: TrainingState, checkpoints: Checkpoints | None) -> None:
    if checkpoints is not None:
        checkpoints.save(state.progress, state.state_dict())


def _run_phase(state: TrainingState, phase: Phase, course: Course) -> None:
    """Train one phase from where the state is to its end."""
    network, plan = state.network, course.plan
    update = plan.update
    claims = plan.claim(network, phase.first_block)
    if phase.strengths or phase.is_measured_only:
        _head_phase(state, claims, phase, course)
        return
    peak = _peak(state, claims, phase, course)
    optimizer = build_optimizer(
        update.optimizer, claims, momentum=update.momentum, weight_decay=update.weight_decay
    )
    if plan.averaging.wise_ft and phase is plan.phases[-1]:
        state.keep_anchor()
    state.begin_phase(optimizer, is_guarded=bool(update.guard.in_order))
    while not _is_over(phase, state):
        inputs, epoch = _open(state, claims, phase, course)
        rate_at = partial(
            learning_rate_at,
            schedule=phase.schedule.in_steps(phase.num_epochs, len(epoch.batches)),
            peak=peak,
            num_drops=_num_drops(state, phase, plan),
        )
        if run_epoch(state, optimizer, epoch, phase, course, rate_at):
            with state.measured_network():
                _close_epoch(state, inputs, epoch, claims, phase, course)
        course.tell(state.settled)
    with uninterrupted():
        state.end_phase()
    course.tell(state.settled)


def _head_phase(
    state: TrainingState, claims: Sequence[Claim], phase: Phase, course: Course
) -> None:
    """Put a new head at its optimum, or leave it as it came: this is the phase's one epoch."""
    if not _is_over(phase, state):
        inputs, epoch = _open(state, claims, phase, course)
        state.network.eval()
        if phase.strengths:
            state.result.head = solve_head(state.network, inputs, phase.strengths, course)
        _close_epoch(state, inputs, epoch, claims, phase, course)
    with uninterrupted():
        state.end_phase()
    course.tell(state.settled)


def _close_epoch(
    state: TrainingState,
    inputs: Inputs,
    epoch: Epoch,
    claims: Sequence[Claim],
    phase: Phase,
    course: Course,
) -> None:
    """Measure the network, and keep of it what will be needed."""
    plan = course.plan
    record = measure_epoch(state, inputs, epoch, claims, phase, course)
    with uninterrupted():
        state.add_epoch(
            record,
            selection_metric=plan.selection.metric,
            min_change=phase.stopping.min_change,
            soup_size=plan.averaging.soup_size,
            is_in_swa=phase is plan.phases[-1]
            and plan.averaging.is_in_swa(phase.num_epochs - state.position.epoch, plan.num_epochs),
        )


def _open(
    state: TrainingState, claims: Sequence[Claim], phase: Phase, course: Course
) -> tuple[Inputs, Epoch]:
    """What the epoch that the state is in needs; puts the network into training mode."""
    network, plan = state.network, course.plan
    first_block = phase.first_block_at(state.position.epoch, len(network.blocks))
    set_training_mode(network, batch_norm=plan.update.batch_norm, first_block=first_block)
    inputs = plan.inputs(network, first_block, course.cache)
    number = len(state.result.history)
    return inputs, open_epoch(number, network, inputs, claims, first_block, phase, course)


def _peak(state: TrainingState, claims: Sequence[Claim], phase: Phase, course: Course) -> float:
    """The phase's peak learning rate, after the range test if there is one.

    Raises:
        ParamsError: the rate is left to the test, and it found none.
    """
    tests = {test.phase: test for test in state.result.range_tests}
    if phase.sweep is not None and phase.name not in tests:
        _, epoch = _open(state, claims, phase, course)
        plan = course.plan
        trial = Trial(
            state.network, claims, epoch, plan.update, plan.precision, plan.seeds, phase.name
        )
        tests[phase.name] = run_range_test(trial, phase.sweep)
        state.result.range_tests.append(tests[phase.name])
    if phase.learning_rate is not None:
        return phase.learning_rate
    assert phase.sweep is not None
    rate = _suggested(tests[phase.name], phase.sweep.suggestion)
    if math.isnan(rate):
        name = "head.learning_rate" if phase.name == "head" else "learning_rate"
        raise ParamsError(
            f"the range test of the {phase.name} phase found no rate from {phase.sweep.least:g} to "
            f"{phase.sweep.most:g} at which the loss falls: set train.{name} to a number, or "
            "change suggestion, least or most of train.range_test.enabled"
        )
    return rate


def _suggested(test: RangeTest, suggestion: str) -> float:
    return test.steepest if suggestion == "steepest" else test.valley


def _num_drops(state: TrainingState, phase: Phase, plan: Plan) -> int:
    """How often the plateau has dropped the rate; 0 for other schedules."""
    if phase.schedule.name != "plateau":
        return 0
    own = [record for record in state.result.history if record.phase == phase.name]
    losses = [badness(record, plan.selection.metric) for record in own]
    return plateau_drops(losses, phase.schedule.patience)


def _is_over(phase: Phase, state: TrainingState) -> bool:
    """Whether the phase has had its epochs, or too many of them brought nothing better."""
    position = state.position
    waited = len(state.result.history) - 1 - position.best_in_phase
    has_waited = position.epoch > 0 and 0 < phase.stopping.patience <= waited
    return position.epoch >= phase.num_epochs or has_waited


def _finish(state: TrainingState, course: Course) -> None:
    """Let validation choose among the best epoch and the averages that were asked for."""
    network, plan = state.network, course.plan
    first_block = plan.phases[-1].first_block
    inputs = plan.inputs(network, first_block, course.cache)
    claims = plan.claim(network, first_block)

    def fit_if_moving() -> None:
        if plan.update.batch_norm in MOVING:  # else the statistics are the pretrained ones
            fit_batch_norm(network, inputs, plan)

    measure = Measure(
        losses=lambda: losses(inputs, network, plan),
        norms=lambda: weight_norms(network, claims, course.start),
        outputs_of=lambda rows: outputs_of(network, inputs, rows, plan.task),
        recalibrate=fit_if_moving,
        always_recalibrates=plan.update.batch_norm == "recalibrate",
    )
    choose_parameters(state, plan.averaging, plan.selection, measure, plan.rows, plan.task)
