"""The guard: its verdict and its answers as pure functions, and trainings that it has to save."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sftcore.data.store import Store
from sftcore.evaluation.stability_figures import updates_figure
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
    Trouble,
    advice,
    choose_answer,
    find_trouble,
    robust_z,
    spike_limits,
)
from sftcore.training import epoch as epoch_module
from sftcore.training import loop
from sftcore.training.objective import Objective
from sftcore.training.records import FitResult
from sftcore.training.state import TrainingState
from sftcore.training.tables import incidents_table, updates_table
from tests.training.test_loop import run, same

SETTINGS = GuardSettings(answers=(SKIP, CLIP, ROLLBACK), window=10, max_incidents=6)
CALM = [1.0, 1.2, 0.9, 1.1, 1.0, 0.8]
NORMS = [2.0, 3.0, 2.5, 2.0, 4.0, 3.0]


def kind(loss: float, norm: float, **changes: Any) -> str:
    trouble = find_trouble(CALM, NORMS, loss, norm, replace(SETTINGS, **changes))
    return trouble.kind if trouble else ""


def test_the_verdict_names_what_is_wrong() -> None:
    assert kind(1.3, 5.0) == ""
    assert kind(math.nan, 1.0) == kind(math.inf, 1.0) == NON_FINITE_LOSS
    assert kind(1.0, math.inf) == kind(1.0, math.nan) == NON_FINITE_GRADIENT
    assert kind(4.0, 5.0) == LOSS_SPIKE
    assert kind(4.0, 5.0, loss_z=0.0) == ""
    assert kind(1.0, 500.0) == GRADIENT_SPIKE
    assert kind(1.0, 500.0, norm_z=0.0) == ""
    assert kind(0.0, 0.0) == ""
    assert find_trouble([], [], 1e9, 1e9, SETTINGS) is None


def test_scores_are_computed_by_hand() -> None:
    history = [1.0, 2.0, 3.0, 4.0, 10.0]  # median 3, deviations 2 1 0 1 7, of them the median 1
    assert robust_z(history, 6.0, 0.1) == pytest.approx(3 / 1.4826)
    assert robust_z(history, 6.0, 10.0) == pytest.approx(0.3)
    assert robust_z(history[:4], 6.0, 0.5) == pytest.approx(7.0)  # too few for a spread
    trouble = find_trouble([1.0] * 6, [1.0] * 6, 3.0, 1.0, SETTINGS)
    assert trouble == Trouble(LOSS_SPIKE, pytest.approx(2.0 / 0.1))
    trouble = find_trouble([1.0] * 6, [1.0] * 6, 1.0, math.exp(6), SETTINGS)
    assert trouble == Trouble(GRADIENT_SPIKE, pytest.approx(6 / 0.3))


def test_only_the_window_is_looked_at() -> None:
    old, new = [100.0] * 50, [1.0] * 10
    assert find_trouble(old + new, [1.0] * 60, 50.0, 1.0, SETTINGS) is not None
    wide = replace(SETTINGS, window=60)
    assert find_trouble(old + new, [1.0] * 60, 50.0, 1.0, wide) is None


def incident(step: int, answer: str = SKIP, trouble: str = LOSS_SPIKE, **changes: Any) -> Incident:
    base = Incident("full", step, 0, step, (step, 99), trouble, 9.0, 9.0, 9.0, 0.1, answer, 1.0)
    return replace(base, **changes)


def answers(steps: list[int], settings: GuardSettings = SETTINGS, what: str = LOSS_SPIKE) -> list:
    given: list[Incident] = []
    for step in steps:
        answer = choose_answer(given, Trouble(what), "full", step, settings)
        given.append(incident(step, answer, what))
    return [each.answer for each in given]


def test_answers_come_in_order_and_begin_anew_after_a_calm() -> None:
    assert answers([0, 1, 2, 3]) == [SKIP, CLIP, ROLLBACK, ROLLBACK]
    assert answers([0, 1, 5, 8, 12]) == [SKIP, CLIP, SKIP, CLIP, SKIP]
    assert answers([5, 6, 7, 2, 3]) == [SKIP, CLIP, ROLLBACK, ROLLBACK, ROLLBACK]  # rolled back
    assert answers([0, 1], what=NON_FINITE_LOSS) == [SKIP, ROLLBACK]  # no norm to clip to
    assert answers(list(range(8)))[6:] == [GIVE_UP] * 2
    assert answers([0], replace(SETTINGS, answers=(CLIP,)), NON_FINITE_LOSS) == [GIVE_UP]
    other = [incident(0, phase="head")] * 9
    assert choose_answer(other, Trouble(LOSS_SPIKE), "full", 1, SETTINGS) == SKIP


def test_advice_says_what_to_change() -> None:
    every = [incident(step) for step in range(4)]
    assert "same pictures (rows 99 of" in advice(every, 1000)
    assert "same pictures" not in advice(every, 4)  # few pictures meet again by chance
    apart = [incident(step, rows=(step,)) for step in range(4)]
    assert "4 loss spike" in advice(apart, 1000)
    assert "lower train.learning_rate" in advice(apart, 1000)
    assert "add rollback to train.guard" in advice(apart, 1000)
    lowered = [*apart, incident(9, ROLLBACK, rows=(9,), rate_factor=0.1, phase="head")]
    assert "at 0.1 of the learning rate" in advice(lowered, 1000)
    assert "lower train.head_learning_rate by more" in advice(lowered, 1000)


def test_limits_are_where_the_verdict_turns() -> None:
    loss_limit, norm_limit = spike_limits(CALM, NORMS, SETTINGS)
    assert kind(loss_limit * 0.999, 3.0) == kind(1.0, norm_limit * 0.999) == ""
    assert kind(loss_limit * 1.001, 3.0) == LOSS_SPIKE
    assert kind(1.0, norm_limit * 1.001) == GRADIENT_SPIKE
    off = replace(SETTINGS, loss_z=0.0, norm_z=1000.0)
    assert spike_limits(CALM, [1e-9, 1e9] * 3, off) == (math.inf, math.inf)


# Trainings. The network is small and its weights are random, so seeds differ a lot: that is what
# "within noise" is measured by. They learn: validation loss falls from 1.1 to less than 0.5.

TRAINING = {
    "train__epochs": 8,
    "train__batch_size": 6,
    "train__learning_rate": 0.02,
    "train__batch_norm": "recalibrate",
    "train__guard": "skip+rollback",
}
NUM_EPOCHS = 8
Inject = Callable[[pytest.MonkeyPatch], None]


def wrap_loss(monkeypatch: pytest.MonkeyPatch, change: Callable[..., Any]) -> None:
    original = Objective.loss
    monkeypatch.setattr(Objective, "loss", lambda *args: change(original, *args))


def poison_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch of the third epoch holds pictures that are not numbers."""
    calls = iter(range(10**6))

    def change(original: Any, objective: Any, network: Any, inputs: Any, targets: Any) -> Any:
        bad = next(calls) == 7
        return original(objective, network, inputs * (math.nan if bad else 1.0), targets)

    wrap_loss(monkeypatch, change)


