"""One contract for every setting of a training: a setting without a row here fails the suite."""

import importlib
import inspect
import os
import pkgutil
import signal
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import sftcore.regularization
import sftcore.stability
from sftcore.data.store import Store
from sftcore.foundations.errors import ParamsError, WeightsError
from sftcore.foundations.interruption import leave_on_signals
from sftcore.optimization.optimizers import OPTIMIZERS
from sftcore.recipe import train
from sftcore.settings.sections import ModelParams, TrainParams
from sftcore.training import epoch
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FeatureCache
from sftcore.training.records import FitResult
from tests.training.test_loop import same, small


@dataclass(frozen=True)
class Row:
    """A setting switched on.

    Attributes:
        on: its value.
        bad: values out of its range, with a part of the message.
        base: what else must hold for it to matter, on and off.
        is_traceless: whether the numbers of the training must be the same with it.
    """

    on: Any
    bad: dict[Any, str] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    is_traceless: bool = False


AT_LEAST_0 = {-0.1: "greater than or equal to 0", float("nan"): "finite"}
FRACTION = {-0.1: "greater than or equal to 0", 1.0: "less than 1"}
DIAL = {-0.1: "greater than or equal to 0", 1.1: "less than or equal to 1"}
COUNT = {-1: "greater than or equal to 0", 0.5: "integer"}
NAME = {"other": "should be"}
LENGTH = {
    -0.1: "a part from 0 to 1",
    1.1: "a part from 0 to 1",
    "2 years": 'text such as "50 steps"',
    "epochs": 'text such as "50 steps"',
    float("nan"): "a part from 0 to 1",
}
ABOVE_0 = {0.0: "greater than 0"}
PART = {0.0: "greater than 0", 1.0: "less than 1"}
EXPLODING = {
    "train.learning_rate": 3.0,
    "train.schedule": "constant",
    "train.batch_size": 2,
    "train.guard": "skip+rollback",
}
AUTO = {"train.learning_rate": "auto", "train.range_test_steps": 20}

