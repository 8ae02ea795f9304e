"""Mixout: dropout that falls back on the pretrained weights, not on zero."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sftcore.foundations.randomness import numpy_stream


def mix_weights(weight: Tensor, origin: Tensor, is_origin: Tensor, probability: float) -> Tensor:
    """``(M·w₀ + (1 − M)·w − p·w₀) / (1 − p)``, whose expectation is w.

    (Lee, Cho and Kang, 2020, Mixout: effective regularization to finetune large-scale pretrained
    language models, figure 1 and the authors' code.) The gradient is ``1/(1 − p)`` where w stays
    and zero elsewhere.

    Args:
        weight: w, of any shape.
        origin: w₀, of the same shape; no gradient flows into it.
        is_origin: M, bool, of a shape that spreads to it.
        probability: p in [0, 1).
    """
    origin = origin.detach()
    # Computed from the difference: where w is w₀ the mixed weight is w₀ to the last bit.
    kept = torch.where(is_origin, 0.0, (weight - origin) / (1 - probability))
    return origin + kept


def linear_maps(network: nn.Module) -> set[str]:
    """Names of the parameters of linear maps and convolutions, which the paper mixes."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    return {
        f"{outer}.{leaf}"
        for outer, module in network.named_modules()
        if isinstance(module, kinds)
        for leaf, _ in module.named_parameters(recurse=False)
    }


def draw_mask(name: str, shape: torch.Size, probability: float, seed: int, step: int) -> Tensor:
    """What of a parameter falls back in one update: a function of (seed, step, name).

    Of a matrix [out, in, ...] all weights that leave an input fall back together, as dropout takes
    away a neuron; of a vector each entry for itself.

    Returns:
        bool [1, in, ...], or of the vector's shape, on the CPU.
    """
    drawn = shape if len(shape) == 1 else (1, *shape[1:])
    numbers = numpy_stream(seed, "mixout", step, name).random(tuple(drawn))
    return torch.from_numpy(numbers < probability)


@contextmanager
def mixed_with_origin(
    network: nn.Module,
    origins: Mapping[str, Tensor],
    probability: float,
    *,
    seed: int,
    step: int,
) -> Iterator[None]:
    """Let a network compute with mixed weights for a while; gradients reach its own parameters.

    The parameters themselves do not change, so penalties and optimizer see them as they are.

    Args:
        network: whose parameters are mixed.
        origins: w₀ by name of the parameter, in the paper the weights of the pretrained linear
            maps; those that are not named stay as they are.
        probability: p in [0, 1); with 0 nothing is done.
        seed: of the training.
        step: of the update; all parts of a batch share its masks.
    """
    if probability == 0:
        yield
        return
    places = []
    for name, origin in origins.items():
        outer, _, leaf = name.rpartition(".")
        owner = network.get_submodule(outer)
        parameter = owner.get_parameter(leaf)
        mask = draw_mask(name, parameter.shape, probability, seed, step).to(parameter.device)
        places.append((owner, leaf, parameter, mix_weights(parameter, origin, mask, probability)))
    try:
        for owner, leaf, _, mixed in places:
            owner._parameters[leaf] = mixed  # type: ignore[assignment]
        yield
    finally:
        for owner, leaf, parameter, _ in places:
            owner._parameters[leaf] = parameter
