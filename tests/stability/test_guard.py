"""The guard: its verdict and its answers as pure functions, and trainings that it has to save."""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.guard_simulation import SIMULATIONS, simulate
from sftcore.data.store import Store
from sftcore.evaluation.stability_figures import updates_figure
from sftcore.stability.answers import advice, choose_answer, reasons
from sftcore.stability.guard import (
    CLIP,
    GIVE_UP,
    GRADIENT_SPIKE,
    LOSS_SPIKE,
    NON_FINITE_GRADIENT,
    NON_FINITE_LOSS,
    ROLLBACK,
    SKIP,
    GuardSettings,
    Incident,
    Seen,
    Trouble,
    find_trouble,
    is_high,
    loss_limit,
    norm_limit,
    remember_incident,
    remember_update,
    robust_z,
)
from sftcore.training import epoch as epoch_module
from sftcore.training import state as state_module
from sftcore.training.objective import Objective
from sftcore.training.records import FitResult
from sftcore.training.state import TrainingState
from sftcore.training.tables import incidents_table, updates_table
from tests.training.test_loop import run, same

SETTINGS = GuardSettings(answers="skip+clip+rollback", loss_run=1, window=10, max_incidents=6)


def with_changes(**changes: Any) -> GuardSettings:
    return SETTINGS.model_copy(update=changes)


CALM = (1.0, 1.2, 0.9, 1.1, 1.0, 0.8)
SEEN = Seen(losses=CALM, norms=(2.0, 3.0, 4.0), largest_norm=4.0)


def kind(loss: float, norm: float, share: float = 1.0, **changes: Any) -> str:
    trouble = find_trouble(SEEN, loss, norm, SETTINGS.model_copy(update=changes), share)
    return trouble.kind if trouble else ""


def test_the_verdict_names_what_is_wrong() -> None:
    assert kind(1.3, 5.0) == ""
    assert kind(math.nan, 1.0) == kind(math.inf, 1.0) == NON_FINITE_LOSS
    assert kind(1.0, math.inf) == kind(1.0, math.nan) == NON_FINITE_GRADIENT
    assert kind(4.0, 5.0) == LOSS_SPIKE
    assert kind(4.0, 5.0, loss_z=0.0) == ""
    assert kind(4.0, 5.0, loss_run=2) == ""
    assert kind(1.0, 81.0) == GRADIENT_SPIKE
    assert kind(1.0, 79.0) == ""
    assert kind(1.0, 81.0, norm_factor=0.0) == ""
    assert kind(0.0, 0.0) == ""
    assert find_trouble(Seen(), 1e9, 1e9, SETTINGS) is None


def test_scores_are_computed_by_hand() -> None:
    history = [1.0, 2.0, 3.0, 4.0, 10.0]  # median 3, deviations 2 1 0 1 7, of them the median 1
    assert robust_z(history, 6.0, 0.1) == pytest.approx(3 / 1.4826)
    assert robust_z(history, 6.0, 10.0) == pytest.approx(0.3)
    assert robust_z(history[:4], 6.0, 0.5) == pytest.approx(7.0)  # too few for a spread
    seen = Seen(losses=(1.0,) * 6, largest_norm=2.0)
    assert find_trouble(seen, 3.0, 1.0, SETTINGS) == Trouble(LOSS_SPIKE, pytest.approx(2.0 / 0.1))
    assert find_trouble(seen, 1.0, 60.0, SETTINGS) == Trouble(GRADIENT_SPIKE, pytest.approx(1.5))
    assert loss_limit(seen, SETTINGS) == pytest.approx(1.0 + 8 * 0.1)
    assert loss_limit(replace(seen, losses=(1.0, 1.0, 5.0)), SETTINGS) == 5.0  # the largest


def after(losses: list[float], settings: GuardSettings) -> Seen:
    seen = Seen()
    for loss in losses:
        seen = remember_update(seen, loss, 1.0, settings)
    return seen


def test_only_the_window_is_looked_at() -> None:
    losses = [100.0] * 50 + [1.0] * 10
    assert find_trouble(after(losses, SETTINGS), 50.0, 1.0, SETTINGS) is not None
    wide = with_changes(window=60)
    assert find_trouble(after(losses, wide), 50.0, 1.0, wide) is None


