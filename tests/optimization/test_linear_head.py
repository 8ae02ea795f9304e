"""The solved head against scikit-learn, and what it promises of itself."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from sftcore.optimization.linear_head import (
    STRENGTHS,
    TOLERANCE,
    LinearHead,
    compact,
    solve_path,
)
from sftcore.tasks.classification.loss import classification_loss

C = 4
SHAPES = [(40, 5), (20, 60)]  # more pictures than features, and the other way round


def made(num_rows: int, num_features: int, num_present: int = C) -> tuple[Tensor, Tensor]:
    """Features that are far from centred, of unlike spread, and class indices."""
    stream = np.random.default_rng([num_rows, num_features])
    labels = np.arange(num_rows) % num_present
    centres = stream.normal(size=(C, num_features))
    spread = np.geomspace(0.1, 10, num_features)
    features = (centres[labels] + stream.normal(size=(num_rows, num_features))) * spread + 3
    return torch.from_numpy(features), torch.from_numpy(labels)


def plain(labels: Tensor) -> partial[Tensor]:
    return partial(classification_loss, targets=labels, label_smoothing=0.0)


def variance_of(features: Tensor) -> float:
    return float((features - features.mean(0)).square().sum(1).mean())


def objective(head: LinearHead, features: Tensor, labels: Tensor) -> float:
    penalty = head.strength * variance_of(features) / 2 * head.weight.square().sum()
    return float(plain(labels)(head.logits(features)) + penalty)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_scikit_learns_logistic_regression(shape: tuple[int, int]) -> None:
    features, labels = made(*shape)
    for head in solve_path(features, plain(labels), C, (0.1, 1e-2, 1e-3)):
        inverse = 1 / (head.strength * variance_of(features) * len(features))
        # Scikit-learn searches on features as they come, so it gets those of the same scale.
        scale = variance_of(features) ** 0.5
        inputs = ((features - features.mean(0)) / scale).numpy()
        theirs = LogisticRegression(
            C=inverse * scale**2, solver="newton-cg", tol=1e-12, max_iter=10_000
        ).fit(inputs, labels.numpy())
        np.testing.assert_allclose(head.weight.numpy(), theirs.coef_ / scale, atol=1e-4)
        other = torch.from_numpy(theirs.coef_ / scale)
        bias = torch.from_numpy(theirs.intercept_) - other @ features.mean(0)
        known = LinearHead(head.strength, other, bias, 0.0, 0)
        found = objective(head, features, labels)
        assert found == pytest.approx(objective(known, features, labels), abs=1e-8)


@pytest.mark.parametrize("kind", ["smoothing", "class weights", "offsets"])
def test_any_convex_loss_is_at_its_least(kind: str) -> None:
    features, labels = made(60, 5)
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)

    def loss_of(logits: Tensor) -> Tensor:
        if kind == "offsets":
            return plain(labels)(logits + weights.log())
        smoothing = 0.2 if kind == "smoothing" else 0.0
        return classification_loss(
            logits, labels, smoothing, weights if kind == "class weights" else None
        )

    (head,) = solve_path(features, loss_of, C, (0.01,))
    variance = variance_of(features)

    def whole(flat: np.ndarray) -> tuple[float, np.ndarray]:
        own = torch.from_numpy(flat.reshape(C, -1).copy()).requires_grad_()
        value = loss_of((features - features.mean(0)) / variance**0.5 @ own[:, :-1].T + own[:, -1])
        value = value + 0.01 / 2 * own[:, :-1].square().sum()
        (gradient,) = torch.autograd.grad(value, own)
        return float(value.detach()), gradient.numpy().ravel()

    least = minimize(whole, np.zeros(C * 6), jac=True, method="BFGS", options={"gtol": 1e-9})
    mine = float(loss_of(head.logits(features)) + 0.01 * variance / 2 * head.weight.square().sum())
    assert mine == pytest.approx(least.fun, abs=1e-8)
    expected = least.x.reshape(C, -1)[:, :-1] / variance**0.5
    np.testing.assert_allclose(head.weight.numpy(), expected, atol=1e-4)


def test_a_class_without_pictures_gets_next_to_no_probability() -> None:
    features, labels = made(60, 5, num_present=3)
    for head in solve_path(features, plain(labels), C):
        assert head.has_converged, head
        assert float(torch.softmax(head.logits(features), 1)[:, 3].max()) < 1e-2
        assert torch.isfinite(head.weight).all()


@pytest.mark.parametrize("factor", [1000.0, 1e-3])
def test_the_unit_of_the_features_does_not_matter(factor: float) -> None:
    features, labels = made(40, 5)
    path = solve_path(features, plain(labels), C)
    other = solve_path(features * factor, plain(labels), C)
    for one, two in zip(path, other, strict=True):
        torch.testing.assert_close(
            torch.softmax(one.logits(features), 1), torch.softmax(two.logits(features * factor), 1),
            rtol=0, atol=1e-4 if one.strength > 1e-4 else 1e-2,
        )  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_the_stated_tolerance_is_met_at_all_strengths(shape: tuple[int, int]) -> None:
    features, labels = made(*shape)
    for head in solve_path(features, plain(labels), C):
        assert head.has_converged, head
        centred = (features - features.mean(0)) / variance_of(features) ** 0.5
        weight = (head.weight * variance_of(features) ** 0.5).requires_grad_()
        bias = (head.bias + head.weight @ features.mean(0)).requires_grad_()
        value = plain(labels)(centred @ weight.T + bias)
        value = value + head.strength / 2 * weight.square().sum()
        of_weight, of_bias = torch.autograd.grad(value, (weight, bias))
        _, directions = compact(centred)
        along = of_weight if directions is None else of_weight @ directions
        assert along.norm() == pytest.approx(float(of_weight.norm()), abs=1e-10)  # none is beside
        largest = max(float(gradient.abs().max()) for gradient in (along, of_bias))
        assert largest == pytest.approx(head.gradient, abs=1e-10)
        assert largest <= TOLERANCE * 1.001


def test_fewer_numbers_are_the_same_features() -> None:
    features, _ = made(20, 60)
    small, directions = compact(features)
    assert directions is not None
    assert small.shape == (20, 20)
    torch.testing.assert_close(small @ directions.T, features)
    torch.testing.assert_close(small @ small.T, features @ features.T)
    square = features[:, :20]
    same, directions = compact(square)
    assert same is square
    assert directions is None


def test_the_weaker_the_better_it_fits_and_the_larger_it_is() -> None:
    features, labels = made(40, 5)
    path = solve_path(features, plain(labels), C)
    assert [head.strength for head in path] == list(STRENGTHS)
    losses = [float(plain(labels)(head.logits(features))) for head in path]
    norms = [float(head.weight.norm()) for head in path]
    assert losses == sorted(losses, reverse=True)
    assert norms == sorted(norms)


def test_the_same_bits_twice_and_whatever_was_drawn_before() -> None:
    features, labels = made(20, 60)
    first = solve_path(features, plain(labels), C)
    torch.rand(7)
    for one, other in zip(first, solve_path(features, plain(labels), C), strict=True):
        assert torch.equal(one.weight, other.weight)
        assert torch.equal(one.bias, other.bias)
        assert (one.gradient, one.num_iterations) == (other.gradient, other.num_iterations)


def test_features_without_spread_give_the_shares_of_the_classes() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 3, 0])
    (head,) = solve_path(torch.ones(8, 3), plain(labels), C, (0.01,))
    shares = torch.softmax(head.logits(torch.ones(8, 3)), 1)[0]
    torch.testing.assert_close(
        shares, labels.bincount() / 8.0, rtol=0, atol=1e-5, check_dtype=False
    )
