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
from sftcore.data.store import Store, open_store
from sftcore.foundations.errors import ParamsError, WeightsError
from sftcore.foundations.interruption import leave_on_signals
from sftcore.foundations.yaml_files import flatten
from sftcore.models.settings import ModelSettings
from sftcore.optimization.optimizers import OPTIMIZERS
from sftcore.tasks.registry import TASKS
from sftcore.training import epoch
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FeatureCache
from sftcore.training.recipe import train
from sftcore.training.records import FitResult
from sftcore.training.settings import TrainSettings
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
    "train.schedule.name": "constant",
    "train.batch_size": 2,
    "train.guard.answers": "skip+rollback",
}
LINEAR = {"model.backbone": "timm/test_vit", "model.weights": "none"}  # has linear maps
AUTO = {"train.learning_rate": "auto", "train.range_test.steps": 20}
WIDTH = {0: "greater than or equal to 8", 12: "multiple of 8", 4104: "less than or equal to 4096"}
MANY_BOXES = {"model.detection.prior": 0.4, "model.detection.decoding.score_threshold": 0.0}

CONTRACT = {
    "model.trainable_blocks": Row(1, {-1: "greater than or equal to 0"}),
    "model.dropout": Row(0.5, FRACTION),
    "model.lora.rank": Row(3, COUNT, LINEAR),
    "model.lora.alpha": Row(4.0, ABOVE_0, LINEAR | {"model.lora.rank": 3}),
    "model.lora.rate_of_b": Row(4.0, ABOVE_0, LINEAR | {"model.lora.rank": 3}),
    "model.segmentation.kind": Row("unet", NAME),
    "model.segmentation.width": Row(16, WIDTH),
    "model.segmentation.finest_stride": Row(16, {2: "should be", 12: "should be"}),
    "model.detection.width": Row(16, WIDTH),
    "model.detection.num_convs": Row(1, COUNT | {17: "less than or equal to 16"}),
    "model.detection.finest_stride": Row(4, {16: "should be"}),
    "model.detection.coarsest_stride": Row(128, {64: "should be"}),
    "model.detection.prior": Row(0.1, PART),
    "model.detection.decoding.score_threshold": Row(0.41, DIAL, MANY_BOXES),
    "model.detection.decoding.num_candidates": Row(
        5, {0: "greater than or equal to 1"}, MANY_BOXES
    ),
    "model.detection.decoding.nms_iou": Row(0.1, DIAL, MANY_BOXES),
    "model.detection.decoding.max_detections": Row(
        3, {0: "greater than or equal to 1"}, MANY_BOXES
    ),
    "model.text.pooling": Row("max", NAME),
    "model.text.hidden_dropout": Row(0.3, FRACTION),
    "model.text.max_tokens": Row(4, {2: "greater than or equal to 3"}),
    "model.text.too_long": Row("refuse", NAME),
    "model.text.template": Row("plain", {"other": "match pattern"}),
    "model.text.reinitialized_layers": Row(1, COUNT),
    "model.stochastic_depth": Row(
        0.5, FRACTION, {"model.backbone": "timm/test_resnet", "model.weights": "none"}
    ),
    "train.epochs": Row(4, COUNT),
    "train.head.method": Row("solve", NAME),
    "train.head.strength": Row(
        0.01,
        {0.0: "greater than 0", 1.5: "less than or equal to 1"},
        {"train.head.method": "solve"},
    ),
    "train.head.epochs": Row(1, COUNT),
    "train.batch_size": Row(16, {1: "greater than or equal to 2"}),
    "train.micro_batch_size": Row(3, {1: "greater than or equal to 2"}),
    "train.recompute_activations": Row(True, {1: "boolean"}, LINEAR, is_traceless=True),
    "train.optimizer": Row("adamw", NAME),
    "train.learning_rate": Row(0.02, {0.0: "greater than 0", "best": "should be 'auto'"}),
    "train.head.learning_rate": Row(0.02, ABOVE_0, {"train.head.epochs": 1}),
    "train.rate_scaling.rule": Row("linear", NAME),
    "train.rate_scaling.batch_size": Row(
        16, {0: "greater than or equal to 1"}, {"train.rate_scaling.rule": "sqrt"}
    ),
    "train.momentum": Row(0.5, FRACTION),
    "train.schedule.name": Row("linear", NAME),
    "train.schedule.warmup": Row("4 steps", LENGTH),
    "train.schedule.factor": Row(0.5, PART, {"train.schedule.name": "multi_step"}),
    "train.schedule.every": Row("2 steps", LENGTH, {"train.schedule.name": "step"}),
    "train.schedule.milestones": Row(
        ["1 epoch", 0.9], {"half": "valid list"}, {"train.schedule.name": "multi_step"}
    ),
    "train.schedule.end": Row(0.5, DIAL),
    "train.schedule.power": Row(1.0, ABOVE_0, {"train.schedule.name": "polynomial"}),
    "train.schedule.cycles": Row(2, {0: "greater than or equal to 1"}),
    "train.schedule.rise": Row("1 epoch", LENGTH, {"train.schedule.name": "one_cycle"}),
    "train.schedule.decay": Row(0.9, LENGTH, {"train.schedule.name": "warmup_stable_decay"}),
    "train.schedule.patience": Row(
        0, COUNT, {"train.schedule.name": "plateau", "train.epochs": 5, "train.learning_rate": 0.3}
    ),
    "train.range_test.enabled": Row(
        True, {1: "boolean"}, {"train.range_test.steps": 20}, is_traceless=True
    ),
    "train.range_test.steps": Row(15, {9: "greater than or equal to 10"}, AUTO),
    "train.range_test.least": Row(1e-4, ABOVE_0, AUTO),
    "train.range_test.most": Row(0.1, ABOVE_0, AUTO),
    "train.range_test.suggestion": Row("steepest", NAME, AUTO),
    "train.clipping.norm": Row(0.01, AT_LEAST_0),
    "train.clipping.value": Row(0.001, AT_LEAST_0),
    "train.clipping.agc": Row(0.001, AT_LEAST_0),
    "train.guard.answers": Row(
        "rollback",
        {"on": "as skip+rollback; of skip, clip", "skip+": "joined by", "none+skip": "joined by"},
        EXPLODING | {"train.guard.answers": "none"},
    ),
    "train.guard.loss_z": Row(0.5, AT_LEAST_0, EXPLODING | {"train.guard.loss_run": 1}),
    "train.guard.loss_run": Row(1, {0: "greater than or equal to 1"}, EXPLODING),
    "train.guard.norm_factor": Row(1.5, AT_LEAST_0, EXPLODING),
    "train.guard.window": Row(
        3, {2: "greater than or equal to 3"}, EXPLODING | {"train.guard.loss_run": 1}
    ),
    "train.guard.snapshot_updates": Row(1, {0: "greater than or equal to 1"}, EXPLODING),
    "train.guard.rate_factor": Row(0.7, PART, EXPLODING),
    "train.guard.max_incidents": Row(8, COUNT, EXPLODING | {"train.guard.rate_factor": 0.9}),
    "train.batch_norm": Row("train", NAME),
    "train.layer_rate_decay": Row(0.5, {0.0: "greater than 0", 1.1: "less than or equal to 1"}),
    "train.unfreeze_every_epochs": Row(1, COUNT),
    "train.weight_decay": Row(0.1, AT_LEAST_0),
    "train.penalties.l1": Row(1e-3, AT_LEAST_0),
    "train.penalties.l2": Row(1e-2, AT_LEAST_0),
    "train.penalties.l1_sp": Row(1e-3, AT_LEAST_0),
    "train.penalties.l2_sp": Row(1e-2, AT_LEAST_0),
    "train.penalties.form": Row(
        "proximal", NAME, {"train.penalties.l1": 1e-3, "train.penalties.l2_sp": 1e-2}
    ),
    "train.penalties.norm_and_bias": Row(True, {1: "boolean"}, {"train.weight_decay": 0.1}),
    "train.penalties.head_factor": Row(3.0, AT_LEAST_0, {"train.penalties.l2": 1e-2}),
    "train.features.delta": Row(1.0, AT_LEAST_0),
    "train.features.bss": Row(1.0, AT_LEAST_0),
    "train.features.co_tuning": Row(1.0, AT_LEAST_0),
    "train.label_smoothing": Row(0.1, FRACTION),
    "train.prompt_weight": Row(0.5, DIAL),
    "train.mixout": Row(0.5, FRACTION),
    "train.embeddings.noise": Row(5.0, AT_LEAST_0),
    "train.embeddings.r3f": Row(1e3, AT_LEAST_0),
    "train.augmentation.strength": Row(0.5, DIAL),
    "train.augmentation.policy": Row("randaugment", NAME, {"train.augmentation.strength": 0.5}),
    "train.augmentation.erasing": Row(0.9, DIAL),
    "train.augmentation.mixup": Row(0.5, AT_LEAST_0),
    "train.augmentation.cutmix": Row(0.5, AT_LEAST_0),
    "train.augmentation.copy_paste": Row(1.0, DIAL),
    "train.augmentation.token_dropout": Row(0.3, FRACTION),
    "train.imbalance.class_weighting": Row(1.0, DIAL),
    "train.imbalance.balanced_sampling": Row(1.0, DIAL),
    "train.imbalance.logit_adjustment": Row(1.0, AT_LEAST_0),
    "train.error.kind": Row("huber", NAME),
    "train.error.delta": Row(0.3, ABOVE_0, {"train.error.kind": "huber"}),
    "train.pixel_loss.dice": Row(1.0, AT_LEAST_0),
    "train.box_loss.focal_alpha": Row(0.5, DIAL),
    "train.box_loss.focal_gamma": Row(0.0, AT_LEAST_0),
    "train.box_loss.center_radius": Row(0.5, AT_LEAST_0),
    "train.sharpness.rho": Row(0.05, AT_LEAST_0),
    "train.sharpness.every": Row(
        2, {0: "greater than or equal to 1"}, {"train.sharpness.rho": 0.05}
    ),
    "train.averaging.ema_decay": Row(0.9, FRACTION),
    "train.averaging.swa_fraction": Row(0.7, DIAL),
    "train.averaging.soup_size": Row(2, COUNT),
    "train.averaging.wise_ft": Row(True, {1: "boolean"}, {"train.head.epochs": 1}),
    "train.stopping.patience": Row(
        1, COUNT, {"train.epochs": 6, "train.learning_rate": 0.3, "train.schedule.name": "constant"}
    ),
    "train.stopping.min_change": Row(
        1.0,
        AT_LEAST_0,
        {"train.epochs": 8, "train.stopping.patience": 6},
    ),
    "train.selection.metric": Row(
        "val_accuracy",
        {"other": "should match pattern"},
        {"train.epochs": 8, "train.batch_norm": "train", "train.learning_rate": 0.03},
    ),
    "train.selection.margin": Row(
        50.0,
        AT_LEAST_0,
        {"train.epochs": 8, "train.batch_norm": "train", "train.learning_rate": 0.03},
    ),
    "train.canaries": Row(2, COUNT),
    "train.seeds.init": Row(7, COUNT),
    "train.seeds.order": Row(7, COUNT),
    "train.seeds.augmentation": Row(7, COUNT, {"model.dropout": 0.5}),
}
# The same setting in another form.
FORMS = {
    **CONTRACT,
    "train.augmentation.policy: trivialaugment": Row(
        "trivialaugment", base={"train.augmentation.strength": 0.5}
    ),
    "train.augmentation.mixup: with CutMix": Row(0.5, base={"train.augmentation.cutmix": 0.5}),
    "train.averaging.swa_fraction: moving statistics": Row(0.7, base={"train.batch_norm": "train"}),
    "train.averaging.ema_decay: moving statistics": Row(0.9, base={"train.batch_norm": "train"}),
    "train.sharpness.rho: moving statistics": Row(0.05, base={"train.batch_norm": "train"}),
    "train.features.delta: last blocks": Row(1.0, base={"model.trainable_blocks": 2}),
    "train.augmentation.mixup: last blocks": Row(0.5, base={"model.trainable_blocks": 2}),
    "train.features.co_tuning: two phases": Row(1.0, base={"train.head.epochs": 1}),
    "train.batch_norm: all": Row("freeze_all"),
    "train.batch_norm: precise": Row("recalibrate"),
    "train.guard.answers: clip": Row("clip", base=EXPLODING),
    "train.guard.answers: moving statistics": Row(
        "rollback", base=EXPLODING | {"train.batch_norm": "train", "train.averaging.ema_decay": 0.9}
    ),
    "train.learning_rate: left to the test": Row("auto", base={"train.range_test.steps": 20}),
    **{
        f"train.selection.metric: {name}": Row(name, base=CONTRACT["train.selection.metric"].base)
        for name in ("val_balanced_accuracy", "val_macro_f1")
    },
    "train.optimizer: lars": Row("lars", base={"train.weight_decay": 0.1}),
    "train.clipping.agc: with both others": Row(
        0.001, base={"train.clipping.norm": 0.01, "train.clipping.value": 0.001}
    ),
    **{
        f"train.schedule.name: {name}": Row(name)
        for name in ("polynomial", "multi_step", "one_cycle", "warmup_stable_decay", "plateau")
    },
    **{
        f"train.optimizer: {name}": Row(name)
        for name in OPTIMIZERS
        if name not in ("sgd", "adamw", "lars")
    },
}
# By classification; tests/training/test_every_task.py has them on.
REFUSED = [
    name for name in CONTRACT
    if any(f"{name}.".startswith(f"{each}.") for each in TASKS["classification"].refuses)
]  # fmt: skip
TOGETHER = {
    name: row.on for name, row in CONTRACT.items()
    if name not in ("model.trainable_blocks", "train.epochs", "train.stopping.min_change", *REFUSED)
    and not name.startswith(("model.lora.", "train.recompute_"))  # which need other networks
} | {
    "train.epochs": 2,
    "train.stopping.patience": 9,
    "train.guard.answers": "skip+clip+rollback",
    "train.guard.loss_z": 8.0,
    "train.guard.loss_run": 5,
    "train.guard.norm_factor": 20.0,
    "train.schedule.warmup": 0.5,
}  # fmt: skip
# Settings that say how another one works: they change nothing where that one is off.
DEPENDENT = {
    "model.lora.alpha": 3.0,
    "model.lora.rate_of_b": 2.0,
    "train.penalties.form": "proximal",
    "train.penalties.head_factor": 3.0,
    "train.head.strength": 0.01,
    "train.penalties.norm_and_bias": True,
    "train.augmentation.policy": "trivialaugment",
    "train.sharpness.every": 5,
    "train.stopping.min_change": 1.0,
    "train.rate_scaling.batch_size": 7,
    "train.schedule.factor": 0.3,
    "train.schedule.every": "99 epochs",
    "train.schedule.milestones": ["99 epochs"],
    "train.schedule.power": 5.0,
    "train.schedule.rise": "99 epochs",
    "train.schedule.decay": "99 epochs",
    "train.schedule.patience": 0,
    "train.range_test.steps": 11,
    "train.range_test.least": 1e-3,
    "train.range_test.most": 3.0,
    "train.range_test.suggestion": "steepest",
    "train.guard.loss_z": 0.1,
    "train.guard.loss_run": 1,
    "train.guard.norm_factor": 0.1,
    "train.guard.window": 3,
    "train.guard.snapshot_updates": 1,
    "train.guard.rate_factor": 0.9,
    "train.guard.max_incidents": 0,
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
        "train.augmentation.strength": 0.0,
        "train.label_smoothing": 0.0,
    }


