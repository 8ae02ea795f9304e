"""Penalties against their formulas, in float64."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from sftcore.regularization.features import bss_penalty, delta_penalty
from sftcore.regularization.penalties import (
    Penalized,
    PenaltySettings,
    l1_penalty,
    l1_sp_penalty,
    l2_penalty,
    l2_sp_penalty,
    proximal_step,
    shrink,
    soft_threshold,
    total_penalty,
)

SHAPES = [(3, 4), (5,), (2, 2, 2)]


def draw(seed: int, shapes: list[tuple[int, ...]] = SHAPES) -> list[Tensor]:
    stream = np.random.default_rng(seed)
    return [torch.from_numpy(stream.normal(size=shape)).requires_grad_() for shape in shapes]


def flat(tensors: list[Tensor]) -> np.ndarray:
    return np.concatenate([tensor.detach().numpy().ravel() for tensor in tensors])


def test_values_are_the_formulas() -> None:
    theta, origin = draw(0), draw(1)
    away = flat(theta) - flat(origin)
    expected = {
        l1_penalty(theta): np.abs(flat(theta)).sum(),
        l2_penalty(theta): np.square(flat(theta)).sum(),
        l1_sp_penalty(theta, origin): np.abs(away).sum(),
        l2_sp_penalty(theta, origin): np.square(away).sum(),
    }
    for ours, theirs in expected.items():
        assert float(ours.detach()) == pytest.approx(theirs, rel=1e-12)
    assert float(l1_penalty([])) == float(l2_sp_penalty([], [])) == 0.0


@pytest.mark.parametrize("penalty", [l1_sp_penalty, l2_sp_penalty])
def test_gradients_towards_the_start(penalty: object) -> None:
    origins = [origin.detach() for origin in draw(1)]
    assert torch.autograd.gradcheck(lambda *p: penalty(p, origins), draw(0))  # type: ignore[operator]
    assert torch.autograd.gradcheck(lambda *p: l1_penalty(p), draw(2))
    assert torch.autograd.gradcheck(lambda *p: l2_penalty(p), draw(2))


def test_the_total_weighs_the_head_by_its_own_factor() -> None:
    theta, origin = draw(0), draw(1)
    items = [
        Penalized(theta[0], origin[0], 1.0, 1.0),
        Penalized(theta[1], torch.zeros(5, dtype=torch.float64), 0.25, 1.0),
    ]
    rates = PenaltySettings(l1=0.1, l2=0.2, l1_sp=0.3, l2_sp=0.4)
    body, head, start = theta[0].detach().numpy(), theta[1].detach().numpy(), origin[0].detach()
    away = body - start.numpy()
    expected = 0.1 * np.abs(body).sum() + 0.2 * np.square(body).sum()
    expected += 0.3 * np.abs(away).sum() + 0.4 * np.square(away).sum()
    expected += 0.25 * (0.4 * np.abs(head).sum() + 0.6 * np.square(head).sum())
    assert float(total_penalty(items, rates).detach()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("value", [-2.0, -0.1, 0.0, 0.05, 1.3])
def test_proximal_maps_are_the_minimisers_that_define_them(value: float) -> None:
    """``prox_f(v) = argmin ½(x − v)² + f(x)``, found by a search that knows no formula."""
    point = torch.tensor([value], dtype=torch.float64)
    for ours, f in (
        (soft_threshold(point, 0.3), lambda x: 0.3 * abs(x)),
        (shrink(point, 0.3), lambda x: 0.3 * x**2),
        (shrink(soft_threshold(point, 0.3), 0.2), lambda x: 0.3 * abs(x) + 0.2 * x**2),
    ):
        found = minimize_scalar(
            lambda x, f=f: (x - value) ** 2 / 2 + f(x), bounds=(-3, 3), method="bounded",
            options={"xatol": 1e-10},
        )  # fmt: skip
        assert float(ours) == pytest.approx(found.x, abs=1e-6)


def test_the_proximal_step_gives_exact_zeros_and_exact_starts() -> None:
    parameter = nn.Parameter(torch.tensor([0.05, -0.02, 2.0]))
    other = nn.Parameter(torch.tensor([1.01, 0.98, 3.0]))
    origin = torch.ones(3)
    rates = PenaltySettings(l1=1.0, l2=0.0, l1_sp=0.0, l2_sp=0.0)
    proximal_step([Penalized(parameter, origin, 1.0, 1.0)], rates, 0.1)
    assert parameter.tolist() == pytest.approx([0.0, 0.0, 1.9])
    assert (parameter == 0).sum() == 2
    to_start = PenaltySettings(l1=0.0, l2=0.0, l1_sp=1.0, l2_sp=0.0)
    proximal_step([Penalized(other, origin, 0.5, 2.0)], to_start, 0.1)  # reach 0.1 · 0.5 · 2
    assert other.tolist() == pytest.approx([1.0, 1.0, 2.9])
    assert (other == 1).sum() == 2


def test_delta_is_its_formula_and_the_source_gets_no_gradient() -> None:
    maps, source = draw(0, [(2, 3, 4, 4), (2, 5)]), draw(1, [(2, 3, 4, 4), (2, 5)])
    expected = sum(
        np.square(m.detach().numpy() - s.detach().numpy()).mean()
        for m, s in zip(maps, source, strict=True)
    )
    penalty = delta_penalty(maps, source)
    assert float(penalty.detach()) == pytest.approx(expected, rel=1e-12)
    penalty.backward()
    assert source[0].grad is None
    assert torch.autograd.gradcheck(
        lambda *m: delta_penalty(m, source), draw(2, [(2, 3), (2, 5)])[:0] or maps
    )
    assert float(delta_penalty([], [])) == 0.0


@pytest.mark.parametrize(("rows", "columns"), [(4, 9), (9, 4)])
@pytest.mark.parametrize("num_values", [1, 2])
def test_bss_is_its_formula(rows: int, columns: int, num_values: int) -> None:
    features = draw(0, [(rows, columns)])[0]
    values = np.linalg.svd(features.detach().numpy(), compute_uv=False)
    expected = np.square(np.sort(values)[:num_values]).sum()
    ours = bss_penalty(features, num_values)
    assert float(ours.detach()) == pytest.approx(expected, rel=1e-9)
    assert torch.autograd.gradcheck(lambda f: bss_penalty(f, num_values), features)
