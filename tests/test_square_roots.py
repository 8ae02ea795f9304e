"""Roots are correctly rounded, so that Adam's updates are the same on CPUs of all makers."""

import numpy as np
import pytest
import torch

from sftcore.foundations.runtime import set_up


@pytest.fixture(autouse=True)
def _set_up() -> None:
    set_up("cpu", 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_way_to_a_root_is_correctly_rounded(dtype: torch.dtype) -> None:
    x = torch.rand(10_007, generator=torch.Generator().manual_seed(0), dtype=dtype) * 10
    wanted = torch.from_numpy(np.sqrt(x.numpy()))
    out = torch.empty_like(x)
    torch.sqrt(x, out=out)
    grown = torch.empty(0, dtype=dtype)
    torch.sqrt(x, out=grown)
    ways = (x.sqrt(), x.clone().sqrt_(), out, grown, torch._foreach_sqrt([x])[0])
    assert all(torch.equal(found, wanted) for found in ways)
    assert torch.equal(x[::3].sqrt(), wanted[::3])
    columns = x[:10_000].view(100, 100).T
    assert torch.equal(columns.sqrt(), wanted[:10_000].view(100, 100).T)
    assert columns.sqrt().stride() == columns.stride()


def test_a_root_has_its_gradient_and_its_edges() -> None:
    x = torch.tensor([4.0, 0.25], requires_grad=True)
    x.sqrt().sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.25, 1.0]
    assert torch.isnan(torch.tensor([-1.0]).sqrt()).all()
    assert torch.tensor([0.0, np.inf]).sqrt().tolist() == [0.0, np.inf]
    assert torch.tensor(9.0).sqrt().item() == 3.0
    assert torch.empty(0).sqrt().shape == (0,)


def test_other_types_have_roots_too() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        root = torch.tensor([2.0, 9.0], dtype=dtype).sqrt()
        assert root.dtype == dtype
        assert root.tolist() == [torch.tensor(2**0.5).to(dtype).item(), 3.0]
    whole = torch.tensor([4, 9]).sqrt()
    assert (whole.dtype, whole.tolist()) == (torch.float32, [2.0, 3.0])
    assert torch.tensor([-4 + 0j]).sqrt().tolist() == [2j]
    with pytest.raises(RuntimeError, match="int64"):
        torch.tensor([4, 9]).sqrt_()


def test_adam_divides_by_roots_of_numpy() -> None:
    stream = np.random.default_rng(0)
    start, slope = stream.normal(size=(2, 5000)).astype(np.float32)
    parameter = torch.from_numpy(start.copy()).requires_grad_()
    parameter.grad = torch.from_numpy(slope)
    optimizer = torch.optim.Adam([parameter], lr=0.25, betas=(0.5, 0.75), eps=0.0)
    optimizer.step()
    square = np.float32(0.25) * slope * slope
    wanted = np.sqrt(square) / np.float32(0.25**0.5)
    state = optimizer.state[parameter]
    assert torch.equal(state["exp_avg_sq"].sqrt() / 0.25**0.5, torch.from_numpy(wanted))
