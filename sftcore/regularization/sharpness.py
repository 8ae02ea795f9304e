"""Sharpness-aware minimisation: descend the loss of the worst neighbour, not the loss itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sftcore.foundations.settings import Coefficient, PositiveCount, Settings, setting


class SharpnessSettings(Settings):
    """Flatness: sharpness-aware minimisation."""

    rho: Coefficient = setting(0.0, "radius of sharpness-aware minimisation; 0 is off")
    every: PositiveCount = setting(1, "updates from one with it to the next")


@contextmanager
def moved_uphill(
    parameters: Sequence[nn.Parameter], rho: float, gradient_norm: Tensor
) -> Iterator[None]:
    """Move the parameters by ``ρ·g/‖g‖₂`` for a while, and put them back to the last bit.

    (Foret et al., 2021, Sharpness-aware minimization, eq. 2 with p = 2.) The gradient that is taken
    inside is the one to descend.

    Args:
        parameters: with gradients; those without stay.
        rho: radius of the neighbourhood.
        gradient_norm: ``‖g‖₂`` over all of them; where it is zero nothing moves.
    """
    before = [parameter.detach().clone() for parameter in parameters]
    scale = rho / gradient_norm.clamp(min=1e-12)
    with torch.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.add_(parameter.grad * scale)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, kept in zip(parameters, before, strict=True):
                parameter.copy_(kept)