CONTRACT = {
    "model.trainable_blocks": Row(1, {-1: "greater than or equal to 0"}),
    "model.dropout": Row(0.5, FRACTION),
    "model.stochastic_depth": Row(
        0.5, FRACTION, {"model.backbone": "timm/test_resnet", "model.weights": "none"}
    ),
    "train.epochs": Row(4, COUNT),
    "train.head": Row("solve", NAME),
    "train.head_strength": Row(
        0.01, {0.0: "greater than 0", 1.5: "less than or equal to 1"}, {"train.head": "solve"}
    ),
    "train.head_epochs": Row(1, COUNT),
    "train.batch_size": Row(16, {1: "greater than or equal to 2"}),
    "train.micro_batch_size": Row(3, {1: "greater than or equal to 2"}),
    "train.optimizer": Row("adamw", NAME),
    "train.learning_rate": Row(0.02, {0.0: "greater than 0", "best": "should be 'auto'"}),
    "train.head_learning_rate": Row(0.02, ABOVE_0, {"train.head_epochs": 1}),
    "train.rate_scaling": Row("linear", NAME),
    "train.rate_scaling_batch_size": Row(
        16, {0: "greater than or equal to 1"}, {"train.rate_scaling": "sqrt"}
    ),
    "train.momentum": Row(0.5, FRACTION),
    "train.schedule": Row("linear", NAME),
    "train.warmup": Row("4 steps", LENGTH),
    "train.schedule_factor": Row(0.5, PART, {"train.schedule": "multi_step"}),
    "train.schedule_every": Row("2 steps", LENGTH, {"train.schedule": "step"}),
    "train.schedule_milestones": Row(
        ["1 epoch", 0.9], {"half": "valid list"}, {"train.schedule": "multi_step"}
    ),
    "train.schedule_end": Row(0.5, DIAL),
    "train.schedule_power": Row(1.0, ABOVE_0, {"train.schedule": "polynomial"}),
    "train.schedule_cycles": Row(2, {0: "greater than or equal to 1"}),
    "train.schedule_rise": Row("1 epoch", LENGTH, {"train.schedule": "one_cycle"}),
    "train.schedule_decay": Row(0.9, LENGTH, {"train.schedule": "warmup_stable_decay"}),
    "train.schedule_patience": Row(
        0, COUNT, {"train.schedule": "plateau", "train.epochs": 5, "train.learning_rate": 0.3}
    ),
    "train.range_test": Row(
        True, {1: "boolean"}, {"train.range_test_steps": 20}, is_traceless=True
    ),
    "train.range_test_steps": Row(15, {9: "greater than or equal to 10"}, AUTO),
    "train.range_test_least": Row(1e-4, ABOVE_0, AUTO),
    "train.range_test_most": Row(0.1, ABOVE_0, AUTO),
    "train.range_test_suggestion": Row("steepest", NAME, AUTO),
    "train.clip_norm": Row(0.01, AT_LEAST_0),
    "train.clip_value": Row(0.001, AT_LEAST_0),
    "train.clip_agc": Row(0.001, AT_LEAST_0),
    "train.guard": Row(
        "rollback",
        {"on": "as skip+rollback; of skip, clip", "skip+": "joined by", "none+skip": "joined by"},
        EXPLODING | {"train.guard": "none"},
    ),
    "train.guard_loss_z": Row(0.5, AT_LEAST_0, EXPLODING | {"train.guard_loss_run": 1}),
    "train.guard_loss_run": Row(1, {0: "greater than or equal to 1"}, EXPLODING),
    "train.guard_norm_factor": Row(1.5, AT_LEAST_0, EXPLODING),
    "train.guard_window": Row(
        3, {2: "greater than or equal to 3"}, EXPLODING | {"train.guard_loss_run": 1}
    ),
    "train.guard_snapshot_updates": Row(1, {0: "greater than or equal to 1"}, EXPLODING),
    "train.guard_rate_factor": Row(0.7, PART, EXPLODING),
    "train.guard_max_incidents": Row(8, COUNT, EXPLODING | {"train.guard_rate_factor": 0.9}),
    "train.batch_norm": Row("train", NAME),
    "train.layer_rate_decay": Row(0.5, {0.0: "greater than 0", 1.1: "less than or equal to 1"}),
    "train.unfreeze_every_epochs": Row(1, COUNT),
    "train.weight_decay": Row(0.1, AT_LEAST_0),
    "train.l1": Row(1e-3, AT_LEAST_0),
    "train.l2": Row(1e-2, AT_LEAST_0),
    "train.l1_sp": Row(1e-3, AT_LEAST_0),
    "train.l2_sp": Row(1e-2, AT_LEAST_0),
    "train.penalty_form": Row("proximal", NAME, {"train.l1": 1e-3, "train.l2_sp": 1e-2}),
    "train.penalize_norm_and_bias": Row(True, {1: "boolean"}, {"train.weight_decay": 0.1}),
    "train.head_penalty_factor": Row(3.0, AT_LEAST_0, {"train.l2": 1e-2}),
    "train.delta": Row(1.0, AT_LEAST_0),
    "train.bss": Row(1.0, AT_LEAST_0),
    "train.co_tuning": Row(1.0, AT_LEAST_0),
    "train.label_smoothing": Row(0.1, FRACTION),
    "train.augmentation": Row(0.5, DIAL),
    "train.augmentation_policy": Row("randaugment", NAME, {"train.augmentation": 0.5}),
    "train.random_erasing": Row(0.9, DIAL),
    "train.mixup": Row(0.5, AT_LEAST_0),
    "train.cutmix": Row(0.5, AT_LEAST_0),
    "train.class_weighting": Row(1.0, DIAL),
    "train.balanced_sampling": Row(1.0, DIAL),
    "train.logit_adjustment": Row(1.0, AT_LEAST_0),
    "train.sam_rho": Row(0.05, AT_LEAST_0),
    "train.sam_every": Row(2, {0: "greater than or equal to 1"}, {"train.sam_rho": 0.05}),
    "train.ema_decay": Row(0.9, FRACTION),
    "train.swa_fraction": Row(0.7, DIAL),
    "train.soup_size": Row(2, COUNT),
    "train.wise_ft": Row(True, {1: "boolean"}, {"train.head_epochs": 1}),
    "train.early_stopping_patience": Row(
        1, COUNT, {"train.epochs": 6, "train.learning_rate": 0.3, "train.schedule": "constant"}
    ),
    "train.early_stopping_min_change": Row(
        1.0,
        AT_LEAST_0,
        {"train.epochs": 8, "train.early_stopping_patience": 6},
    ),
    "train.selection_metric": Row(
        "val_accuracy",
        NAME,
        {"train.epochs": 8, "train.batch_norm": "train", "train.learning_rate": 0.1},
    ),
    "train.selection_margin": Row(
        50.0,
        AT_LEAST_0,
        {"train.epochs": 8, "train.batch_norm": "train", "train.learning_rate": 0.1},
    ),
    "train.seed_init": Row(7, COUNT),
    "train.seed_order": Row(7, COUNT),
    "train.seed_augmentation": Row(7, COUNT, {"model.dropout": 0.5}),
}
# The same setting in another form.
FORMS = {
    **CONTRACT,
    "train.augmentation_policy: trivialaugment": Row(
        "trivialaugment", base={"train.augmentation": 0.5}
    ),
    "train.mixup: with CutMix": Row(0.5, base={"train.cutmix": 0.5}),
    "train.swa_fraction: moving statistics": Row(0.7, base={"train.batch_norm": "train"}),
    "train.ema_decay: moving statistics": Row(0.9, base={"train.batch_norm": "train"}),
    "train.sam_rho: moving statistics": Row(0.05, base={"train.batch_norm": "train"}),
    "train.delta: last blocks": Row(1.0, base={"model.trainable_blocks": 2}),
    "train.mixup: last blocks": Row(0.5, base={"model.trainable_blocks": 2}),
    "train.co_tuning: two phases": Row(1.0, base={"train.head_epochs": 1}),
    "train.batch_norm: all": Row("freeze_all"),
    "train.batch_norm: precise": Row("recalibrate"),
    "train.guard: clip": Row("clip", base=EXPLODING),
    "train.guard: moving statistics": Row(
        "rollback", base=EXPLODING | {"train.batch_norm": "train", "train.ema_decay": 0.9}
    ),
    "train.learning_rate: left to the test": Row("auto", base={"train.range_test_steps": 20}),
    **{
        f"train.selection_metric: {name}": Row(name, base=CONTRACT["train.selection_metric"].base)
        for name in ("val_balanced_accuracy", "val_macro_f1")
    },
    "train.optimizer: lars": Row("lars", base={"train.weight_decay": 0.1}),
    "train.clip_agc: with both others": Row(
        0.001, base={"train.clip_norm": 0.01, "train.clip_value": 0.001}
    ),
    **{
        f"train.schedule: {name}": Row(name)
        for name in ("polynomial", "multi_step", "one_cycle", "warmup_stable_decay", "plateau")
    },
    **{
        f"train.optimizer: {name}": Row(name)
        for name in OPTIMIZERS
        if name not in ("sgd", "adamw", "lars")
    },
}
TOGETHER = {
    name: row.on for name, row in CONTRACT.items()
    if name not in ("model.trainable_blocks", "train.epochs", "train.early_stopping_min_change")
} | {
    "train.epochs": 2,
    "train.early_stopping_patience": 9,
    "train.guard": "skip+clip+rollback",
    "train.guard_loss_z": 8.0,
    "train.guard_loss_run": 5,
    "train.guard_norm_factor": 20.0,
    "train.warmup": 0.5,
}  # fmt: skip
# Settings that say how another one works: they change nothing where that one is off.
DEPENDENT = {
    "train.penalty_form": "proximal",
    "train.head_penalty_factor": 3.0,
    "train.head_strength": 0.01,
    "train.penalize_norm_and_bias": True,
    "train.augmentation_policy": "trivialaugment",
    "train.sam_every": 5,
    "train.early_stopping_min_change": 1.0,
    "train.rate_scaling_batch_size": 7,
    "train.schedule_factor": 0.3,
    "train.schedule_every": "99 epochs",
    "train.schedule_milestones": ["99 epochs"],
    "train.schedule_power": 5.0,
    "train.schedule_rise": "99 epochs",
    "train.schedule_decay": "99 epochs",
    "train.schedule_patience": 0,
    "train.range_test_steps": 11,
    "train.range_test_least": 1e-3,
    "train.range_test_most": 3.0,
    "train.range_test_suggestion": "steepest",
    "train.guard_loss_z": 0.1,
    "train.guard_loss_run": 1,
    "train.guard_norm_factor": 0.1,
    "train.guard_window": 3,
    "train.guard_snapshot_updates": 1,
    "train.guard_rate_factor": 0.9,
    "train.guard_max_incidents": 0,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything off, from weights that have a classifier."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "source.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), path)
    return {
        "model.weights": str(path),
        "train.epochs": 3,
        "train.weight_decay": 0.0,
        "train.augmentation": 0.0,
        "train.label_smoothing": 0.0,
    }


