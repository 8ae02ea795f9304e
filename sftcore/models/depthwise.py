"""Depthwise convolutions with large kernels, whose weights' gradient is slow on a CPU.

oneDNN has a fast kernel for this gradient up to 3 x 3. Beyond it takes ten times as long as the
forward pass, and more than a third of a whole update of EfficientNet-Lite0's last blocks
(``python -m benchmarks.depthwise``). The same sums are a depthwise convolution themselves: of each
channel of each row with its gradient as the kernel, summed over the rows.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_LARGEST_FAST = 3  # side of a kernel


def speed_up_depthwise(module: nn.Module) -> None:
    """Let every depthwise convolution with a large kernel in a network use the faster gradient.

    Parameters, their names and what is computed forwards stay as they are.

    Args:
        module: changed in place.
    """
    from timm.layers import Conv2dSame, pad_same

    for name, child in list(module.named_modules()):
        if type(child) in (nn.Conv2d, Conv2dSame) and _is_slow(child):
            pad = pad_same if isinstance(child, Conv2dSame) else None
            module.set_submodule(name, _Depthwise(child, pad))


def _is_slow(conv: nn.Conv2d) -> bool:
    is_depthwise = conv.groups == conv.in_channels == conv.out_channels
    is_plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return is_depthwise and is_plain and max(conv.kernel_size) > _LARGEST_FAST


class _Depthwise(nn.Conv2d):
    """A depthwise convolution in another's place, with its parameters.

    Args:
        conv: the other.
        pad: pads pictures by their size, as TensorFlow does, where the other does so.
    """

    def __init__(self, conv: Any, pad: Callable[..., Tensor] | None) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            conv.stride,
            conv.padding,
            conv.dilation,
            conv.groups,
            conv.bias is not None,
            device="meta",
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, C, H, W] to [B, C, P, Q]."""
        padding = self.padding
        if self.pad is not None:
            x, padding = self.pad(x, self.kernel_size, self.stride, self.dilation), (0, 0)
        rest: Any = (self.stride, padding, self.dilation, self.groups)
        is_single = x.dtype == self.weight.dtype == torch.float32
        if x.device.type != "cpu" or not is_single or torch.is_autocast_enabled("cpu"):
            return F.conv2d(x, self.weight, self.bias, *rest)
        return _Convolution.apply(x, self.weight, self.bias, *rest)


class _Convolution(torch.autograd.Function):
    """The convolution with torch's own output and input's gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.rest = rest
        return F.conv2d(x, weight, bias, *rest)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        by_x = by_weight = by_bias = None
        if ctx.needs_input_grad[0]:
            by_x = _input_gradient(grad, x, weight, *ctx.rest)
        if ctx.needs_input_grad[1]:
            by_weight = _weight_gradient(x, grad, weight, *ctx.rest[:3])
        if ctx.needs_input_grad[2]:
            by_bias = grad.sum(dim=(0, 2, 3))
        return by_x, by_weight, by_bias, *[None] * len(ctx.rest)


def _input_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Tensor:
    """torch's own, without the weights'."""
    rest = (None, stride, padding, dilation, False, (0, 0), groups, (True, False, False))
    by_x, *_ = torch.ops.aten.convolution_backward(grad, x, weight, *rest)
    return by_x


def _weight_gradient(
    x: Tensor,
    grad: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    """``w'[c, k] = sum over b, q of x[b, c, q·stride + k·dilation - padding] grad[b, c, q]``.

    Stride and dilation change places: neighbours in the kernel are ``dilation`` apart, and the
    gradient's own elements ``stride``.
    """
    batch, channels = grad.shape[:2]
    rows = x.reshape(1, batch * channels, *x.shape[2:])
    kernels = grad.reshape(batch * channels, 1, *grad.shape[2:])
    sums = F.conv2d(rows, kernels, None, dilation, padding, stride, batch * channels)
    high, wide = weight.shape[2:]
    return sums[0, :, :high, :wide].reshape(batch, channels, high, wide).sum(dim=0)[:, None]
