"""Optimizers by name, scaled and effective rates, parts of a batch."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sftcore.data.store import Store
from sftcore.models.parameter_groups import Claim
from sftcore.optimization.optimizers import (
    OPTIMIZERS,
    RateScalingSettings,
    build_optimizer,
    effective_rate,
    scaled_rate,
    set_learning_rate,
)
from sftcore.training.planning import plan_phases
from sftcore.training.step import _parts
from tests.training.test_loop import run, small


def path(
    name: str,
    gradients: list[float],
    momentum: float = 0.9,
    rate: float = 0.1,
    weight_decay: float = 0.0,
) -> list[float]:
    """Where a scalar that begins at 1 goes when it is given these gradients."""
    weight = nn.Parameter(torch.ones((1, 1), dtype=torch.float64))
    claim = Claim("w", weight, "head", 0, 1.0, True, True)
    optimizer = build_optimizer(name, [claim], momentum=momentum, weight_decay=weight_decay)
    set_learning_rate(optimizer, rate)
    seen = []
    for gradient in gradients:
        weight.grad = torch.full((1, 1), gradient, dtype=torch.float64)
        optimizer.step()
        seen.append(weight.item())
    return seen


def test_sgd_and_nesterov_by_hand() -> None:
    # v = 0.9 v + g: 1, 2.9; Nesterov follows g + 0.9 v: 1.9, 2 + 2.61
    assert path("sgd", [1.0, 2.0]) == pytest.approx([0.9, 0.9 - 0.29])
    assert path("nesterov", [1.0, 2.0]) == pytest.approx([1 - 0.19, 1 - 0.19 - 0.461])


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "adabelief", "lamb"])
def test_bias_correction_is_on(name: str) -> None:
    """The first step of a corrected mean is of the size of the rate, whatever the gradient's.

    Without correction it would be 0.1/√0.001 = 3.2 times as long.
    """
    steps = [1 - path(name, [gradient])[0] for gradient in (0.01, 100.0)]
    if name == "adabelief":  # its denominator is the deviation from the mean
        steps = [step * 0.9 for step in steps]
    assert all(0.05 < step < 0.2 for step in steps)


def test_lion_moves_by_the_sign_and_lars_by_the_weights_norm() -> None:
    assert path("lion", [100.0, -1e9]) == pytest.approx([0.9, 1.0])
    # trust = 0.001·‖w‖/(‖g‖ + λ‖w‖) on g + λw, so the step is 0.001·rate whatever the gradient
    for gradient in (5.0, 500.0):
        first = path("lars", [gradient], momentum=0.0, weight_decay=0.1)
        assert first == pytest.approx([1 - 0.1 * 0.001], rel=1e-6)
    assert path("lars", [5.0], momentum=0.0) == path("sgd", [5.0], momentum=0.0)


# Where one step without a gradient leads, at a rate of 0.1: by part of λθ if the decay is not
# scaled, by a length that does not know λ if it is.
UNSCALED = {"sgd": 1.0, "nesterov": 1.9, "adamw": 1.0, "adabelief": 1.0, "lion": 1.0, "lars": 1.0}
SCALED = {"rmsprop": 1.0, "adam": 0.1, "nadam": 0.1056, "lamb": 0.1}


@pytest.mark.parametrize("decay", [0.1, 0.4])
def test_decay_alone_is_what_the_optimizer_makes_of_it(decay: float) -> None:
    for name, factor in UNSCALED.items():
        assert path(name, [0.0], weight_decay=decay) == pytest.approx([1 - 0.1 * factor * decay])
    for name, length in SCALED.items():
        assert path(name, [0.0], weight_decay=decay) == pytest.approx([1 - length], abs=1e-4)
    # radam follows the unscaled mean until it trusts its variance, after five steps
    steps = np.array(path("radam", [0.0] * 40, weight_decay=decay, rate=0.001))
    assert 1 - steps[0] == pytest.approx(0.001 * decay)
    assert steps[38] - steps[39] == pytest.approx(0.0001303, abs=1e-7)
    assert {*UNSCALED, *SCALED, "radam"} == OPTIMIZERS.keys()


def test_the_decay_of_lamb_is_added_to_the_scaled_step_and_before_the_ratio_of_norms() -> None:
    """Adam's first step is the sign of the gradient; the moments do not know of the decay."""
    start, gradient, decay = np.array([1.0, 2.0]), np.array([3.0, -0.5]), 0.2
    weight = nn.Parameter(torch.tensor(start[None]))
    claim = Claim("w", weight, "head", 0, 1.0, True, True)
    optimizer = build_optimizer("lamb", [claim], momentum=0.9, weight_decay=decay)
    set_learning_rate(optimizer, 0.1)
    weight.grad = torch.tensor(gradient[None])
    optimizer.step()
    step = np.sign(gradient) + decay * start
    expected = start - 0.1 * step * np.linalg.norm(start) / np.linalg.norm(step)
    np.testing.assert_allclose(weight.detach().numpy()[0], expected, rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_descends(name: str) -> None:
    rate = 10.0 if name == "lars" else 0.02
    seen = path(name, [1.0] * 5, rate=rate)
    assert all(after < before for before, after in zip([1.0, *seen], seen, strict=False))


def test_scaling_is_a_choice() -> None:
    assert scaled_rate(0.1, RateScalingSettings(), 256) == 0.1
    assert scaled_rate(0.1, RateScalingSettings(rule="linear"), 256) == pytest.approx(0.8)
    assert scaled_rate(0.1, RateScalingSettings(rule="sqrt"), 128) == pytest.approx(0.2)
    params = small(train__batch_size=16, train__rate_scaling__rule="linear", train__head__epochs=1,
                   train__head__learning_rate=0.4)  # fmt: skip
    head, full = plan_phases(params.model, params.train, 6)
    assert (head.learning_rate, full.learning_rate) == (0.2, 0.005)


def test_the_effective_rate_is_the_sum_of_a_constant_gradients_steps(store: Store) -> None:
    assert effective_rate(0.1, "sgd", 0.9) == pytest.approx(1.0)
    assert effective_rate(0.1, "adam", 0.9) == 0.1
    for name in ("sgd", "nesterov", "adam", "adamw"):
        steps = np.diff(path(name, [1.0] * 300, rate=0.01))
        assert -steps[-1] == pytest.approx(effective_rate(0.01, name, 0.9), rel=1e-3)
    record = run(store, train__epochs=1, train__momentum=0.5).history[0]
    assert record.effective_learning_rate == pytest.approx(2 * record.learning_rate)


@pytest.mark.parametrize(
    ("num_rows", "size", "expected"),
    [(8, 0, [8]), (8, 8, [8]), (8, 3, [3, 3, 2]), (7, 3, [3, 4]), (9, 4, [4, 5]), (2, 5, [2])],
)
def test_parts_cover_the_batch_and_none_is_of_one(
    num_rows: int, size: int, expected: list[int]
) -> None:
    parts = _parts(num_rows, size)
    assert [len(range(num_rows)[part]) for _, part in parts] == expected
    assert sum(share for share, _ in parts) == pytest.approx(1)
    assert [i for _, part in parts for i in range(num_rows)[part]] == list(range(num_rows))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train__imbalance__class_weighting": 1.0, "train__label_smoothing": 0.1},
        {
            "train__penalties__l2": 0.01,
            "train__augmentation__mixup": 0.5,
            "train__clipping__norm": 0.5,
        },
        {"train__features__delta": 1.0},
    ],
)
def test_parts_give_the_gradient_of_the_whole(store: Store, changes: dict[str, Any]) -> None:
    """The last batch of an epoch is smaller, and its last part smaller still."""
    whole = run(store, train__epochs=2, **changes)
    assert len(store.split("train")) % 8 not in (0, 3)
    parts = run(store, train__epochs=2, train__micro_batch_size=3, **changes)
    assert len(parts.updates) == len(whole.updates)
    assert parts.updates.loss == pytest.approx(whole.updates.loss, rel=1e-4)
    assert parts.updates.gradient_norm == pytest.approx(whole.updates.gradient_norm, rel=1e-3)
    for name, tensor in whole.chosen_state.items():
        torch.testing.assert_close(parts.chosen_state[name], tensor, rtol=1e-3, atol=1e-4)
