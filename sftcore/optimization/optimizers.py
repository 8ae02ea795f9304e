"""Optimizers by name."""

from collections.abc import Sequence

import torch
from torch import nn

from sftcore.models.parameter_groups import Claim


def build_optimizer(
    name: str, claims: Sequence[Claim], *, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """An optimizer over the trained tensors; weight decay applies to the penalised ones.

    The learning rate is set before every step and starts at zero here. ``sgd`` adds the decay
    to the gradient, ``g + λθ``, which equals the L2 penalty ``(λ/2)‖θ‖₂²``; so does
    ``adam``, before its scaling. ``adamw`` decays apart from the gradient (Loshchilov and Hutter,
    2019).

    Args:
        name: ``sgd``, ``adam`` or ``adamw``.
        claims: see :func:`sftcore.models.parameter_groups.claim_parameters`.
        momentum: of SGD; for Adam and AdamW the first of the two betas.
        weight_decay: λ.

    Raises:
        ValueError: no such optimizer, or nothing to train.
    """
    trained = [claim for claim in claims if claim.is_trained]
    groups = []
    for rate_factor in dict.fromkeys(claim.rate_factor for claim in trained):
        for is_penalized in (True, False):
            parameters = [
                claim.parameter
                for claim in trained
                if (claim.rate_factor, claim.is_penalized) == (rate_factor, is_penalized)
            ]
            decay = weight_decay if is_penalized else 0.0
            group = {"params": parameters, "weight_decay": decay, "rate_factor": rate_factor}
            groups += [group] * bool(parameters)
    if name == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=momentum, foreach=True)
    if name == "adam":
        return torch.optim.Adam(groups, lr=0.0, betas=(momentum, 0.999), foreach=True)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, betas=(momentum, 0.999), foreach=True)
    raise ValueError(f"optimizer {name!r} is none of sgd, adam, adamw")


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group of the optimizer this learning rate, times the group's own factor."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["rate_factor"]


def trained_parameters(claims: Sequence[Claim]) -> list[nn.Parameter]:
    """The tensors that gradient descent changes."""
    return [claim.parameter for claim in claims if claim.is_trained]