def put_inf_into_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(10**6))

    def change(original: Any, objective: Any, network: Any, inputs: Any, targets: Any) -> Any:
        loss = original(objective, network, inputs, targets)
        if next(calls) == 9:
            loss.register_hook(lambda gradient: gradient * math.inf)
        return loss

    wrap_loss(monkeypatch, change)


def poison_a_label_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weight of one picture's label is NaN, in every epoch."""
    original = epoch_module._targets

    def targets(batch: np.ndarray, view: Any, rows: Any) -> torch.Tensor:
        own = original(batch, view, rows)
        probabilities = torch.nn.functional.one_hot(own, rows.num_classes).float()
        probabilities[torch.from_numpy(batch == rows.train[0])] = math.nan
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
    # The same picture comes every third update, which would count as a series.
    guard = "skip" if count > 1 else "skip+rollback"
    result = run(store, **TRAINING | {"train__batch_norm": policy, "train__guard": guard})
    assert [i.trouble for i in result.incidents] == [trouble] * count
    assert result.incidents[0].answer == SKIP
    assert sum(record.num_incidents for record in result.history) == count
    # A bad batch has no say in the running statistics either.
    assert all(torch.isfinite(tensor).all() for tensor in result.chosen_state.values())
    if policy == "recalibrate":
        assert_saved(result, clean)


