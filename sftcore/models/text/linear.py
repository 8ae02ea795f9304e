"""Linear maps by oneDNN on a CPU.

For kernels that give the same bytes on CPUs of all makers, MKL has to leave out what makes it fast
(:mod:`sftcore.foundations.instruction_set`): a map of 768 rows from 384 to 1,536 features takes 34
ms so on one core, and 13 ms by oneDNN held to AVX2. An encoder is little else than linear maps;
convolutions, of which most networks of pictures are made, are oneDNN's by themselves.
"""

from typing import Any

import torch
from torch import Tensor, nn


class OneDnnLinear(nn.Linear):
    """A linear map whose products are oneDNN's where input and weights are fp32 on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """``x Wᵀ + b`` of [..., I] to [..., O]."""
        return product(input, self.weight, self.bias)


def product(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x Wᵀ + b`` of [..., I] to [..., O], by oneDNN where all is fp32 on a CPU that has it."""
    is_plain = input.dtype == weight.dtype == torch.float32
    is_narrow = torch.is_autocast_enabled("cpu")
    is_here = input.device.type == "cpu" and torch.backends.mkldnn.is_available()
    if not is_plain or is_narrow or not is_here or input.numel() == 0:
        return nn.functional.linear(input, weight, bias)
    flat = input.reshape(-1, input.shape[-1])
    return _Product.apply(flat, weight, bias).view(*input.shape[:-1], -1)


class _Product(torch.autograd.Function):
    """``x Wᵀ + b`` with its gradients, each one product of oneDNN."""

    @staticmethod
    def forward(context: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context.save_for_backward(rows, weight)
        context.has_bias = bias is not None
        return _product(rows, weight, bias)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        rows, weight = context.saved_tensors
        wants_rows, wants_weight, wants_bias = context.needs_input_grad
        return (
            _product(gradient, weight.t(), None) if wants_rows else None,
            _product(gradient.t(), rows.t(), None) if wants_weight else None,
            gradient.sum(dim=0) if context.has_bias and wants_bias else None,
        )


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``rows · weightᵀ + bias``: [N, I] and [O, I] to [N, O]."""
    return torch.ops.mkldnn._linear_pointwise(
        rows.contiguous(), weight.contiguous(), bias, "none", [], ""
    )


def use_one_dnn(module: nn.Module) -> None:
    """Let all linear maps inside be computed so, where this build of torch has oneDNN."""
    if not torch.backends.mkldnn.is_available():
        return
    for inner in module.modules():
        if type(inner) is nn.Linear:
            inner.__class__ = OneDnnLinear