def run(store: Store, changes: dict[str, Any], checkpoints: Checkpoints | None = None) -> FitResult:
    params = small(**changes)
    return train(
        store,
        params.model,
        params.train,
        seed=0,
        device=torch.device("cpu"),
        cache=FeatureCache(1 << 28),
        on_epoch=lambda record: None,
        checkpoints=checkpoints,
    ).result


def setting_of(form: str) -> str:
    return form.partition(":")[0]


def test_every_setting_has_a_row() -> None:
    fields = {f"model.{name}" for name in ModelParams.model_fields}
    fields |= {f"train.{name}" for name in TrainParams.model_fields}
    assert fields == CONTRACT.keys() | {"model.backbone", "model.weights"}
    on = small(**TOGETHER)
    for name, row in CONTRACT.items():
        section, leaf = name.split(".")
        assert name not in TOGETHER or getattr(getattr(on, section), leaf) == TOGETHER[name], row


def test_off_no_method_is_as_much_as_called(
    store: Store, base: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absent altogether: with every function of the methods taken away, the bits are the same."""
    with_methods = run(store, base)
    assert same(with_methods, run(store, {**base, **DEPENDENT}))

    def absent(*_: object, **__: object) -> None:
        raise AssertionError("a method that is off was called")

    for module in pkgutil.iter_modules(sftcore.regularization.__path__):
        name = f"sftcore.regularization.{module.name}"
        for function, _ in inspect.getmembers(importlib.import_module(name), inspect.isfunction):
            for user in ("epoch", "finish", "knowledge", "objective", "state", "step", "views"):
                namespace = importlib.import_module(f"sftcore.training.{user}")
                if hasattr(namespace, function):
                    monkeypatch.setattr(namespace, function, absent)
    for function in ("augment", "augment_by_policy", "draw_erasing", "erase"):
        monkeypatch.setattr(f"sftcore.training.views.{function}", absent)
    assert same(with_methods, run(store, base))


def with_classes_of_unequal_size(store: Store) -> Store:
    """The same without three of the training pictures of the last class."""
    samples = store.samples
    own = samples[(samples["split"] == "train") & (samples["label"] == store.classes[-1])]
    return replace(store, samples=samples.drop(own.index[:3]).reset_index(drop=True))


@pytest.mark.parametrize("form", FORMS)
def test_on_changes_something_and_the_same_each_time(
    form: str, store: Store, base: dict[str, Any]
) -> None:
    row = FORMS[form]
    off, on = {**base, **row.base}, {**base, **row.base, setting_of(form): row.on}
    if form == "train.class_weighting":  # which is nothing where all are of one size
        store = with_classes_of_unequal_size(store)
    first = run(store, on)
    torch.rand(7)  # what others draw must not matter
    assert same(first, run(store, on))
    assert same(first, run(store, off)) is row.is_traceless
    assert all(np.isfinite(r.val_loss) for r in first.history)


@pytest.mark.parametrize("form", FORMS)
def test_ended_and_continued_the_bits_are_the_same(
    form: str,
    store: Store,
    base: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = FORMS[form]
    on = {**base, **row.base, setting_of(form): row.on}
    whole = run(store, on)
    original, updates, ends = epoch.train_step, count(), (1, 5, 7)

    def train_step(*args: Any, **kwargs: Any) -> Any:
        if next(updates) in ends:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*args, **kwargs)

    monkeypatch.setattr(epoch, "train_step", train_step)
    checkpoints = Checkpoints(tmp_path / "key", every_seconds=1e9)
    num_ended = 0
    for _ in ends:
        try:
            with leave_on_signals():
                run(store, on, checkpoints)
        except SystemExit:
            num_ended += 1
    assert num_ended >= 2
    assert same(run(store, on, checkpoints), whole)


@pytest.mark.parametrize("name", CONTRACT)
def test_bad_values_are_refused_with_the_range(name: str) -> None:
    assert CONTRACT[name].bad
    for value, message in CONTRACT[name].bad.items():
        with pytest.raises(ParamsError) as raised:
            small(**{name: value})
        assert name in str(raised.value)
        assert message in str(raised.value)


def test_all_together_stay_finite_and_continue(
    store: Store, base: dict[str, Any], tmp_path: Path
) -> None:
    result = run(store, {**base, **TOGETHER})
    assert not result.diverged
    assert all(torch.isfinite(tensor).all() for tensor in result.chosen_state.values())
    assert {c.name for c in result.candidates} == {"last epoch", "swa", "soup", "wise_ft"}
    assert same(result, run(store, {**base, **TOGETHER}, Checkpoints(tmp_path / "key", 0)))
    assert same(result, run(store, {**base, **TOGETHER}, Checkpoints(tmp_path / "key", 0)))


def test_what_cannot_be_is_refused_before_training(store: Store, base: dict[str, Any]) -> None:
    with pytest.raises(ParamsError, match=r"wise_ft .* needs train.head solve"):
        small(**{"train.wise_ft": True})
    with pytest.raises(WeightsError, match="Co-Tuning needs the classifier"):
        run(store, {**base, "model.weights": "none", "train.co_tuning": 1.0})
    with pytest.raises(WeightsError, match="no residual branch"):
        run(store, {"model.backbone": "torchvision/vgg11", "model.stochastic_depth": 0.1})