def test_a_high_loss_is_a_spike_only_where_it_stays() -> None:
    settings = with_changes(loss_run=3)
    seen = after([*CALM, 9.0, 8.0], settings)
    assert seen.high == (9.0, 8.0)
    assert seen.losses == CALM
    assert find_trouble(seen, 7.0, 1.0, settings) is not None
    assert find_trouble(seen, 1.0, 1.0, settings) is None
    calm = remember_update(seen, 1.0, 1.0, settings)
    assert calm.high == ()
    assert calm.losses == (*CALM, 9.0, 8.0, 1.0)  # now they are usual
    assert not is_high(calm, 8.5, settings)
    assert calm.num_calm == len(CALM) + 1


def test_a_small_batch_may_be_further_off() -> None:
    """The mean over a quarter of the rows varies twice as much."""
    whole, quarter = (loss_limit(SEEN, SETTINGS, share) - 1.0 for share in (1.0, 0.25))
    assert quarter == pytest.approx(2 * whole)
    assert norm_limit(SEEN, SETTINGS, 0.25) == 2 * norm_limit(SEEN, SETTINGS) == 160.0
    assert loss_limit(SEEN, SETTINGS, 9 / 8) == loss_limit(SEEN, SETTINGS)
    assert (kind(2.2, 1.0), kind(2.2, 1.0, share=7 / 32)) == (LOSS_SPIKE, "")


def test_a_high_loss_with_a_large_gradient_need_not_stay() -> None:
    assert kind(4.0, 17.0, loss_run=5) == ""
    assert kind(4.0, 18.0, loss_run=5) == LOSS_SPIKE  # 4 times the root of 20 is 17.9
    assert kind(1.0, 18.0, loss_run=5) == ""
    assert kind(4.0, 18.0, loss_run=5, norm_factor=0.0) == ""


def test_a_gradient_that_comes_again_and_again_is_usual_at_last() -> None:
    def largest(what: str, norm: float, answer: str) -> float:
        found = remember_incident(replace(SEEN, num_calm=7), Trouble(what), norm, answer, SETTINGS)
        assert found.num_calm == 0
        return found.largest_norm

    assert largest(GRADIENT_SPIKE, 1e9, SKIP) == 80.0
    assert largest(GRADIENT_SPIKE, 1e9, ROLLBACK) == 80.0
    assert largest(LOSS_SPIKE, 1e9, SKIP) == pytest.approx(4 * math.sqrt(20))
    assert largest(LOSS_SPIKE, 9.0, SKIP) == 9.0
    assert largest(LOSS_SPIKE, 1.0, SKIP) == 4.0
    assert largest(GRADIENT_SPIKE, 1e9, CLIP) == 4.0
    assert largest(NON_FINITE_GRADIENT, math.inf, SKIP) == 4.0


def incident(step: int, answer: str = SKIP, trouble: str = LOSS_SPIKE, **changes: Any) -> Incident:
    base = Incident("full", step, 0, step, (step, 99), trouble, 9.0, 9.0, 9.0, 0, 0.1, answer, 1.0)
    return replace(base, **changes)


def incidents(calm: list[int], settings: GuardSettings, what: str = LOSS_SPIKE) -> list[Incident]:
    """One after each number of calm updates, until the guard gives up."""
    given: list[Incident] = []
    for step, num_calm in enumerate(calm):
        answer = choose_answer(given, Trouble(what), "full", num_calm, settings)
        given.append(incident(step, answer, what, num_calm=num_calm))
        if answer == GIVE_UP:
            break
    return given


def answers(calm: list[int], settings: GuardSettings = SETTINGS, what: str = LOSS_SPIKE) -> list:
    return [each.answer for each in incidents(calm, settings, what)]


def test_answers_come_in_order_and_begin_anew_after_a_calm() -> None:
    assert answers([9, 0, 0, 1]) == [SKIP, CLIP, ROLLBACK, ROLLBACK]
    assert answers([0, 0, 2, 1, 7]) == [SKIP, CLIP, SKIP, CLIP, SKIP]
    assert answers([0, 0], what=NON_FINITE_LOSS) == [SKIP, ROLLBACK]  # no norm to clip to
    assert answers([0], with_changes(answers="clip"), NON_FINITE_LOSS) == [GIVE_UP]
    other = [incident(0, phase="head")] * 9
    assert choose_answer(other, Trouble(LOSS_SPIKE), "full", 0, SETTINGS) == SKIP


