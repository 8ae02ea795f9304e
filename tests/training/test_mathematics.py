"""Penalties, optimizers, schedules and the loss against their definitions."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from sftcore.models.parameter_groups import Claim
from sftcore.optimization.optimizers import build_optimizer, set_learning_rate
from sftcore.optimization.schedules import SCHEDULES, learning_rate_at
from sftcore.regularization.penalties import l1_penalty, l2_penalty
from sftcore.tasks.classification import classification_loss, measure, probabilities


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (5,), (2, 2, 2)]
    return [nn.Parameter(torch.randn(s, generator=generator, dtype=torch.float64)) for s in shapes]


def test_penalties_are_their_formulas() -> None:
    flat = np.concatenate([p.detach().numpy().ravel() for p in parameters()])
    assert float(l1_penalty(parameters()).detach()) == pytest.approx(np.abs(flat).sum(), rel=1e-12)
    assert float(l2_penalty(parameters()).detach()) == pytest.approx(
        np.square(flat).sum(), rel=1e-12
    )
    assert float(l1_penalty([])) == float(l2_penalty([])) == 0.0


@pytest.mark.parametrize("penalty", [l1_penalty, l2_penalty])
def test_gradients_of_penalties(penalty: object) -> None:
    assert torch.autograd.gradcheck(lambda *p: penalty(p), parameters())  # type: ignore[operator]


def claims_of(tensors: list[nn.Parameter]) -> list[Claim]:
    return [Claim(str(i), tensor, "head", 0, 1.0, True, True) for i, tensor in enumerate(tensors)]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_weight_decay_of_sgd_is_l2_at_half_its_value(momentum: float) -> None:
    decayed, penalised = parameters(), parameters()
    decay = 0.3
    runs = [(decayed, decay, 0.0), (penalised, 0.0, decay / 2)]
    for tensors, weight_decay, l2 in runs:
        optimizer = build_optimizer(
            "sgd", claims_of(tensors), momentum=momentum, weight_decay=weight_decay
        )
        set_learning_rate(optimizer, 0.1)
        for _ in range(5):
            optimizer.zero_grad()
            loss = sum(((p - 1) ** 4).sum() for p in tensors) + l2 * l2_penalty(tensors)
            loss.backward()
            optimizer.step()
    for one, other in zip(decayed, penalised, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_decay_applies_to_penalised_tensors_only() -> None:
    first, second, third = parameters()
    claims = [
        Claim("a", first, "head", 1, 1.0, True, True),
        Claim("b", second, "head", 1, 1.0, True, False),
        Claim("c", third, "stem", 0, 1.0, False, False),
    ]
    for name in ("sgd", "adam", "adamw"):
        optimizer = build_optimizer(name, claims, momentum=0.9, weight_decay=0.1)
        owned = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
        assert owned == {id(first): 0.1, id(second): 0.0}
    with pytest.raises(ValueError, match="none of sgd, adam, adamw"):
        build_optimizer("lion", claims, momentum=0.9, weight_decay=0.1)


HAND_COMPUTED = {
    "constant": [1.0] * 10,
    "linear": [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1],
    "cosine": [1.0, 0.97552826, 0.90450850, 0.79389263, 0.65450850, 0.5, 0.34549150, 0.20610737,
               0.09549150, 0.02447174],
    "step": [1.0, 1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01, 0.01],
    "exponential": [1.0, 0.63095734, 0.39810717, 0.25118864, 0.15848932, 0.1, 0.06309573,
                    0.03981072, 0.02511886, 0.01584893],
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_ten_hand_computed_values(name: str) -> None:
    rates = [
        learning_rate_at(step, 10, peak=2.0, schedule=name, warmup_fraction=0.0)
        for step in range(10)
    ]
    np.testing.assert_allclose(rates, 2 * np.array(HAND_COMPUTED[name]), atol=2e-8)


def test_warm_up_rises_to_the_peak_and_then_decays() -> None:
    rates = [
        learning_rate_at(step, 10, peak=1.0, schedule="linear", warmup_fraction=0.4)
        for step in range(10)
    ]
    expected = [0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    with pytest.raises(ValueError, match="outside a phase of 10 steps"):
        learning_rate_at(10, 10, peak=1.0, schedule="linear", warmup_fraction=0.0)


def test_smoothed_loss_is_its_formula() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.tensor([0, 1, 2, 3, 1, 1])
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    for smoothing in (0.0, 0.1):
        wanted = (1 - smoothing) * np.eye(4)[targets] + smoothing / 4
        expected = -(wanted * np.log(p)).sum(axis=1).mean()
        assert float(classification_loss(logits, targets, smoothing)) == pytest.approx(expected)


def test_measure_is_plain() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.3], [0.4, 0.6]]))
    loss, accuracy = measure(logits, torch.tensor([0, 0]))
    assert loss == pytest.approx(-(math.log(0.7) + math.log(0.4)) / 2)
    assert accuracy == 0.5
    assert probabilities(logits)[0].tolist() == pytest.approx([0.7, 0.3])