def test_the_picture_with_the_bad_label_is_in_every_incident(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison_a_label_weight(monkeypatch)
    result = run(store, **TRAINING | {"train__guard": "skip", "train__guard_max_incidents": 4})
    bad = int(store.split("train")[0])
    assert all(bad in incident.rows for incident in result.incidents)
    assert f"same pictures (rows {bad} of" in result.diverged
    assert "gave up after 5 incidents" in result.diverged


def test_an_exploding_rate_ends_within_noise_of_a_good_one(
    store: Store, clean: dict[str, Any]
) -> None:
    rate = {"train__learning_rate": 20.0}
    without = run(store, **TRAINING | rate | {"train__guard": "none"})
    assert without.diverged or without.history[-1].train_loss > math.log(3)
    result = run(store, **TRAINING | rate | {"train__guard_rate_factor": 0.1})
    assert_saved(result, clean)
    assert result.incidents[-1].answer == ROLLBACK
    assert result.incidents[-1].rate_factor < 0.1


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train__batch_norm": "train", "model__dropout": 0.5, "train__ema_decay": 0.9},
        {"train__augmentation": 0.5, "train__sam_rho": 0.05, "train__clip_norm": 0.1},
        {"train__optimizer": "adamw", "train__head_epochs": 2, "train__learning_rate": 1e-3},
    ],
)
def test_a_guard_that_never_trips_changes_no_bit(store: Store, changes: dict[str, Any]) -> None:
    with_guard = run(store, **TRAINING | changes)
    without = run(store, **TRAINING | changes | {"train__guard": "none"})
    assert not with_guard.incidents
    assert same(with_guard, without)
    assert with_guard.updates == without.updates


def test_a_rollback_brings_everything_back_but_the_rate(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rollback the training is the one that began there with a lower rate."""
    states: list[dict[str, Any]] = []
    original = TrainingState.roll_back

    def roll_back(self: TrainingState, rate_factor: float) -> None:
        good = self.guard.good
        original(self, rate_factor)
        for name, tensor in self.network.state_dict().items():
            assert torch.equal(tensor, good["network"][name])
        assert self.optimizer is not None
        now, then = self.optimizer.state_dict()["state"], good["optimizer"]["state"]
        assert now.keys() == then.keys()
        for key in now:
            assert torch.equal(now[key]["momentum_buffer"], then[key]["momentum_buffer"])
        assert len(self.result.updates) == good["num_updates"]
        assert len(self.result.history) == good["num_epochs"]
        states.append(good)

    monkeypatch.setattr(TrainingState, "roll_back", roll_back)
    poison_a_batch(monkeypatch)
    changes = {"train__guard": "rollback", "train__guard_snapshot_updates": 2}
    result = run(store, **TRAINING | changes)
    assert len(states) == 1
    seen = result.incidents[0]
    first = states[0]["num_updates"]
    assert 0 < seen.step - first <= 4
    rates = result.updates.learning_rate
    plain = run(store, **TRAINING | {"train__guard": "none"})
    steps = [int(step) for step in result.updates.step]
    assert seen.step not in steps  # the batch that was rolled back from is left out
    for place, step in enumerate(steps):
        factor = 0.3 if place >= first else 1.0
        assert rates[place] == pytest.approx(factor * plain.updates.learning_rate[step])


def test_a_rollback_over_the_end_of_an_epoch_tells_its_record_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sftcore.recipe import train
    from sftcore.runtime import set_up
    from sftcore.training.inputs import FeatureCache
    from tests.training.test_loop import small

    poison_a_batch(monkeypatch)  # the eighth update; an epoch has three
    params = small(**TRAINING | {"train__guard": "rollback"})  # back to the beginning
    told: list[Any] = []
    result = train(
        store, params.model, params.train, seed=0, device=set_up("cpu", 1),
        cache=FeatureCache(1 << 28), on_epoch=told.append,
    ).result  # fmt: skip
    assert result.incidents[0].epoch == 2
    assert isinstance(params.train.learning_rate, float)
    assert result.updates.learning_rate[0] == pytest.approx(0.3 * params.train.learning_rate)
    assert told == result.history


def test_a_rollback_keeps_the_beginning_of_the_wise_ft_line(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = TRAINING | {"train__head_epochs": 1, "train__wise_ft": True}
    whole = run(store, **changes)
    poison_a_batch(monkeypatch)  # the fifth update of the last phase
    result = run(store, **changes | {"train__guard": "rollback"})
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
        seen.append(list(self.guard.norms))

    monkeypatch.setattr(TrainingState, "remember_update", remember)
    result = run(store, **TRAINING | {"train__guard": "clip"})
    assert [(i.trouble, i.answer) for i in result.incidents] == [(GRADIENT_SPIKE, CLIP)]
    assert result.updates.is_clipped.count(1.0) == 1
    assert seen[9][9] == pytest.approx(np.median(seen[8]))
    assert result.updates.gradient_norm[9] > 1e4


def test_a_training_without_any_update_is_a_table_without_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrap_loss(monkeypatch, lambda original, *args: original(*args) * math.nan)
    changes = {"train__epochs": 1, "train__guard": "skip"}
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

    monkeypatch.setattr(loop.TrainingState, "_snapshot", refuse)
    run(store, **TRAINING | {"train__guard": "none"})
