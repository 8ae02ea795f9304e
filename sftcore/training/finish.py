"""The end of a training: averages of parameters are made, measured and chosen from."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from sftcore.models.network import Network
from sftcore.regularization.averaging import (
    AveragingSettings,
    greedy_soup,
    interpolate,
    mean_state,
)
from sftcore.tasks.contract import Task
from sftcore.training.plan import Rows
from sftcore.training.records import Candidate, FitResult, candidate_of, is_better
from sftcore.training.settings import SelectionSettings
from sftcore.training.state import TrainingState

WISE_FT_ALPHAS = tuple(number / 10 for number in range(11))
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Measure:
    """How a state of the network is measured.

    Attributes:
        losses: gives losses and scores of the network as it is.
        norms: ``‖w‖`` and ``‖w − w₀‖`` of the network as it is.
        outputs_of: gives what is kept of some rows, of the network as it is.
        recalibrate: gives batch norms the statistics that fit the network's parameters.
        always_recalibrates: whether every average needs that; SWA does in any case.
    """

    losses: Callable[[], dict[str, Any]]
    norms: Callable[[], dict[str, Any]]
    outputs_of: Callable[[np.ndarray], Tensor]
    recalibrate: Callable[[], None]
    always_recalibrates: bool


def choose_parameters(
    state: TrainingState,
    averaging: AveragingSettings,
    selection: SelectionSettings,
    measure: Measure,
    rows: Rows,
    task: Task,
) -> None:
    """Measure what was asked for and let validation choose, also between it and an epoch.

    The epoch is the best one if it beats the last beyond noise, and else the last, whose learning
    rate has come to its end. WiSE-FT starts from the best of all others. The network is left with
    the parameters it had.

    Args:
        state: of a training that has ended; its result is completed.
        averaging: which averages are tried.
        selection: decides.
        measure: of the network.
        rows: whose outputs are kept: those that chose, and those that had no say.
        task: holds their targets.
    """
    network, result = state.network, state.result
    newest = {name: tensor.clone() for name, tensor in network.model_state().items()}
    with state.measured_network():
        last = {name: tensor.clone() for name, tensor in network.model_state().items()}

    known: dict[tuple[int, int], Tensor] = {}  # the chosen parameters are often the last or best

    def outputs_of(wanted: State, of: np.ndarray) -> Tensor:
        asked = id(wanted), id(of)
        if asked not in known:
            _load(network, wanted)
            known[asked] = measure.outputs_of(of)
        return known[asked]

    try:
        epoch = candidate_of(result.best), result.best_state
        if _may_keep_last(result, selection):
            best, end = outputs_of(result.best_state, rows.val), outputs_of(last, rows.val)
            if not is_beyond_noise(best, end, task.of(rows.val), selection, task):
                epoch = replace(candidate_of(result.history[-1]), name="last epoch"), last
        if math.isnan(epoch[0].train_loss):  # that epoch's training pictures were not measured
            _load(network, epoch[1])
            measured = _measured(epoch[0].name, epoch[0].epochs, 1.0, measure)
            epoch = measured, epoch[1]
        found = _candidates(state, epoch, averaging, selection.metric, measure)
        result.chosen = _best_of(found, selection.metric)
        result.candidates = [candidate for candidate, _ in found]
        chosen = found[result.chosen][1]
        result.chosen_state = dict(chosen)
        result.val_logits = outputs_of(chosen, rows.val)
        if len(rows.judge):
            result.judge_logits = outputs_of(chosen, rows.judge)
            result.best_judge_logits = outputs_of(result.best_state, rows.judge)
            result.last_judge_logits = outputs_of(last, rows.judge)
    finally:
        _load(network, newest)


def _may_keep_last(result: FitResult, selection: SelectionSettings) -> bool:
    last = result.history[-1]
    is_best = result.best_epoch == last.epoch
    return selection.margin > 0 and not is_best and math.isfinite(last.val_loss)


def is_beyond_noise(
    best: Tensor, last: Tensor, targets: Tensor, selection: SelectionSettings, task: Task
) -> bool:
    """Whether parameters are better than the last epoch's by more than so many standard errors.

    The difference is taken example by example (of losses, or of being right), so that what makes an
    example hard for both does not count as noise.

    Args:
        best: outputs [V, ...] on the choosing examples.
        last: likewise, of the last epoch's parameters.
        targets: of the task [V, ...].
        selection: metric and margin.
        task: says how good a row is.
    """
    metric = selection.metric.removeprefix("val_")
    gains = task.row_values(best, targets, metric) - task.row_values(last, targets, metric)
    error = float(gains.std()) / len(targets) ** 0.5 if len(targets) > 1 else math.inf
    return float(gains.mean()) > selection.margin * error


def _candidates(
    state: TrainingState,
    epoch: tuple[Candidate, State],
    averaging: AveragingSettings,
    selection_metric: str,
    measure: Measure,
) -> list[tuple[Candidate, State]]:
    network, averages = state.network, state.averages
    found: list[tuple[Candidate, State]] = [epoch]
    if averages.swa_epochs:
        swa = _load_average(network, averages.swa, measure, recalibrates=True)
        found.append((_measured("swa", averages.swa_epochs, 1.0, measure), swa))
    if averages.kept:
        found.append(_soup(state, selection_metric, measure))
    if averaging.wise_ft and averages.anchor:
        candidate, end = found[_best_of(found, selection_metric)]
        for alpha in WISE_FT_ALPHAS:
            line = interpolate(averages.anchor, end, alpha)
            mixed = _load_average(network, line, measure, measure.always_recalibrates)
            measured = _measured("wise_ft", candidate.epochs, alpha, measure)
            found.append((measured, mixed))
    return found


def _soup(state: TrainingState, selection_metric: str, measure: Measure) -> tuple[Candidate, State]:
    kept = state.averages.kept  # best first
    epochs = list(kept)
    accepted: list[Candidate] = []

    def is_no_worse(mixed: State) -> bool:
        _load_average(state.network, mixed, measure, measure.always_recalibrates)
        candidate = _measured("soup", epochs[:1], 1.0, measure)
        if accepted and is_better(accepted[-1], candidate, selection_metric):
            return False
        accepted.append(candidate)
        return True

    chosen = greedy_soup(list(kept.values()), is_no_worse)
    mean = mean_state([kept[epochs[index]] for index in chosen])
    mixed = _load_average(state.network, mean, measure, measure.always_recalibrates)
    return _measured("soup", [epochs[i] for i in chosen], 1.0, measure), mixed


def _best_of(found: Sequence[tuple[Candidate, State]], selection_metric: str) -> int:
    best = 0
    for index in range(1, len(found)):
        if is_better(found[index][0], found[best][0], selection_metric):
            best = index
    return best


def _load(network: Network, state: State) -> None:
    # A classifier of the source is no part of a model, so it is not in the state.
    network.load_state_dict(dict(state), strict=network.source_head is None)
    network.eval()


def _load_average(network: Network, state: State, measure: Measure, recalibrates: bool) -> State:
    """Load an average, and fit batch norms to it where that is wanted; what came of it."""
    _load(network, state)
    if not recalibrates:
        return state
    measure.recalibrate()
    return {name: tensor.clone() for name, tensor in network.model_state().items()}


def _measured(name: str, epochs: Sequence[int], alpha: float, measure: Measure) -> Candidate:
    return Candidate(
        name=name,
        epochs=tuple(epochs),
        alpha=alpha,
        **measure.losses(),
        **measure.norms(),
    )


def best_epoch_alone(result: FitResult) -> None:
    """Complete the result of a training that has diverged after some epochs."""
    if result.best_epoch >= 0:
        result.candidates, result.chosen = [candidate_of(result.best)], 0
        result.chosen_state = result.best_state
