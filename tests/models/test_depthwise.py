"""Depthwise convolutions with large kernels: the same function, the same gradient."""

import copy

import pytest
import timm
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn

from sftcore.models.depthwise import speed_up_depthwise

SHAPES = [  # kernel, stride, padding, dilation
    (5, 1, 2, 1),
    (5, 2, 2, 1),
    (5, 3, 0, 1),
    (5, 1, 4, 2),
    (5, 2, 3, 2),
    ((3, 7), (2, 1), (1, 3), 1),
    (7, 1, 3, 1),
]


def gradients(module: nn.Module, x: Tensor, wanted: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    output = module(x)
    (output * wanted).sum().backward()
    return [output.detach(), x.grad, *(each.grad for each in module.parameters())]  # type: ignore[list-item]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("has_bias", [False, True])
def test_gradients_are_those_of_double_precision(shape: tuple, has_bias: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 6, *shape, groups=6, bias=has_bias)
    faster = nn.Sequential(copy.deepcopy(conv))
    speed_up_depthwise(faster)
    assert type(faster[0]) is not nn.Conv2d
    x = torch.randn(3, 6, 13, 11)
    wanted = torch.randn_like(conv(x))
    expected = gradients(conv.double(), x.double(), wanted.double())
    for ours, theirs in zip(gradients(faster, x, wanted), expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [9, 12])
def test_tensorflows_padding_is_kept(size: int) -> None:
    torch.manual_seed(0)
    conv = Conv2dSame(4, 4, 5, stride=2, groups=4, bias=False)
    faster = nn.Sequential(copy.deepcopy(conv))
    speed_up_depthwise(faster)
    x = torch.randn(2, 4, size, size)
    wanted = torch.randn_like(conv(x))
    for ours, theirs in zip(gradients(faster, x, wanted), gradients(conv, x, wanted), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_what_is_not_slow_stays_as_it_is() -> None:
    kept = nn.ModuleList(
        [
            nn.Conv2d(4, 4, 3, groups=4),
            nn.Conv2d(4, 4, 5),
            nn.Conv2d(4, 8, 5, groups=4),
            nn.Conv2d(4, 4, 5, groups=4, padding_mode="reflect", padding=2),
            nn.Conv2d(4, 4, 5, groups=4, padding="same"),
        ]
    )
    types = [type(each) for each in kept]
    speed_up_depthwise(kept)
    assert [type(each) for each in kept] == types


def test_a_networks_outputs_and_names_stay_as_they_are() -> None:
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0", num_classes=3)
    faster = copy.deepcopy(network)
    speed_up_depthwise(faster)
    x = torch.randn(2, 3, 64, 64)
    assert list(faster.state_dict()) == list(network.state_dict())
    assert torch.equal(faster.eval()(x), network.eval()(x))
    changed = [each for each in faster.modules() if type(each).__name__ == "_Depthwise"]
    assert {each.kernel_size for each in changed} == {(5, 5)}
    assert all(each.weight.requires_grad for each in changed)


def test_frozen_weights_get_no_gradient_and_other_precisions_go_the_usual_way() -> None:
    torch.manual_seed(0)
    faster = nn.Sequential(nn.Conv2d(4, 4, 5, groups=4))
    speed_up_depthwise(faster)
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    faster.requires_grad_(False)
    faster(x).sum().backward()
    assert x.grad is not None
    assert faster[0].weight.grad is None
    faster.requires_grad_(True)
    with torch.autocast("cpu", torch.bfloat16):
        output = faster(x)
    assert output.dtype == torch.bfloat16
    output.float().sum().backward()
    assert faster[0].weight.grad is not None
