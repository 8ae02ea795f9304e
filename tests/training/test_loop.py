from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sftcore.data.store import Store
from sftcore.foundations.errors import ParamsError
from sftcore.foundations.runtime import set_up
from sftcore.models.start import build_start
from sftcore.settings.tree import Params, load_params, override
from sftcore.training.inputs import FeatureCache
from sftcore.training.loop import _num_drops
from sftcore.training.planning import plan_phases
from sftcore.training.recipe import train
from sftcore.training.records import (
    EpochRecord,
    FitResult,
    candidate_of,
    columns_of,
    is_better,
    rank_epochs,
)

ROOT = Path(__file__).parent.parent.parent
SMALL = {
    "model.backbone": "timm/test_efficientnet",
    "model.weights": "none",
    "model.trainable_blocks": "all",
    "train.epochs": 2,
    "train.head.method": "descend",
    "train.selection.margin": 0.0,
    "train.batch_norm": "freeze_statistics",
    "train.head.epochs": 0,
    "train.batch_size": 8,
    "train.learning_rate": 0.01,
    "train.augmentation.strength": 0.0,
    "train.label_smoothing": 0.0,
    "train.range_test.enabled": False,
    "train.guard.answers": "none",
}


def small(**changes: object) -> Params:
    """The shipped parameters for a network that trains in a moment."""
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return override(shipped(), {**SMALL, **named}, "test")  # type: ignore[dict-item]


@cache
def shipped() -> Params:
    """The parameters of the repository."""
    return load_params(ROOT / "params.yaml")


def run(
    store: Store, cache: FeatureCache | None = None, seed: int = 0, **changes: object
) -> FitResult:
    params = small(**changes)
    trained = train(
        store,
        params.model,
        params.train,
        task=params.task,
        seed=seed,
        device=set_up("cpu", 1),
        cache=cache or FeatureCache(1 << 28),
        on_epoch=lambda record: None,
    )
    return trained.result


def same(first: FitResult, second: FitResult) -> bool:
    states = first.chosen_state, second.chosen_state
    return (first.history, first.candidates) == (second.history, second.candidates) and all(
        torch.equal(states[0][name], states[1][name]) for name in states[0]
    )


EVERYTHING = {
    "train__augmentation__strength": 0.5,
    "train__label_smoothing": 0.1,
    "train__penalties__l1": 1e-4,
    "train__penalties__l2": 1e-4,
    "train__clipping__norm": 1.0,
    "train__schedule__warmup": 0.3,
    "train__head__epochs": 2,
    "model__dropout": 0.3,
}


def test_the_same_seed_gives_the_same_bits_and_another_does_not(store: Store) -> None:
    first = run(store, **EVERYTHING)
    torch.rand(7)  # what others draw must not matter
    assert same(first, run(store, **EVERYTHING))
    assert not same(first, run(store, seed=1, **EVERYTHING))
    assert all(np.isfinite(list(columns_of(r).values())[2:]).all() for r in first.history)


def test_kept_features_give_the_numbers_of_computed_ones(store: Store) -> None:
    changes = {"model__trainable_blocks": 2, "train__augmentation__strength": 0.3}
    kept, computed = (
        run(store, FeatureCache(1 << 28), **changes),
        run(store, FeatureCache(0), **changes),
    )
    for one, other in zip(kept.history, computed.history, strict=True):
        numbers = [list(columns_of(r).values())[2:] for r in (one, other)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-3)


def test_trainings_share_features_only_when_they_may(store: Store) -> None:
    cache = FeatureCache(1 << 28)
    alone = run(store, model__trainable_blocks=1, seed=1)
    run(store, cache, model__trainable_blocks=1, seed=0)
    filled = len(cache.values)
    assert filled > 0
    assert same(alone, run(store, cache, model__trainable_blocks=1, seed=1))
    assert len(cache.values) > filled  # random backbones of two seeds are two backbones


def start_of(params: Params, store: Store) -> dict[str, torch.Tensor]:
    start = build_start(
        backbone=params.model.backbone,
        weights=params.model.weights,
        num_classes=len(store.classes),
        image_size=store.image_size,
        dropout=0.0,
        seed=0,
        device=torch.device("cpu"),
    )
    return start.network.state_dict()


def test_frozen_blocks_stay_as_they_were(store: Store) -> None:
    params = small(model__trainable_blocks=1, train__learning_rate=0.1)
    trained = train(
        store,
        params.model,
        params.train,
        task=params.task,
        seed=0,
        device=set_up("cpu", 1),
        cache=FeatureCache(0),
        on_epoch=lambda record: None,
    )
    network = trained.start.network
    untouched = start_of(params, store)
    for name, tensor in trained.result.best_state.items():
        is_frozen = network.block_of(name) < len(network.blocks) - 1
        if is_frozen:
            assert torch.equal(tensor, untouched[name]), name
    assert trained.result.history[-1].weight_distance > 0


def test_head_first_then_everything(store: Store) -> None:
    result = run(store, train__head__epochs=3, train__epochs=2)
    assert [r.phase for r in result.history] == ["head"] * 3 + ["full"] * 2
    assert [r.epoch for r in result.history] == list(range(5))
    phases = plan_phases(small(train__head__epochs=3).model, small(train__head__epochs=3).train, 6)
    assert [(p.name, p.first_block) for p in phases] == [("head", 6), ("full", 0)]
    with pytest.raises(ParamsError, match="can be cut into 6 blocks"):
        plan_phases(small(model__trainable_blocks=9).model, small().train, 6)


