"""Adaptive average pooling whose gradient CUDA can compute deterministically.

torch's own adds up a gradient in no fixed order on CUDA, and refuses where determinism is asked
for, unless the output is one number per channel.
"""

from typing import Any

import torch
from torch import Tensor, nn


def average_windows(x: Tensor, output_size: tuple[int, int]) -> Tensor:
    """What ``torch.nn.functional.adaptive_avg_pool2d`` gives, to the last bits.

    Window i of o over n rows reaches from row ``floor(i·n/o)`` to before row ``ceil((i+1)·n/o)``.

    Args:
        x: [..., H, W].
        output_size: rows and columns of the result.

    Returns:
        [..., rows, columns]; ``x`` itself if it has this size already.
    """
    for dim, count in zip((-2, -1), output_size, strict=True):
        x = _average_along(x, dim, count)
    return x


def _average_along(x: Tensor, dim: int, count: int) -> Tensor:
    size = x.shape[dim]
    if size == count:
        return x
    if size % count == 0:
        return x.unflatten(dim, (count, size // count)).mean(dim)
    windows = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
    means = [x.narrow(dim, begin, end - begin).mean(dim, keepdim=True) for begin, end in windows]
    return torch.cat(means, dim)


class AverageWindows(nn.Module):
    """:func:`average_windows` as a module; None leaves a side as it is."""

    def __init__(self, output_size: int | tuple[int | None, int | None]) -> None:
        super().__init__()
        both = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
        self.output_size = both

    def forward(self, x: Tensor) -> Tensor:
        """[..., H, W] to [..., rows, columns]."""
        rows, columns = self.output_size
        return average_windows(x, (rows or x.shape[-2], columns or x.shape[-1]))


def pool_deterministically(module: nn.Module) -> None:
    """Put :class:`AverageWindows` where a network pools to more than one number per channel."""
    for name, part in list(module.named_modules()):
        if isinstance(part, nn.AdaptiveAvgPool2d) and part.output_size not in (None, 1, (1, 1)):
            module.set_submodule(name, AverageWindows(part.output_size))
        elif type(part).__module__ == "timm.models.vgg" and hasattr(part, "input_kernel_size"):
            part.register_forward_pre_hook(_enlarge)


def _enlarge(part: Any, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """timm's VGG pools maps that are smaller than its first linear layer to the layer's size."""
    x, least = inputs[0], part.input_kernel_size
    return (average_windows(x, (max(x.shape[-2], least), max(x.shape[-1], least))),)
