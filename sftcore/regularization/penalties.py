"""Penalties on the size of the parameters, added to the loss."""

from collections.abc import Iterable

import torch
from torch import Tensor


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


def _total(terms: Iterable[Tensor]) -> Tensor:
    terms = list(terms)
    return torch.stack(terms).sum() if terms else torch.zeros(())