def test_a_divergence_is_a_result_with_its_reason(store: Store) -> None:
    result = run(
        store,
        train__learning_rate=1000.0,
        train__schedule__name="constant",
        train__batch_norm="freeze_statistics",
        train__epochs=6,
    )
    assert "learning rate 1000" in result.diverged
    assert "full phase" in result.diverged
    assert len(result.history) < 6


def test_the_best_epoch_is_kept_and_early_stopping_waits(store: Store) -> None:
    result = run(
        store,
        train__epochs=12,
        train__learning_rate=0.05,
        train__schedule__name="constant",
        train__stopping__patience=2,
    )
    losses = [record.val_loss for record in result.history]
    assert result.best_epoch == int(np.argmin(losses))
    assert len(losses) == 12 or len(losses) == result.best_epoch + 3
    full = run(store, train__epochs=12, train__learning_rate=0.05, train__schedule__name="constant")
    assert full.history[: len(losses)] == result.history


def record(**changes: float) -> EpochRecord:
    """Of an epoch; what is no field is a score."""
    scores = {n: changes.pop(n) for n in list(changes) if n not in EpochRecord.__dataclass_fields__}
    base = EpochRecord(
        0, "full", 0.0, 1.0, 0.1, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0, {"val_accuracy": 0.5}
    )
    return replace(base, scores=base.scores | scores, **changes)  # type: ignore[arg-type]


def test_what_counts_as_better() -> None:
    assert is_better(record(val_loss=0.9), record(), "val_loss")
    assert not is_better(record(), record(), "val_loss")
    assert not is_better(record(val_loss=float("nan")), record(), "val_loss")
    assert is_better(record(val_accuracy=0.6, val_loss=2.0), record(), "val_accuracy")
    assert is_better(record(val_loss=0.9), record(), "val_accuracy")
    assert not is_better(record(), record(), "val_accuracy")


@pytest.mark.parametrize("name", ["val_accuracy", "val_balanced_accuracy", "val_macro_f1"])
def test_what_is_better_by_a_metric_of_which_more_is_better(name: str) -> None:
    equal = {"val_accuracy": 0.5, "val_balanced_accuracy": 0.5, "val_macro_f1": 0.5}
    old = record(**equal)
    more = record(**equal | {name: 0.6, "val_loss": 2.0, "epoch": 1})
    surer = record(**equal | {"val_loss": 0.9, "epoch": 2})
    assert is_better(more, old, name)
    assert is_better(more, old, name, min_change=0.05)
    assert not is_better(more, old, name, min_change=0.2)
    assert is_better(surer, old, name)
    assert not is_better(record(**equal), old, name)
    assert is_better(candidate_of(more), candidate_of(old), name)
    assert rank_epochs([old, more, surer], name) == [1, 2, 0]
    for other in equal.keys() - {name}:
        assert not is_better(more, old, other)


@pytest.mark.parametrize("name", ["val_accuracy", "val_balanced_accuracy", "val_macro_f1"])
def test_a_plateau_is_one_of_the_metric_that_selects(name: str) -> None:
    """Every loss is worse than the one before, and each metric has waited another number."""
    values = [0.1, 0.2, 0.2, 0.2, 0.2]
    flat = {"val_accuracy": 0.5, "val_balanced_accuracy": 0.5, "val_macro_f1": 0.5}
    history = [
        record(**flat | {name: value, "epoch": i, "val_loss": 1.0 + i})
        for i, value in enumerate(values)
    ]
    state = SimpleNamespace(result=SimpleNamespace(history=history))
    phase = SimpleNamespace(name="full", schedule=SimpleNamespace(name="plateau", patience=1))
    drops = {
        metric: _num_drops(state, phase, SimpleNamespace(selection=SimpleNamespace(metric=metric)))  # type: ignore[arg-type]
        for metric in ("val_loss", *flat)
    }
    assert drops == {"val_loss": 2} | dict.fromkeys(flat, 2) | {name: 1}


@pytest.mark.parametrize("name", ["val_accuracy", "val_balanced_accuracy", "val_macro_f1"])
def test_the_chosen_epoch_has_the_most_of_what_selects(name: str, store: Store) -> None:
    result = run(
        store,
        train__epochs=6,
        train__learning_rate=0.1,
        train__batch_norm="train",
        train__selection__metric=name,
    )
    values = [record.scores[name] for record in result.history]
    assert values[result.best_epoch] == max(values)
    assert result.candidates[0].scores[name] == max(values)
    assert all(0 <= value <= 1 for value in values)


@pytest.mark.parametrize("metric", ["val_loss", "val_accuracy"])
@pytest.mark.parametrize("min_change", [0.0, 0.1])
def test_any_finite_loss_is_better_than_none(metric: str, min_change: float) -> None:
    """Else a first epoch without a loss would stay the best one, whatever came after it."""
    for none in (float("nan"), float("inf")):
        broken = record(val_loss=none, val_accuracy=0.9)
        assert is_better(record(), broken, metric, min_change)
        assert not is_better(broken, record(), metric, min_change)
        assert not is_better(broken, broken, metric, min_change)
        records = [
            replace(broken, epoch=0),
            record(epoch=1, val_loss=2.0),
            record(epoch=2),
            replace(broken, epoch=3),
        ]
        assert rank_epochs(records, metric) == [2, 1, 0, 3]