def run(store: Store, changes: dict[str, Any], checkpoints: Checkpoints | None = None) -> FitResult:
    params = small(**changes)
    return train(
        store,
        params.model,
        params.train,
        task=params.task,
        seed=0,
        device=torch.device("cpu"),
        cache=FeatureCache(1 << 28),
        on_epoch=lambda record: None,
        checkpoints=checkpoints,
    ).result


def setting_of(form: str) -> str:
    return form.partition(":")[0]


def test_every_setting_has_a_row() -> None:
    fields = flatten({"model": ModelSettings().model_dump(), "train": TrainSettings().model_dump()})
    assert fields.keys() == CONTRACT.keys() | {"model.backbone", "model.weights"}
    on = flatten(small(**TOGETHER).model_dump())
    assert {name: on[name] for name in TOGETHER} == TOGETHER


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
            for user in ("epoch", "finish", "knowledge", "objective", "recipe", "state", "step",
                         "texts", "views"):  # fmt: skip
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


@pytest.fixture(scope="module", params=[form for form in FORMS if form not in REFUSED])
def form(request: pytest.FixtureRequest) -> str:
    """A setting in one of its forms; the tests of one follow each other and share a training."""
    return str(request.param)


@pytest.fixture(scope="module")
def own_store(form: str, prepared: Path) -> Store:
    store = open_store(prepared, ("train", "val"))
    if form == "train.imbalance.class_weighting":  # which is nothing where all are of one size
        store = with_classes_of_unequal_size(store)
    return store


