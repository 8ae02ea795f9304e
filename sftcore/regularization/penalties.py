"""Penalties on the parameters: added to the loss, or as a proximal step after the update."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sftcore.foundations.settings import Coefficient, Settings, setting


@dataclass(frozen=True)
class Penalized:
    """A parameter tensor that penalties apply to.

    Attributes:
        parameter: θ.
        origin: θ₀, where the tensor began; zeros for a new head, which began nowhere.
        factor: on every coefficient; other than 1 for the head only.
        rate_factor: on the learning rate.
    """

    parameter: Tensor
    origin: Tensor
    factor: float
    rate_factor: float


def l1_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """``‖θ‖₁ = Σ|θᵢ|`` over all parameters.

    The loss becomes ``L + λ‖θ‖₁`` (Tibshirani, 1996, Regression shrinkage and selection via the
    lasso). Its gradient has the size λ wherever θᵢ is not zero.

    Args:
        parameters: tensors of any shape.

    Returns:
        A scalar; zero for no parameters.
    """
    return _total(parameter.abs().sum() for parameter in parameters)


def l2_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """``‖θ‖₂² = Σθᵢ²`` over all parameters.

    The loss becomes ``L + λ‖θ‖₂²`` (Hoerl and Kennard, 1970, Ridge regression). Its gradient is
    2λθ, so it acts like SGD's weight decay of 2λ.

    Args:
        parameters: tensors of any shape.

    Returns:
        A scalar; zero for no parameters.
    """
    return _total(parameter.square().sum() for parameter in parameters)


def l1_sp_penalty(parameters: Iterable[Tensor], origins: Iterable[Tensor]) -> Tensor:
    """``‖θ − θ₀‖₁``: the parameters may leave their pretrained values only for a reason.

    (Li, Grandvalet and Davoine, 2018, Explicit inductive bias for transfer learning, eq. 5.)

    Args:
        parameters: tensors of any shape.
        origins: of the same shapes.

    Returns:
        A scalar; zero for no parameters.
    """
    return l1_penalty(p - origin for p, origin in zip(parameters, origins, strict=True))


def l2_sp_penalty(parameters: Iterable[Tensor], origins: Iterable[Tensor]) -> Tensor:
    """``‖θ − θ₀‖₂²``: a pull towards the pretrained values instead of towards zero.

    (Li, Grandvalet and Davoine, 2018, Explicit inductive bias for transfer learning, eq. 3.) The
    paper halves the coefficient.

    Args:
        parameters: tensors of any shape.
        origins: of the same shapes.

    Returns:
        A scalar; zero for no parameters.
    """
    return l2_penalty(p - origin for p, origin in zip(parameters, origins, strict=True))


class PenaltySettings(Settings):
    """Penalties on the parameters: λ of each; 0 is off."""

    l1: Coefficient = setting(0.0, "lambda of lambda * sum |w|")
    l2: Coefficient = setting(
        0.0, "lambda of lambda * sum w^2; equals weight_decay at half its value"
    )
    l1_sp: Coefficient = setting(
        0.0, "lambda of lambda * sum |w - w0|, w0 the pretrained; zero for the head"
    )
    l2_sp: Coefficient = setting(0.0, "lambda of lambda * sum (w - w0)^2, likewise")
    form: Literal["loss", "proximal"] = setting(
        "loss", "these four in the loss, or as a step after it"
    )
    norm_and_bias: bool = setting(
        False, "whether these and weight_decay also shrink norms, biases, tokens, tables"
    )
    head_factor: Coefficient = setting(1.0, "on the four penalties of the head")

    @property
    def are_on(self) -> bool:
        """Whether any penalty applies."""
        return max(self.l1, self.l2, self.l1_sp, self.l2_sp) > 0


def total_penalty(penalized: Sequence[Penalized], coefficients: PenaltySettings) -> Tensor:
    """``Σ_f f·(λ₁‖θ‖₁ + λ₂‖θ‖₂² + λ₁ₛₚ‖θ − θ₀‖₁ + λ₂ₛₚ‖θ − θ₀‖₂²)`` over groups of one factor f.

    Args:
        penalized: what the penalties apply to.
        coefficients: λ of each.

    Returns:
        A scalar; zero if all are off.
    """
    total = torch.zeros(())
    for factor in dict.fromkeys(item.factor for item in penalized):
        group = [item for item in penalized if item.factor == factor]
        tensors, origins = [i.parameter for i in group], [i.origin for i in group]
        total = total.to(tensors[0].device)
        if coefficients.l1 > 0:
            total = total + factor * coefficients.l1 * l1_penalty(tensors)
        if coefficients.l2 > 0:
            total = total + factor * coefficients.l2 * l2_penalty(tensors)
        if coefficients.l1_sp > 0:
            total = total + factor * coefficients.l1_sp * l1_sp_penalty(tensors, origins)
        if coefficients.l2_sp > 0:
            total = total + factor * coefficients.l2_sp * l2_sp_penalty(tensors, origins)
    return total


def soft_threshold(tensor: Tensor, threshold: float) -> Tensor:
    """``sign(x)·max(|x| − t, 0)``: the proximal map of ``t‖x‖₁``, which gives exact zeros.

    (Donoho, 1995, De-noising by soft-thresholding; Parikh and Boyd, 2014, Proximal algorithms,
    section 6.5.2.)
    """
    return tensor.sign() * (tensor.abs() - threshold).clamp(min=0)


def shrink(tensor: Tensor, amount: float) -> Tensor:
    """``x / (1 + 2t)``: the proximal map of ``t‖x‖₂²`` (Parikh and Boyd, 2014, section 6.1.1)."""
    return tensor / (1 + 2 * amount)


@torch.no_grad()
def proximal_step(
    penalized: Iterable[Penalized], coefficients: PenaltySettings, learning_rate: float
) -> None:
    """Apply the penalties apart from the gradient: the proximal map of each at ``η·f·λ``.

    First those towards zero, L1 before L2, which together are the exact map of the elastic net;
    then, likewise, those towards θ₀. To first order in η, L2 here is the decoupled decay of 2λ
    (Loshchilov and Hutter, 2019).

    Args:
        penalized: changed in place.
        coefficients: λ of each.
        learning_rate: η of the update that was just made.
    """
    for item in penalized:
        reach = learning_rate * item.rate_factor * item.factor
        moved = soft_threshold(item.parameter, reach * coefficients.l1)
        moved = shrink(moved, reach * coefficients.l2)
        if coefficients.l1_sp > 0 or coefficients.l2_sp > 0:
            away = soft_threshold(moved - item.origin, reach * coefficients.l1_sp)
            moved = item.origin + shrink(away, reach * coefficients.l2_sp)
        item.parameter.copy_(moved)


def _total(terms: Iterable[Tensor]) -> Tensor:
    terms = list(terms)
    return torch.stack(terms).sum() if terms else torch.zeros(())
