"""The loss of numbers against its formula, and what guessing costs."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import huber
from torch import Tensor

from sftcore.regularization.error_loss import ErrorSettings
from sftcore.tasks.regression.loss import guessing_loss, loss_sum, row_losses

B, K = 6, 3
STREAM = np.random.default_rng(0)
PREDICTION = torch.from_numpy(STREAM.normal(size=(B, K)) * 2)
TARGETS = torch.from_numpy(STREAM.normal(size=(B, K)))
WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 0.0, 3.0, 1.5], dtype=torch.float64)
LOSSES = [
    ErrorSettings(kind="squared"),
    ErrorSettings(kind="absolute"),
    ErrorSettings(kind="huber"),
    ErrorSettings(kind="huber", delta=0.3),
]


def by_hand(loss: ErrorSettings, error: np.ndarray) -> np.ndarray:
    if loss.kind == "squared":
        return error**2
    return np.abs(error) if loss.kind == "absolute" else huber(loss.delta, error)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_it_is_its_formula(loss: ErrorSettings) -> None:
    costs = by_hand(loss, (PREDICTION - TARGETS).numpy()).mean(axis=1)
    found = loss_sum(PREDICTION, TARGETS, WEIGHTS, loss)
    assert float(found) == pytest.approx(float((WEIGHTS.numpy() * costs).sum()), rel=1e-12)
    rows = row_losses(PREDICTION.float(), TARGETS.float(), loss)
    assert rows.dtype == torch.float64
    np.testing.assert_allclose(rows.numpy(), costs, rtol=1e-5)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_the_gradient_is_the_slope(loss: ErrorSettings) -> None:
    prediction = PREDICTION.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: loss_sum(y, TARGETS, WEIGHTS, loss), prediction)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_row_of_weight_two_is_two_rows(loss: ErrorSettings) -> None:
    weights = torch.tensor([1.0, 2.0, 1.0, 0.0, 3.0, 1.0], dtype=torch.float64)
    rows = torch.arange(B).repeat_interleave(weights.long())
    ones = torch.ones(len(rows), dtype=torch.float64)
    one = loss_sum(PREDICTION, TARGETS, weights, loss)
    torch.testing.assert_close(one, loss_sum(PREDICTION[rows], TARGETS[rows], ones, loss))
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    turned = loss_sum(PREDICTION[order], TARGETS[order], weights[order], loss)
    torch.testing.assert_close(one, turned)
    twice = loss_sum(PREDICTION.repeat(1, 2), TARGETS.repeat(1, 2), weights, loss)
    torch.testing.assert_close(one, twice)


def test_hubers_loss_lies_between_both_others() -> None:
    unit = torch.ones(B, dtype=torch.float64)
    wide, narrow = (
        loss_sum(PREDICTION, TARGETS, unit, ErrorSettings(kind="huber", delta=d))
        for d in (1e3, 1e-6)
    )
    torch.testing.assert_close(
        2 * wide, loss_sum(PREDICTION, TARGETS, unit, ErrorSettings(kind="squared"))
    )
    absolute = loss_sum(PREDICTION, TARGETS, unit, ErrorSettings(kind="absolute"))
    torch.testing.assert_close(narrow / 1e-6, absolute, rtol=1e-5, atol=0)


def test_guessing_the_mean_of_standardised_targets_costs_one() -> None:
    standard = (TARGETS - TARGETS.mean(0)) / TARGETS.std(0, correction=0)
    assert guessing_loss(standard, standard, ErrorSettings(kind="squared")) == pytest.approx(1)
    shifted = guessing_loss(standard, standard + 2, ErrorSettings(kind="squared"))
    assert shifted == pytest.approx(5)


def least(loss: ErrorSettings, column: Tensor) -> float:
    values = column.numpy()
    found = minimize_scalar(
        lambda guess: by_hand(loss, guess - values).mean(),
        bounds=(values.min(), values.max()), method="bounded", options={"xatol": 1e-9},
    )  # fmt: skip
    return float(found.fun)


@pytest.mark.parametrize("loss", LOSSES[:2], ids=str)
def test_no_other_constant_costs_less(loss: ErrorSettings) -> None:
    expected = np.mean([least(loss, TARGETS[:, k]) for k in range(K)])
    assert guessing_loss(TARGETS, TARGETS, loss) == pytest.approx(expected, abs=1e-6)


def test_the_median_is_near_hubers_best() -> None:
    skewed = TARGETS.exp()
    median = guessing_loss(skewed, skewed, ErrorSettings(kind="huber", delta=0.3))
    best = np.mean([least(ErrorSettings(kind="huber", delta=0.3), skewed[:, k]) for k in range(K)])
    assert best <= median <= 1.1 * best
    assert ErrorSettings(kind="huber").best_constant(torch.tensor([[1.0], [2.0]])).tolist() == [1.5]


def test_what_is_no_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="should be 'squared', 'absolute' or 'huber'"):
        ErrorSettings(kind="hinge")
    for delta in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"greater than 0|finite"):
            ErrorSettings(kind="huber", delta=delta)
