"""Penalties, optimizers, schedules and the loss against their definitions."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from sftcore.models.parameter_groups import Claim
from sftcore.optimization.optimizers import OPTIMIZERS, build_optimizer, set_learning_rate
from sftcore.regularization.penalties import l1_penalty, l2_penalty
from sftcore.tasks.classification.loss import classification_loss, measure, probabilities


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
    for name in OPTIMIZERS:
        optimizer = build_optimizer(name, claims, momentum=0.9, weight_decay=0.1)
        owned = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
        assert owned == {id(first): 0.1, id(second): 0.0}
    with pytest.raises(ValueError, match="'lbfgs' is none of sgd, nesterov"):
        build_optimizer("lbfgs", claims, momentum=0.9, weight_decay=0.1)


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
