"""Optimizers by name, and how their learning rate is counted."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import torch

from sftcore.foundations.settings import PositiveCount, Settings, one_of, setting
from sftcore.models.parameter_groups import Claim

_SECOND_BETA = 0.999
OptimizerName = Annotated[str, one_of(lambda: OPTIMIZERS)]
Build = Callable[[list[dict[str, Any]], float], torch.optim.Optimizer]


def _torch(name: str, **settings: Any) -> Build:
    def build(groups: list[dict[str, Any]], momentum: float) -> torch.optim.Optimizer:
        return getattr(torch.optim, name)(groups, lr=0.0, momentum=momentum, **settings)

    return build


def _torch_betas(name: str, **settings: Any) -> Build:
    def build(groups: list[dict[str, Any]], momentum: float) -> torch.optim.Optimizer:
        betas = (momentum, _SECOND_BETA)
        return getattr(torch.optim, name)(groups, lr=0.0, betas=betas, **settings)

    return build


def _timm(name: str, **settings: Any) -> Build:
    def build(groups: list[dict[str, Any]], momentum: float) -> torch.optim.Optimizer:
        import timm.optim

        return getattr(timm.optim, name)(groups, lr=0.0, momentum=momentum, **settings)

    return build


def _timm_betas(name: str, second_beta: float = _SECOND_BETA, **settings: Any) -> Build:
    def build(groups: list[dict[str, Any]], momentum: float) -> torch.optim.Optimizer:
        import timm.optim

        betas = (momentum, second_beta)
        return getattr(timm.optim, name)(groups, lr=0.0, betas=betas, **settings)

    return build


# Momentum is SGD's, or the first of two betas. Where a method knows bias correction it is on:
# without it fine-tuning is less stable (Mosbach et al., 2021, section 5.2). LAMB does not clip by
# itself: clipping is a setting of its own.
OPTIMIZERS: dict[str, Build] = {
    "sgd": _torch("SGD", foreach=True),
    "nesterov": _torch("SGD", foreach=True, nesterov=True),
    "rmsprop": _torch("RMSprop", foreach=True),
    "adam": _torch_betas("Adam", foreach=True),
    "adamw": _torch_betas("AdamW", foreach=True),
    "nadam": _torch_betas("NAdam", foreach=True),
    "radam": _torch_betas("RAdam", foreach=True),
    "lamb": _timm_betas("Lamb", bias_correction=True, max_grad_norm=None),
    "lars": _timm("Lars"),
    "lion": _timm_betas("Lion", second_beta=0.99),
    "adabelief": _timm_betas("AdaBelief", rectify=False),
}
_HEAVY_BALL = ("sgd", "nesterov", "rmsprop", "lars")  # a gradient adds up to 1/(1 − m) of itself


def build_optimizer(
    name: str, claims: Sequence[Claim], *, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """An optimizer over the trained tensors; weight decay applies to the penalised ones.

    The learning rate is set before every step and starts at zero here. ``sgd`` adds the decay
    to the gradient, ``g + λθ``, which equals the L2 penalty ``(λ/2)‖θ‖₂²``; so do ``nesterov``, and
    before their scaling ``rmsprop``, ``adam``, ``nadam``, ``radam`` and ``lars``. ``adamw``,
    ``adabelief`` and ``lion`` decay apart from the gradient, by ``ηλθ`` (Loshchilov and Hutter,
    2019). ``lamb`` is between the two: it adds ``λθ`` to Adam's scaled step, which the moments
    never see, and the ratio of norms then scales both (You et al., 2020, Large batch optimization
    for deep learning, algorithm 2). ``lars`` and ``lamb`` adapt the rate of the tensors that decay
    and no others, as timm has it: without weight decay they are SGD and Adam.

    Args:
        name: in :data:`OPTIMIZERS`.
        claims: see :func:`sftcore.models.parameter_groups.claim_parameters`.
        momentum: of SGD and its kin; for the others the first of the two betas.
        weight_decay: λ.

    Raises:
        ValueError: no such optimizer, or nothing to train.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer {name!r} is none of {', '.join(OPTIMIZERS)}")
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
    return OPTIMIZERS[name](groups, momentum)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group of the optimizer this learning rate, times the group's own factor."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["rate_factor"]


def effective_rate(learning_rate: float, optimizer: str, momentum: float) -> float:
    """How far a constant gradient moves a parameter in the end, a step: ``η/(1 − m)``.

    (Li et al., 2020, Rethinking the hyperparameters for fine-tuning, section 3.2.) Optimizers that
    keep a mean of gradients and not their sum have ``η`` itself.

    Args:
        learning_rate: η.
        optimizer: its name.
        momentum: m in [0, 1).
    """
    return learning_rate / (1 - momentum) if optimizer in _HEAVY_BALL else learning_rate


class RateScalingSettings(Settings):
    """Scaling of the learning rates by the size of the batch."""

    rule: Literal["none", "linear", "sqrt"] = setting("none", "of both rates with batch_size")
    batch_size: PositiveCount = setting(
        32, "examples per update for which the rates are as they stand"
    )


def scaled_rate(learning_rate: float, scaling: RateScalingSettings, batch_size: int) -> float:
    """The rate for another size of the batch than the one it was chosen for.

    The rule is ``none``, ``linear`` (``η·B/B₀``; Goyal et al., 2017, section 2.1) or ``sqrt``
    (``η·√(B/B₀)``; Krizhevsky, 2014, One weird trick, section 5).

    Args:
        learning_rate: η, good for B₀ examples per update.
        scaling: the rule, and B₀.
        batch_size: B.
    """
    ratio = batch_size / scaling.batch_size
    return learning_rate * {"none": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio)}[scaling.rule]
