"""Precision of the updates: what it changes, what stays fp32, and how auto chooses."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from sftcore.data.store import Store, open_store
from sftcore.foundations.artifacts import read_json
from sftcore.foundations.errors import DivergedError
from sftcore.foundations.runtime import set_up
from sftcore.pipeline import precision as stage
from sftcore.settings.tree import check_params
from sftcore.stability.precision import LossScale, changes_numbers, computed_in, products_rounded
from sftcore.training import epoch_record, trial
from sftcore.training.inputs import FeatureCache
from sftcore.training.keys import training_key
from sftcore.training.loop import time_precisions
from sftcore.training.objective import Objective
from sftcore.training.recipe import prepare_training, train
from sftcore.training.records import FitResult
from tests.ablation.test_run import LOCK
from tests.training.test_loop import same, small

CPU = torch.device("cpu")
TASK = "classification"


def run(store: Store, precision: str, **changes: Any) -> FitResult:
    params = small(**changes)
    return train(
        store, params.model, params.train, task=TASK, seed=0, device=set_up("cpu", 1),
        cache=FeatureCache(1 << 28), on_epoch=lambda record: None, precision=precision,
    ).result  # fmt: skip


def test_on_a_cpu_tf32_is_fp32(store: Store) -> None:
    assert changes_numbers("tf32", CPU) == "fp32"
    assert changes_numbers("tf32", torch.device("cuda")) == "tf32"
    assert changes_numbers("bf16", CPU) == "bf16"
    assert same(run(store, "tf32"), run(store, "fp32"))


def test_tf32_is_allowed_for_a_while_and_put_back() -> None:
    backends: tuple[Any, ...] = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    cuda = torch.device("cuda")
    with products_rounded("tf32", cuda):
        assert all(backend.allow_tf32 for backend in backends)
    for precision, device in (("fp32", cuda), ("bf16", cuda), ("tf32", CPU)):
        with products_rounded(precision, device):
            assert [backend.allow_tf32 for backend in backends] == before
    assert [backend.allow_tf32 for backend in backends] == before


def test_tf32_holds_in_both_passes_and_nowhere_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[bool]] = {"forward": set(), "backward": set(), "measured": set()}
    backend: Any = torch.backends.cuda.matmul
    original, measure = Objective.loss, epoch_record.evaluate_rows

    def loss(*args: Any, **named: Any) -> torch.Tensor:
        seen["forward"].add(backend.allow_tf32)
        value = original(*args, **named)
        value.register_hook(lambda gradient: seen["backward"].add(backend.allow_tf32))
        return value

    def evaluate_rows(*args: Any) -> Any:
        seen["measured"].add(backend.allow_tf32)
        return measure(*args)

    monkeypatch.setattr(Objective, "loss", loss)
    monkeypatch.setattr(epoch_record, "evaluate_rows", evaluate_rows)
    # A CPU ignores the flag, so that it can stand for CUDA here.
    monkeypatch.setattr("sftcore.stability.precision.changes_numbers", lambda name, _: name)
    run(store, "tf32")
    assert seen == {"forward": {True}, "backward": {True}, "measured": {False}}


def test_autocast_is_of_the_update_alone() -> None:
    layer, features = torch.nn.Linear(4, 3), torch.rand(2, 4)
    with computed_in("bf16", CPU):
        assert layer(features).dtype == torch.bfloat16
    with computed_in("fp16", CPU):
        assert layer(features).dtype == torch.float16
    with computed_in("fp32", CPU):
        assert layer(features).dtype == torch.float32
    assert layer(features).dtype == torch.float32


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "train__sharpness__rho": 0.05,
            "train__features__bss": 0.1,
            "train__features__delta": 1.0,
            "train__penalties__l2": 0.01,
        },
        {"train__micro_batch_size": 3, "train__clipping__norm": 1.0, "train__label_smoothing": 0.1},
    ],
)
def test_short_types_train_near_the_full_one(
    precision: str, changes: dict[str, Any], store: Store
) -> None:
    short, full = run(store, precision, **changes), run(store, "fp32", **changes)
    assert not same(short, full)
    assert same(short, run(store, precision, **changes))
    assert not short.diverged
    assert short.updates.loss[:2] == pytest.approx(full.updates.loss[:2], rel=0.05)
    assert short.updates.gradient_norm[:2] == pytest.approx(full.updates.gradient_norm[:2], rel=0.2)
    assert all(t.dtype != torch.bfloat16 for t in short.chosen_state.values())


def test_the_loss_scale_is_a_function_of_what_happened() -> None:
    scale = LossScale()
    assert scale.overflow()
    assert scale.value == 2.0**15
    for _ in range(2000):
        scale.succeed()
    assert (scale.value, scale.num_good) == (2.0**16, 0)
    low = LossScale(value=1.0)
    assert not low.overflow()


def test_an_overflow_halves_the_scale_and_is_no_incident(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Objective.loss

    def loss(self: Objective, *args: Any, **named: Any) -> Any:
        value = original(self, *args, **named)

        def overflow(gradient: torch.Tensor) -> torch.Tensor:
            return gradient * math.inf if gradient.abs() > 2.0**14 else gradient

        value.register_hook(overflow)
        return value

    monkeypatch.setattr(Objective, "loss", loss)
    result = run(store, "fp16", train__epochs=3, train__guard__answers="skip")
    assert not result.incidents
    whole = run(store, "fp32", train__epochs=3)
    assert len(result.updates) == len(whole.updates) - 2  # scales 2^16 and 2^15 were too large


def test_a_short_type_that_never_is_finite_diverges(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Objective.loss
    monkeypatch.setattr(
        Objective, "loss", lambda *args, **named: original(*args, **named) * math.nan
    )
    assert "the loss is nan" in run(store, "fp16").diverged


def prepared_params(prepared: Path) -> Any:
    tree = small(train__epochs=1).model_dump()
    tree["runtime"]["precision"] = "auto"
    return check_params(tree, "test")


def test_auto_takes_the_fastest_that_stays_finite_and_keeps_to_it(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage, "scratch_folder", lambda: tmp_path / "scratch")
    monkeypatch.setattr(stage, "ENVIRONMENT", LOCK)
    store, params = open_store(prepared, ("train", "val")), prepared_params(prepared)
    times = {"fp32": 2.0, "bf16": math.inf, "fp16": 1.0}
    monkeypatch.setattr(stage, "time_precisions", lambda *_: times)
    assert stage.resolve_precision(params, store, CPU, 1) == "fp16"
    kept = list((tmp_path / "scratch" / "precision").iterdir())
    assert [read_json(file) for file in kept] == [{"precision": "fp16"}]
    times["fp32"] = 0.1
    assert stage.resolve_precision(params, store, CPU, 1) == "fp16"  # an ended run goes on so
    assert stage.resolve_precision(params, store, CPU, 2) == "fp32"


def test_precisions_are_timed_without_a_trace(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = small(train__epochs=1)
    start, plan = prepare_training(store, params.model, params.train, task=TASK, seed=0, device=CPU)
    before = {name: tensor.clone() for name, tensor in start.network.state_dict().items()}
    original = trial.train_step

    def train_step(*args: Any, **kwargs: Any) -> Any:
        if kwargs["precision"] == "fp16":
            raise DivergedError("not finite", 0)
        return original(*args, **kwargs)

    monkeypatch.setattr(trial, "train_step", train_step)
    seconds = time_precisions(start.network, plan, ["fp32", "bf16", "fp16"], FeatureCache(0))
    assert 0 < seconds["fp32"] < 60
    assert 0 < seconds["bf16"] < 60
    assert seconds["fp16"] == math.inf
    after = start.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_precision_is_part_of_the_key() -> None:
    params = small()
    keys = {
        training_key(
            params.model, params.train, task=TASK, seed=0,
            data="", device=CPU, num_threads=1, mode="native",
            environment=LOCK, precision=name,
        )
        for name in ("fp32", "bf16", "fp16")
    }  # fmt: skip
    assert len(keys) == 3
