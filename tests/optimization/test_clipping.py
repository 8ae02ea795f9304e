"""Limits on the gradient against independent computations, and what is counted."""

import pytest
import torch
from timm.utils.agc import adaptive_clip_grad
from torch import nn

from sftcore.data.store import Store
from sftcore.optimization.clipping import ClippingSettings, clip_gradients
from tests.training.test_loop import run


def parameters(scale: float = 1.0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for shape in ((4, 3), (5,), (2, 3, 2, 2)):
        parameter = nn.Parameter(torch.randn(shape, generator=generator))
        parameter.grad = scale * torch.randn(shape, generator=generator)
        made.append(parameter)
    return made


def clip(limits: ClippingSettings, scale: float = 1.0, num_heads: int = 0) -> tuple[list, bool]:
    made = parameters(scale)
    norm = nn.utils.get_total_norm([p.grad for p in made if p.grad is not None])
    is_clipped = clip_gradients(made, made[:num_heads], limits, norm)
    return [p.grad for p in made], is_clipped


def test_norm_is_the_whole_gradients() -> None:
    before = [p.grad for p in parameters()]
    total = torch.cat([g.flatten() for g in before]).norm()
    after, is_clipped = clip(ClippingSettings(norm=0.5))
    assert is_clipped
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, old * 0.5 / total, rtol=1e-4, atol=1e-6)
    same, is_clipped = clip(ClippingSettings(norm=1000.0))
    assert not is_clipped
    assert all(torch.equal(a, b) for a, b in zip(same, before, strict=True))


def test_value_is_each_numbers() -> None:
    before = [p.grad for p in parameters()]
    after, is_clipped = clip(ClippingSettings(value=0.3))
    assert is_clipped
    assert all(torch.equal(a, b.clamp(-0.3, 0.3)) for a, b in zip(after, before, strict=True))
    assert not clip(ClippingSettings(value=100.0))[1]


@pytest.mark.parametrize("ratio", [0.01, 0.5, 2.0])
def test_agc_is_timms_and_spares_the_head(ratio: float) -> None:
    theirs = parameters()
    adaptive_clip_grad(theirs[1:], clip_factor=ratio)
    after, is_clipped = clip(ClippingSettings(agc=ratio), num_heads=1)
    for mine, other in zip(after, theirs, strict=True):
        torch.testing.assert_close(mine, other.grad)
    assert is_clipped is (ratio < 2.0)
    weights = parameters()
    assert (after[0] == weights[0].grad).all()


def test_all_three_apply_in_their_order() -> None:
    made = parameters(3.0)
    adaptive_clip_grad(made, clip_factor=0.5)
    nn.utils.clip_grad_value_(made, 0.2)
    nn.utils.clip_grad_norm_(made, 0.4)
    after, is_clipped = clip(ClippingSettings(agc=0.5, value=0.2, norm=0.4), 3.0)
    assert is_clipped
    for mine, other in zip(after, made, strict=True):
        torch.testing.assert_close(mine, other.grad, rtol=1e-5, atol=1e-7)


def test_nothing_is_touched_when_all_are_off() -> None:
    after, is_clipped = clip(ClippingSettings())
    assert not is_clipped
    assert all(torch.equal(a, p.grad) for a, p in zip(after, parameters(), strict=True))


def test_the_fraction_of_clipped_updates_is_in_the_history(store: Store) -> None:
    def fractions(**changes: object) -> list[float]:
        return [r.clipped_fraction for r in run(store, train__epochs=3, **changes).history]

    assert fractions() == [0.0] * 3
    assert fractions(train__clipping__norm=1e-6) == [1.0] * 3
    free = run(store, train__epochs=3)
    between = sorted(free.updates.gradient_norm)[len(free.updates) // 2]
    some = run(store, train__epochs=3, train__clipping__norm=between)
    counted = sum(norm > between for norm in some.updates.gradient_norm) / len(some.updates)
    assert 0 < counted < 1
    assert sum(r.clipped_fraction for r in some.history) / 3 == pytest.approx(counted)