def test_the_guard_gives_up_by_the_row_and_not_by_the_number() -> None:
    assert answers([0] * 20)[6:] == [GIVE_UP]
    assert answers([2] * 1000) == [SKIP] * 1000  # skips alone, however many
    back = with_changes(answers="rollback")
    assert answers([10] * 1000, back) == [ROLLBACK] * 1000  # a window of calm updates between
    assert answers([9] * 20, back)[6:] == [GIVE_UP]
    assert answers([50] * 9 + [9] * 20, back)[8 + 5 :] == [ROLLBACK, GIVE_UP]
    series = with_changes(answers="skip+rollback")
    found = incidents([4, 0] * 20, series)  # skip, rollback, four calm updates, and again
    assert [each.answer for each in found[-2:]] == [SKIP, GIVE_UP]
    assert sum(each.answer == ROLLBACK for each in found) == 6
    assert [each.answer for each in reasons(found, series)] == [*[ROLLBACK] * 6, GIVE_UP]
    found = incidents([30, 4, 0, 1, 0, 0, 0, 0, 0], SETTINGS)
    assert len(found) == 8
    assert reasons(found, SETTINGS) == found[1:]  # the first is none of the row


def test_advice_says_what_to_change() -> None:
    every = [incident(step) for step in range(4)]
    assert "same pictures (rows 99 of" in advice(every, 1000)
    assert "same pictures" not in advice(every, 4)  # few pictures meet again by chance
    assert "same texts (rows 99 of" in advice(every, 1000, "texts")
    apart = [incident(step, rows=(step,)) for step in range(4)]
    assert "4 loss spike" in advice(apart, 1000)
    assert "lower train.learning_rate" in advice(apart, 1000)
    assert "add rollback to train.guard.answers" in advice(apart, 1000)
    lowered = [*apart, incident(9, ROLLBACK, rows=(9,), rate_factor=0.1, phase="head")]
    assert "at 0.1 of the learning rate" in advice(lowered, 1000)
    assert "lower train.head.learning_rate by more" in advice(lowered, 1000)


def test_limits_are_where_the_verdict_turns() -> None:
    for share in (1.0, 0.2):
        loss, norm = loss_limit(SEEN, SETTINGS, share), norm_limit(SEEN, SETTINGS, share)
        assert kind(loss * 0.999, 3.0, share) == kind(1.0, norm * 0.999, share) == ""
        assert kind(loss * 1.001, 3.0, share) == LOSS_SPIKE
        assert kind(1.0, norm * 1.001, share) == GRADIENT_SPIKE
    off = with_changes(loss_z=0.0, norm_factor=0.0)
    assert loss_limit(SEEN, off) == norm_limit(SEEN, off) == math.inf


@pytest.mark.parametrize("name", SIMULATIONS)
@pytest.mark.parametrize("batch_size", [4, 16, 64])
def test_wrong_labels_end_no_healthy_training(name: str, batch_size: int) -> None:
    """One label in a hundred is wrong, and the network fits all others."""
    for seed in range(2):
        found = simulate(name, batch_size, 5_000, seed, GuardSettings(answers="skip+rollback"))
        assert {each.answer for each in found} <= {SKIP}
        assert len(found) <= 2


# Trainings. The network is small and its weights are random, so seeds differ a lot: that is what
# "within noise" is measured by. They learn: validation loss falls from 1.1 to less than 0.5.

TRAINING = {
    "train__epochs": 8,
    "train__batch_size": 6,
    "train__learning_rate": 0.02,
    "train__batch_norm": "recalibrate",
    "train__guard__answers": "skip+rollback",
}
NUM_EPOCHS = 8
Inject = Callable[[pytest.MonkeyPatch], None]


def wrap_loss(monkeypatch: pytest.MonkeyPatch, change: Callable[..., Any]) -> None:
    original = Objective.loss
    monkeypatch.setattr(
        Objective, "loss", lambda *args, **named: change(partial(original, **named), *args)
    )


def poison_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch of the third epoch holds pictures that are not numbers."""
    calls = iter(range(10**6))

    def change(original: Any, objective: Any, network: Any, inputs: Any, *others: Any) -> Any:
        bad = next(calls) == 7
        return original(objective, network, inputs * (math.nan if bad else 1.0), *others)

    wrap_loss(monkeypatch, change)


def put_inf_into_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(10**6))

    def change(original: Any, *others: Any) -> Any:
        loss = original(*others)
        if next(calls) == 9:
            loss.register_hook(lambda gradient: gradient * math.inf)
        return loss

    wrap_loss(monkeypatch, change)


def poison_a_label_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weight of one picture's label is NaN, in every epoch."""
    original = epoch_module._targets

    def targets(batch: np.ndarray, view: Any, task: Any, examples: Any) -> torch.Tensor:
        own = original(batch, view, task, examples)
        probabilities = torch.nn.functional.one_hot(own, task.num_outputs).float()
        probabilities[torch.from_numpy(batch == task.train_rows[0])] = math.nan
        return probabilities

    monkeypatch.setattr(epoch_module, "_targets", targets)


