"""The loss of many labels against its formula, and the sum that parts of a batch add up to."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import log_loss
from torch import Tensor

from sftcore.tasks.multilabel.loss import guessing_loss, loss_sum, probabilities, row_losses

B, K = 6, 4
STREAM = np.random.default_rng(0)
LOGITS = torch.from_numpy(STREAM.normal(size=(B, K)) * 2)
HARD = torch.from_numpy(STREAM.integers(0, 2, (B, K)))
SOFT = torch.from_numpy(STREAM.random((B, K)))
WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 0.0, 3.0, 1.5], dtype=torch.float64)
DECISIONS = torch.from_numpy(STREAM.uniform(0.5, 4.0, (2, K)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("targets", [HARD, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize("decisions", [None, DECISIONS], ids=["plain", "weighed"])
def test_it_is_its_formula(smoothing: float, targets: Tensor, decisions: Tensor | None) -> None:
    expected = 0.0
    for i in range(B):
        for k in range(K):
            t = (1 - smoothing) * float(targets[i, k]) + smoothing * 0.5
            p = expit(float(LOGITS[i, k]))
            absent, present = (1.0, 1.0) if decisions is None else decisions[:, k].tolist()
            cost = -present * t * np.log(p) - absent * (1 - t) * np.log(1 - p)
            expected += float(WEIGHTS[i]) * cost / K
    found = loss_sum(LOGITS, targets, WEIGHTS, smoothing, decisions)
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_the_gradient_is_the_slope() -> None:
    logits = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss_sum(z, SOFT, WEIGHTS, 0.1, DECISIONS), logits)
    (gradient,) = torch.autograd.grad(loss_sum(logits, HARD, WEIGHTS), logits)
    expected = WEIGHTS[:, None] * (torch.sigmoid(LOGITS) - HARD) / K
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_row_of_weight_two_is_two_rows(smoothing: float) -> None:
    weights = torch.tensor([1.0, 2.0, 1.0, 0.0, 3.0, 1.0], dtype=torch.float64)
    rows = torch.arange(B).repeat_interleave(weights.long())
    one = loss_sum(LOGITS, SOFT, weights, smoothing, DECISIONS)
    ones = torch.ones(len(rows), dtype=torch.float64)
    torch.testing.assert_close(one, loss_sum(LOGITS[rows], SOFT[rows], ones, smoothing, DECISIONS))
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    turned = loss_sum(LOGITS[order], SOFT[order], weights[order], smoothing, DECISIONS)
    torch.testing.assert_close(one, turned)


def test_the_same_labels_twice_cost_what_they_cost_once() -> None:
    twice = loss_sum(LOGITS.repeat(1, 2), SOFT.repeat(1, 2), WEIGHTS)
    torch.testing.assert_close(twice, loss_sum(LOGITS, SOFT, WEIGHTS))


def test_the_loss_of_mixed_labels_is_the_mixed_loss() -> None:
    other = HARD.flip(0)
    mixed = loss_sum(LOGITS, 0.3 * HARD + 0.7 * other, WEIGHTS)
    apart = 0.3 * loss_sum(LOGITS, HARD, WEIGHTS) + 0.7 * loss_sum(LOGITS, other, WEIGHTS)
    torch.testing.assert_close(mixed, apart)


def test_it_stays_in_the_type_of_the_logits_and_finite() -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    found = loss_sum(logits, torch.tensor([[0, 1]]), torch.ones(1), 0.1, torch.ones(2, 2))
    found.backward()
    assert found.dtype == torch.float32
    assert float(found.detach()) == pytest.approx(190)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_row_losses_are_scikit_learns() -> None:
    found = row_losses(LOGITS.float(), HARD)
    assert found.dtype == torch.float64
    p = expit(LOGITS.float().double().numpy())
    expected = [log_loss(HARD[i].numpy(), p[i], labels=[0, 1]) for i in range(B)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)
    ones = torch.ones(B, dtype=torch.float64)
    torch.testing.assert_close(found.sum(), loss_sum(LOGITS.float().double(), HARD, ones))


def test_guessing_costs_the_entropy_of_the_frequencies() -> None:
    labels = torch.tensor([[1, 0], [0, 0], [0, 1], [0, 0]])
    found = guessing_loss(torch.tensor([0.25, 0.25]), labels)
    assert found == pytest.approx(-0.25 * np.log(0.25) - 0.75 * np.log(0.75))
    even = guessing_loss(torch.full((2,), 0.5), labels)
    assert even == pytest.approx(np.log(2))


def test_probabilities_next_to_one_are_not_one() -> None:
    found = probabilities(torch.tensor([[20.0, 0.0]]))
    assert found.dtype == torch.float64
    assert float(1 - found[0, 0]) == pytest.approx(np.exp(-20.0), rel=1e-6)
    assert float(found[0, 1]) == 0.5