@pytest.fixture(scope="module")
def on(form: str, base: dict[str, Any]) -> dict[str, Any]:
    return {**base, **FORMS[form].base, setting_of(form): FORMS[form].on}


@pytest.fixture(scope="module")
def whole(own_store: Store, on: dict[str, Any]) -> FitResult:
    """A training with the setting on, from its start to its end."""
    return run(own_store, on)


@pytest.fixture(scope="module")
def without() -> dict[str, FitResult]:
    """Trainings with settings off, of which many are one and the same."""
    return {}


def test_on_changes_something(
    form: str,
    own_store: Store,
    base: dict[str, Any],
    on: dict[str, Any],
    whole: FitResult,
    without: dict[str, FitResult],
) -> None:
    row = FORMS[form]
    off = repr((sorted(own_store.samples["id"]), {**base, **row.base}))
    if off not in without:
        without[off] = run(own_store, {**base, **row.base})
    assert same(whole, without[off]) is row.is_traceless
    assert all(np.isfinite(r.val_loss) for r in whole.history)


def test_ended_and_continued_the_bits_are_the_same(
    own_store: Store,
    on: dict[str, Any],
    whole: FitResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor does it matter what others draw."""
    original, updates, ends = epoch.train_step, count(), (1, 5, 7)
    torch.rand(7)

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
                run(own_store, on, checkpoints)
        except SystemExit:
            num_ended += 1
    assert num_ended >= 2
    assert same(run(own_store, on, checkpoints), whole)


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
    with pytest.raises(ParamsError, match=r"wise_ft .* needs train.head.method solve"):
        small(**{"train.averaging.wise_ft": True})
    with pytest.raises(WeightsError, match="Co-Tuning needs the classifier"):
        run(store, {**base, "model.weights": "none", "train.features.co_tuning": 1.0})
    with pytest.raises(WeightsError, match="no residual branch"):
        run(store, {"model.backbone": "torchvision/vgg11", "model.stochastic_depth": 0.1})