INJECTIONS: dict[str, tuple[Inject, str, int]] = {
    "poisoned batch": (poison_a_batch, NON_FINITE_LOSS, 1),
    "Inf in a gradient": (put_inf_into_a_gradient, NON_FINITE_GRADIENT, 1),
    "NaN label weight": (poison_a_label_weight, NON_FINITE_LOSS, NUM_EPOCHS),
}


@pytest.fixture(scope="module")
def clean(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Trainings without any trouble, by several seeds."""
    from sftcore.data.store import open_store

    store = open_store(request.getfixturevalue("prepared"), ("train", "val"))
    results = [run(store, seed=seed, **TRAINING) for seed in range(5)]
    assert not any(result.incidents for result in results)
    losses = [result.history[-1].val_loss for result in results]
    assert max(losses) < 0.5
    return {"first": results[0], "spread": max(losses) - min(losses)}


def assert_saved(result: FitResult, clean: dict[str, Any]) -> None:
    assert not result.diverged
    assert len(result.history) == NUM_EPOCHS
    assert all(torch.isfinite(tensor).all() for tensor in result.chosen_state.values())
    off = abs(result.history[-1].val_loss - clean["first"].history[-1].val_loss)
    assert off <= clean["spread"]


@pytest.mark.parametrize("policy", ["recalibrate", "train"])
@pytest.mark.parametrize("name", INJECTIONS)
def test_what_is_injected_is_survived_within_noise(
    name: str, policy: str, store: Store, clean: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    inject, trouble, count = INJECTIONS[name]
    inject(monkeypatch)
    # The same picture comes every third update, and now and then twice in a row: a series.
    guard = "skip" if count > 1 else "skip+rollback"
    result = run(store, **TRAINING | {"train__batch_norm": policy, "train__guard__answers": guard})
    assert [i.trouble for i in result.incidents] == [trouble] * count
    assert {i.answer for i in result.incidents} == {SKIP}
    assert sum(record.num_incidents for record in result.history) == count
    # A bad batch has no say in the running statistics either.
    assert all(torch.isfinite(tensor).all() for tensor in result.chosen_state.values())
    if policy == "recalibrate":
        assert_saved(result, clean)


def test_the_picture_with_the_bad_label_is_in_every_incident(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison_a_label_weight(monkeypatch)
    bad = int(store.split("train")[0])
    few = {"train__guard__max_incidents": 4}
    result = run(store, **TRAINING | few)
    assert all(bad in incident.rows for incident in result.incidents)
    assert len(result.incidents) == NUM_EPOCHS  # skips alone never make it give up
    assert not result.diverged
    result = run(store, **TRAINING | few | {"train__guard__answers": "rollback"})
    assert f"same pictures (rows {bad} of" in result.diverged
    assert "gave up after 5 incidents" in result.diverged


@pytest.mark.parametrize("guard", ["skip", "clip", "rollback", "skip+rollback"])
def test_numbers_that_are_never_finite_end_with_advice(
    guard: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrap_loss(monkeypatch, lambda original, *args: original(*args) * math.nan)
    result = run(
        store, **TRAINING | {"train__guard__answers": guard, "train__guard__max_incidents": 5}
    )
    assert "the guard gave up after" in result.diverged
    assert "lower train.learning_rate" in result.diverged


def test_an_exploding_rate_ends_within_noise_of_a_good_one(
    store: Store, clean: dict[str, Any]
) -> None:
    rate = {"train__learning_rate": 20.0}
    without = run(store, **TRAINING | rate | {"train__guard__answers": "none"})
    assert without.diverged or not without.history[-1].train_loss <= math.log(3)
    result = run(store, **TRAINING | rate | {"train__guard__rate_factor": 0.1})
    assert_saved(result, clean)
    assert result.incidents[-1].answer == ROLLBACK
    assert result.incidents[-1].rate_factor < 0.1


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train__batch_norm": "train", "model__dropout": 0.5, "train__averaging__ema_decay": 0.9},
        {
            "train__augmentation__strength": 0.5,
            "train__sharpness__rho": 0.05,
            "train__clipping__norm": 0.1,
        },
        {"train__optimizer": "adamw", "train__head__epochs": 2, "train__learning_rate": 1e-3},
    ],
)
def test_a_guard_that_never_trips_changes_no_bit(store: Store, changes: dict[str, Any]) -> None:
    with_guard = run(store, **TRAINING | changes)
    without = run(store, **TRAINING | changes | {"train__guard__answers": "none"})
    assert not with_guard.incidents
    assert same(with_guard, without)
    assert with_guard.updates == without.updates


def everything(state: TrainingState) -> dict[str, Any]:
    """A deep copy of all that a rollback has to bring back, made without the guard's own means."""
    assert state.optimizer is not None
    return copy.deepcopy(
        {
            "network": dict(state.network.state_dict()),
            "optimizer": state.optimizer.state_dict(),
            "position": asdict(state.position),
            "averages": vars(state.averages),
            "updates": vars(state.result.updates),
            "history": state.result.history,
            "best_epoch": state.result.best_epoch,
            "best_state": state.result.best_state,
        }
    )


def equal(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        pairs = ((first[key], second[key]) for key in first)
        return first.keys() == second.keys() and all(equal(*pair) for pair in pairs)
    return first == second


@pytest.mark.parametrize(
    "changes",
    [
        {"train__batch_norm": "train"},
        {
            "train__batch_norm": "recalibrate",
            "train__averaging__swa_fraction": 0.9,
            "train__averaging__soup_size": 2,
        },
        {
            "train__optimizer": "adamw",
            "train__learning_rate": 1e-3,
            "train__averaging__ema_decay": 0.9,
        },
    ],
)
def test_a_rollback_brings_everything_back_but_the_rate(
    changes: dict[str, Any], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rollback the training is the one that began there with a lower rate."""
    before: list[dict[str, Any]] = []  # every update, before its forward pass
    kept: list[dict[str, Any]] = []
    num_equal: list[int] = []
    originals = {n: getattr(TrainingState, n) for n in ("prepare_snapshot", "roll_back")}
    take = TrainingState.take_snapshot_if_due

    def prepare(self: TrainingState, settings: GuardSettings) -> None:
        before.append(everything(self))
        originals["prepare_snapshot"](self, settings)

    def take_snapshot(self: TrainingState, settings: GuardSettings) -> None:
        older = self.guard.good
        take(self, settings)
        if self.guard.good is not older:
            kept.append(before[-1])

    def roll_back(self: TrainingState, rate_factor: float) -> None:
        originals["roll_back"](self, rate_factor)
        num_equal.append(equal(everything(self), kept[-1]))

    monkeypatch.setattr(TrainingState, "prepare_snapshot", prepare)
    monkeypatch.setattr(TrainingState, "take_snapshot_if_due", take_snapshot)
    monkeypatch.setattr(TrainingState, "roll_back", roll_back)
    poison_a_batch(monkeypatch)
    guard = {"train__guard__answers": "rollback", "train__guard__snapshot_updates": 2}
    result = run(store, **TRAINING | changes | guard)
    assert num_equal == [True]
    seen = result.incidents[0]
    first = len(kept[[k["updates"]["step"][-1] < seen.step for k in kept].count(True) - 1]
                ["updates"]["step"])  # fmt: skip
    assert 0 < seen.step - first <= 2
    rates = result.updates.learning_rate
    plain = run(store, **TRAINING | changes | {"train__guard__answers": "none"})
    steps = [int(step) for step in result.updates.step]
    assert seen.step not in steps  # the batch that was rolled back from is left out
    for place, step in enumerate(steps):
        factor = 0.3 if place >= first else 1.0
        assert rates[place] == pytest.approx(factor * plain.updates.learning_rate[step])


def test_one_copy_of_what_is_trained_is_kept_in_the_same_memory(store: Store) -> None:
    """Of frozen blocks there is none, and each snapshot takes the memory of the last."""
    seen: list[dict[str, Any]] = []
    original = TrainingState.take_snapshot_if_due

    def take(self: TrainingState, settings: GuardSettings) -> None:
        original(self, settings)
        seen.append(self.guard.good)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainingState, "take_snapshot_if_due", take)
        run(store, **TRAINING | {"model__trainable_blocks": 1, "train__guard__snapshot_updates": 2})
    trained = {name for name in seen[0]["network"] if name.endswith((".weight", ".bias"))}
    assert any(name.startswith("head") for name in trained)
    assert not any("conv_stem" in name for name in seen[0]["network"])
    for name in seen[2]["network"]:
        assert seen[-1]["network"][name].data_ptr() == seen[2]["network"][name].data_ptr()
    moments = [snapshot["optimizer"]["state"][0]["momentum_buffer"] for snapshot in seen[3:]]
    assert len({moment.data_ptr() for moment in moments}) == 1


def test_no_state_is_kept_while_the_loss_is_high(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four high losses in a row: one less than an explosion, and nothing to go back to."""
    calls = iter(range(10**6))

    def change(original: Any, *args: Any) -> torch.Tensor:
        return original(*args) + (99.0 if 9 <= next(calls) < 13 else 0.0)

    wrap_loss(monkeypatch, change)
    kept: list[int] = []
    original = TrainingState.take_snapshot_if_due

    def take(self: TrainingState, settings: GuardSettings) -> None:
        original(self, settings)
        kept.append(self.guard.good["num_updates"])

    monkeypatch.setattr(TrainingState, "take_snapshot_if_due", take)
    result = run(store, **TRAINING | {"train__guard__snapshot_updates": 1})
    assert not result.incidents
    assert set(range(24)) - set(kept) == {9, 10, 11, 12, 13}  # the fifth tells that it is over


def test_a_rollback_over_the_end_of_an_epoch_tells_its_record_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sftcore.foundations.runtime import set_up
    from sftcore.training.inputs import FeatureCache
    from sftcore.training.recipe import train
    from tests.training.test_loop import small

    poison_a_batch(monkeypatch)  # the eighth update; an epoch has three
    params = small(**TRAINING | {"train__guard__answers": "rollback"})  # back to the beginning
    told: list[Any] = []
    result = train(
        store, params.model, params.train, task=params.task, seed=0, device=set_up("cpu", 1),
        cache=FeatureCache(1 << 28), on_epoch=told.append,
    ).result  # fmt: skip
    assert result.incidents[0].epoch == 2
    assert isinstance(params.train.learning_rate, float)
    assert result.updates.learning_rate[0] == pytest.approx(0.3 * params.train.learning_rate)
    assert told == result.history


def test_a_rollback_keeps_the_beginning_of_the_wise_ft_line(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = TRAINING | {"train__head__epochs": 1, "train__averaging__wise_ft": True}
    whole = run(store, **changes)
    poison_a_batch(monkeypatch)  # the fifth update of the last phase
    result = run(store, **changes | {"train__guard__answers": "rollback"})
    assert result.incidents[0].phase == "full"
    lines = [[c for c in r.candidates if c.name == "wise_ft"] for r in (whole, result)]
    assert len(lines[1]) == 11
    assert lines[1][0].val_loss == lines[0][0].val_loss  # where the line begins


def test_a_clipped_spike_does_not_widen_what_is_usual(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(10**6))

    def change(original: Any, *args: Any) -> torch.Tensor:
        loss = original(*args)
        if next(calls) == 9:
            loss.register_hook(lambda gradient: gradient * 1e6)
        return loss

    wrap_loss(monkeypatch, change)
    seen: list[list[float]] = []
    original = TrainingState.remember_update

    def remember(self: TrainingState, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        seen.append(list(self.guard.seen.norms))

    monkeypatch.setattr(TrainingState, "remember_update", remember)
    result = run(store, **TRAINING | {"train__guard__answers": "clip"})
    assert [(i.trouble, i.answer) for i in result.incidents] == [(GRADIENT_SPIKE, CLIP)]
    assert result.updates.is_clipped.count(1.0) == 1
    assert seen[9][9] == pytest.approx(np.median(seen[8]))
    assert result.updates.gradient_norm[9] > 1e4


def test_a_training_without_any_update_is_a_table_without_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrap_loss(monkeypatch, lambda original, *args: original(*args) * math.nan)
    changes = {"train__epochs": 1, "train__guard__answers": "skip"}
    result = run(store, **TRAINING | changes)
    assert len(result.incidents) == 3
    updates = updates_table(result, SETTINGS)
    assert len(updates) == 0
    assert {"loss_limit", "gradient_norm_limit"} <= set(updates.columns)
    ids = {row: str(row) for row in range(100)}
    assert updates_figure(updates, incidents_table(result, ids)).startswith(b"\x89PNG")


def test_the_loop_without_a_guard_takes_no_snapshot(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a state was copied")

    for name in ("prepare_snapshot", "take_snapshot_if_due"):
        monkeypatch.setattr(TrainingState, name, refuse)
    monkeypatch.setattr(state_module, "snapshot_of", refuse)
    run(store, **TRAINING | {"train__guard__answers": "none"})
