"""The rows to beat of numbers against scikit-learn, and what validation chooses."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from torch import Tensor

from sftcore.metrics.rows_to_beat import NEIGHBOURS
from sftcore.optimization.linear_head import solve_path
from sftcore.regularization.error_loss import ErrorSettings
from sftcore.tasks.regression.baselines import (
    STRENGTHS,
    constant,
    nearest_neighbours,
    ridge_path,
    ridge_regression,
    rows_to_beat,
)
from sftcore.tasks.regression.targets import fit_scale
from tests.tasks.made import K, number_rows

TRAIN, VAL, TEST = number_rows(120, 0), number_rows(60, 1), number_rows(50, 2)
SCALE = fit_scale(TRAIN[1].numpy(), ["a", "b", "c"])
SQUARED, ABSOLUTE = ErrorSettings(kind="squared"), ErrorSettings(kind="absolute")
LOSSES = [SQUARED, ABSOLUTE, ErrorSettings(kind="huber", delta=0.5)]


def cost(prediction: np.ndarray, targets: Tensor, loss: ErrorSettings) -> float:
    error = (prediction - targets.numpy()) / TRAIN[1].numpy().std(axis=0)
    if loss.kind == "squared":
        return float((error**2).mean())
    if loss.kind == "absolute":
        return float(np.abs(error).mean())
    inner = np.minimum(np.abs(error), loss.delta)
    return float((inner * np.abs(error) - inner**2 / 2).mean())


@pytest.mark.parametrize(("loss", "name"), [(SQUARED, "mean"), (ABSOLUTE, "median")])
def test_the_constant_is_that_of_training(loss: ErrorSettings, name: str) -> None:
    row = constant(TRAIN[1], 60, 50, loss)
    assert row.name == name
    expected = getattr(np, name)(TRAIN[1].numpy(), axis=0)
    np.testing.assert_allclose(row.test, np.tile(expected, (50, 1)))
    assert row.val.shape == (60, K)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_neighbours_are_scikit_learns_and_chosen_by_validation(loss: ErrorSettings) -> None:
    def theirs(k: int, features: Tensor) -> np.ndarray:
        model = KNeighborsRegressor(k, metric="cosine", algorithm="brute")
        model.fit(TRAIN[0].double().numpy(), TRAIN[1].numpy())
        return model.predict(features.double().numpy())

    row = nearest_neighbours(TRAIN, VAL, TEST[0], SCALE, loss)
    costs = {k: cost(theirs(k, VAL[0]), VAL[1], loss) for k in NEIGHBOURS}
    chosen = min(costs, key=costs.__getitem__)
    assert row.settings == {"num_neighbours": chosen}
    np.testing.assert_allclose(row.val, theirs(chosen, VAL[0]))
    np.testing.assert_allclose(row.test, theirs(chosen, TEST[0]))
    few = TRAIN[0][:4], TRAIN[1][:4]
    assert nearest_neighbours(few, VAL, TEST[0], SCALE, loss).settings["num_neighbours"] <= 3


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_ridge_is_scikit_learns_at_the_strength_that_validation_chooses(
    loss: ErrorSettings,
) -> None:
    features = TRAIN[0].double().numpy()
    square = float(((features - features.mean(axis=0)) ** 2).sum(axis=1).mean())

    def theirs(strength: float, of: Tensor) -> np.ndarray:
        # scikit-learn: Σ e² + α‖w‖²; here: (1/N) Σ e² + (λ/2)·square·‖w‖²
        model = Ridge(alpha=len(features) * strength / 2 * square, solver="cholesky")
        return model.fit(features, TRAIN[1].numpy()).predict(of.double().numpy())

    costs = {strength: cost(theirs(strength, VAL[0]), VAL[1], loss) for strength in STRENGTHS}
    chosen = min(costs, key=costs.__getitem__)
    row = ridge_regression(TRAIN, VAL, TEST[0], SCALE, loss)
    assert row.settings == {"strength": chosen}
    np.testing.assert_allclose(row.val, theirs(chosen, VAL[0]), rtol=1e-7)
    np.testing.assert_allclose(row.test, theirs(chosen, TEST[0]), rtol=1e-7)


@pytest.mark.parametrize("shape", [(40, 5), (20, 60)])
def test_the_closed_form_is_where_the_search_for_the_optimum_ends(shape: tuple[int, int]) -> None:
    stream = np.random.default_rng(shape)
    features = torch.from_numpy(stream.normal(size=shape) + 3)
    targets = torch.from_numpy(stream.normal(size=(shape[0], 2)) - 1)
    strengths = (1.0, 0.1, 1e-3)
    closed = ridge_path(features, targets, strengths)
    searched = solve_path(
        features, lambda out: (out - targets).square().sum(dim=1).mean(), 2, strengths
    )
    for one, other in zip(closed, searched, strict=True):
        assert one.strength == other.strength
        torch.testing.assert_close(one.weight, other.weight, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(one.logits(features), other.logits(features), rtol=0, atol=1e-3)


def test_features_without_spread_give_the_mean() -> None:
    targets = torch.tensor([[1.0], [2.0], [6.0]])
    (head,) = ridge_path(torch.ones(3, 4), targets, (0.01,))
    assert head.logits(torch.ones(2, 4)).ravel().tolist() == pytest.approx([3.0, 3.0])


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_all_rows_are_the_same_twice_and_get_better(loss: ErrorSettings) -> None:
    first, second = (rows_to_beat(TRAIN, VAL, TEST[0], SCALE, loss) for _ in range(2))
    assert [row.name for row in first[1:]] == ["nearest_neighbours", "ridge_regression"]
    for one, other in zip(first, second, strict=True):
        assert one.settings == other.settings
        assert (one.val == other.val).all()
        assert (one.test == other.test).all()
    costs = [cost(row.test, TEST[1], loss) for row in first]
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize("factor", [1000.0, 1e-3])
def test_units_of_features_and_targets_do_not_matter(factor: float) -> None:
    plain = rows_to_beat(TRAIN, VAL, TEST[0], SCALE, SQUARED)
    train, val = ((f * factor, y * factor) for f, y in (TRAIN, VAL))
    scale = fit_scale(train[1].numpy(), ["a", "b", "c"])
    for one, other in zip(
        plain, rows_to_beat(train, val, TEST[0] * factor, scale, SQUARED), strict=True
    ):
        assert one.settings == other.settings
        np.testing.assert_allclose(other.test, one.test * factor, rtol=1e-4)
