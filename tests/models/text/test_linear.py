"""Linear maps by oneDNN are linear maps, gradients included."""

import pytest
import torch
from torch import nn

from sftcore.models.text.linear import OneDnnLinear, use_one_dnn


def maps(bias: bool) -> tuple[nn.Linear, nn.Linear]:
    """The same map by oneDNN in fp32, and by torch in float64."""
    torch.manual_seed(0)
    plain = nn.Linear(24, 40, bias=bias)
    ours = nn.Linear(24, 40, bias=bias)
    ours.load_state_dict(plain.state_dict())
    holder = nn.Sequential(ours, nn.GELU())
    use_one_dnn(holder)
    assert type(ours) is OneDnnLinear
    return ours, plain.double()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 24), (7, 24), (3, 5, 24)])
def test_value_and_gradients_are_those_of_the_map(bias: bool, shape: tuple[int, ...]) -> None:
    ours, plain = maps(bias)
    given = torch.randn(shape, requires_grad=True)
    wanted = given.detach().double().requires_grad_()
    weights = torch.randn(*shape[:-1], 40)
    found, expected = ours(given), plain(wanted)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    (found * weights).sum().backward()
    (expected * weights.double()).sum().backward()
    assert given.grad is not None
    assert wanted.grad is not None
    torch.testing.assert_close(given.grad.double(), wanted.grad, rtol=1e-5, atol=1e-5)
    for own, other in zip(ours.parameters(), plain.parameters(), strict=True):
        assert own.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(own.grad.double(), other.grad, rtol=1e-5, atol=1e-5)


def test_what_is_frozen_gets_no_gradient() -> None:
    ours, _ = maps(bias=True)
    ours.requires_grad_(False)
    given = torch.randn(3, 24, requires_grad=True)
    ours(given).sum().backward()
    assert given.grad is not None
    assert ours.weight.grad is None


def test_other_types_are_torchs_own() -> None:
    ours, plain = maps(bias=True)
    given = torch.randn(4, 24)
    assert torch.equal(ours.double()(given.double()), plain(given.double()))
    with torch.autocast("cpu", torch.bfloat16):
        assert ours.float()(given).dtype == torch.bfloat16
    assert ours(given[:0]).shape == (0, 40)
