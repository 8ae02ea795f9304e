"""The range test: its curve, its suggestions, and that it leaves no trace."""

import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch

from sftcore.data.store import Store
from sftcore.evaluation.stability_figures import range_test_figure
from sftcore.foundations.errors import ParamsError
from sftcore.optimization.range_test import (
    has_blown_up,
    smooth,
    steepest_index,
    suggest,
    sweep_rates,
    valley_index,
)
from sftcore.training import loop
from sftcore.training.objective import Objective
from sftcore.training.tables import range_test_tables
from sftcore.training.trial import without_a_trace
from tests.models.test_network import network
from tests.training.test_loop import run, same


def test_rates_rise_by_equal_factors() -> None:
    assert sweep_rates(1e-4, 1.0, 5) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])


def test_smoothing_is_its_formula() -> None:
    losses = [3.0, 1.0, 2.0]
    expected = [3.0, (0.9 * 3 + 1) / 1.9, (0.81 * 3 + 0.9 * 1 + 2) / 2.71]
    assert smooth(losses) == pytest.approx(expected)


def test_it_ends_when_the_loss_blows_up() -> None:
    assert not has_blown_up([1.0, 0.9, 1.5])
    assert has_blown_up([1.0, math.nan])
    assert has_blown_up([1.0] * 5 + [100.0])


def curve() -> list[float]:
    """Flat, then falling to 40 with its steepest part about 32, then up."""
    steps = np.arange(60)
    fall = 2 / (1 + np.exp((steps - 32) / 2.5))
    return list(1 + fall + np.where(steps > 42, (steps - 42) ** 2 * 0.05, 0.0))


def test_suggestions_lie_on_the_way_down() -> None:
    losses = curve()
    assert abs((steepest_index(losses) or 0) - 32) <= 1
    least = int(np.argmin(losses))
    assert (valley_index(losses) or 0) == least * 2 // 3
    assert valley_index([5.0, 4.0, 3.0, 2.0, 9.0, 9.0]) == 2
    assert valley_index([5.0, 4.0, 3.0]) is steepest_index([5.0, 4.0, 3.0]) is None
    rates = sweep_rates(1e-5, 1.0, 60)
    test = suggest("full", rates, losses)
    assert test.steepest < rates[least]
    assert test.valley < rates[least]
    assert len(test.rates) == len(test.losses) == len(test.smoothed) == 60


def test_a_sweep_whose_first_loss_is_no_number_is_empty_and_training_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Objective.loss, iter(range(10**6))

    def loss(*args: Any, **named: Any) -> torch.Tensor:
        return original(*args, **named) * (math.nan if next(calls) == 0 else 1.0)

    monkeypatch.setattr(Objective, "loss", loss)
    result = run(store, train__range_test__enabled=True, train__head__epochs=1)
    assert not result.range_tests[0].losses
    tests, suggestions = range_test_tables(result)
    assert suggestions["phase"].tolist() == ["head", "full"]
    assert np.isnan(suggestions["valley"][0])
    assert set(tests["phase"]) == {"full"}
    assert range_test_figure(tests, suggestions).startswith(b"\x89PNG")
    nothing = tests.iloc[:0], suggestions.iloc[:1]
    assert range_test_figure(*nothing).startswith(b"\x89PNG")


def test_a_curve_that_never_falls_suggests_nothing() -> None:
    test = suggest("full", [1e-3, 1e-2, 1e-1], [1.0, 2.0, 3.0])
    assert math.isnan(test.steepest)
    assert math.isnan(test.valley)


def test_a_trial_is_undone_to_the_last_bit() -> None:
    net = network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.head.eval()
    next(net.parameters()).requires_grad_(False)
    modes = [m.training for m in net.modules()]
    wanted = [p.requires_grad for p in net.parameters()]
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with suppress(KeyError), without_a_trace(net):
        for parameter in net.parameters():
            parameter.requires_grad_(True)
        net.train()
        net(torch.rand(4, 3, 32, 32)).sum().backward()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(1.0)
        raise KeyError("whatever happens inside")
    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert [m.training for m in net.modules()] == modes
    assert [p.requires_grad for p in net.parameters()] == wanted
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize(
    "changes",
    [
        {"train__head__epochs": 1},
        {"train__batch_norm": "train", "model__dropout": 0.5, "train__averaging__ema_decay": 0.9},
        {
            "train__augmentation__strength": 0.5,
            "train__augmentation__mixup": 0.5,
            "model__trainable_blocks": 2,
        },
        {
            "train__optimizer": "adamw",
            "train__sharpness__rho": 0.05,
            "train__guard__answers": "skip+rollback",
        },
    ],
)
def test_training_after_it_is_training_without_it(store: Store, changes: dict[str, Any]) -> None:
    sweep = {"train__range_test__steps": 25, "train__range_test__most": 100.0}
    without = run(store, **changes)
    with_test = run(store, train__range_test__enabled=True, **sweep, **changes)
    assert same(with_test, without)
    assert with_test.updates == without.updates
    phases = ["head", "full"] if "train__head__epochs" in changes else ["full"]
    assert [test.phase for test in with_test.range_tests] == phases
    assert not without.range_tests
    for test in with_test.range_tests:
        assert 3 < len(test.losses) <= 25
        assert np.isfinite(test.losses).all()


def test_auto_takes_the_suggestion(store: Store) -> None:
    for suggestion in ("valley", "steepest"):
        result = run(
            store, train__learning_rate="auto", train__head__learning_rate="auto",
            train__head__epochs=1, train__schedule__name="constant",
            train__range_test__suggestion=suggestion,
        )  # fmt: skip
        assert len(result.range_tests) == 2
        for test, record in zip(result.range_tests, (result.history[0], result.history[-1]),
                                strict=True):  # fmt: skip
            assert record.learning_rate == getattr(test, suggestion)


def test_auto_without_a_suggestion_says_what_to_do(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rising = suggest("full", [1e-3, 1e-2, 1e-1], [1.0, 2.0, 3.0])
    monkeypatch.setattr(loop, "run_range_test", lambda *_: rising)
    with pytest.raises(ParamsError, match=r"set train\.learning_rate to a number"):
        run(store, train__learning_rate="auto")
