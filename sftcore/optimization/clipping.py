"""Limits on the gradient: on each number, on each unit, on the whole."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sftcore.foundations.settings import Coefficient, Settings, setting

_AGC_LEAST_NORM = 1e-3  # ε of the paper: a weight of zero could never leave it otherwise


class ClippingSettings(Settings):
    """Limits on the gradient; 0 is off.

    All that are on apply: agc, then value, then norm.
    """

    norm: Coefficient = setting(0.0, "largest norm of the whole gradient")
    value: Coefficient = setting(0.0, "largest absolute value of each number")
    agc: Coefficient = setting(0.0, "largest norm of each unit, as part of its weights' norm")


@torch.no_grad()
def clip_gradients(
    parameters: Sequence[nn.Parameter],
    heads: Sequence[nn.Parameter],
    clipping: ClippingSettings,
    gradient_norm: Tensor,
) -> bool:
    """Shrink gradients that exceed a limit, in place.

    Args:
        parameters: all that are trained.
        heads: those of the last layer, which AGC leaves alone (Brock et al., 2021, section 4.1).
        clipping: the limits.
        gradient_norm: ``‖g‖₂`` over all parameters as their gradients are now.

    Returns:
        Whether any limit was exceeded.
    """
    before = gradient_norm
    is_clipped = False
    if clipping.agc > 0:
        apart = {id(parameter) for parameter in heads}
        for parameter in parameters:
            if id(parameter) not in apart and parameter.grad is not None:
                is_clipped |= _clip_units(parameter, parameter.grad, clipping.agc)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if clipping.value > 0:
        most = torch.stack([gradient.abs().max() for gradient in gradients]).max()
        is_clipped |= bool(most > clipping.value)
        nn.utils.clip_grad_value_(parameters, clipping.value)
    if clipping.norm > 0:
        norm = nn.utils.get_total_norm(gradients) if clipping.agc or clipping.value else before
        is_clipped |= bool(norm > clipping.norm)
        nn.utils.clip_grads_with_norm_(parameters, clipping.norm, norm)
    return is_clipped


def _clip_units(weight: Tensor, gradient: Tensor, ratio: float) -> bool:
    """Adaptive gradient clipping: ``‖gᵢ‖ ≤ λ·max(‖wᵢ‖, ε)`` for each unit i.

    A unit is one output of a layer; a vector, such as a bias, is one unit as a whole (Brock et al.,
    2021, High-performance large-scale image recognition without normalization, eq. 3).
    """
    limit = ratio * _unit_norm(weight).clamp(min=_AGC_LEAST_NORM)
    norm = _unit_norm(gradient)
    exceeds = norm > limit
    gradient.mul_(torch.where(exceeds, limit / norm.clamp(min=1e-6), torch.ones_like(norm)))
    return bool(exceeds.any())


def _unit_norm(tensor: Tensor) -> Tensor:
    """``‖·‖₂`` of each unit, shaped to multiply with the tensor."""
    if tensor.ndim <= 1:
        return tensor.norm()
    return tensor.flatten(1).norm(dim=1).view(-1, *[1] * (tensor.ndim - 1))
