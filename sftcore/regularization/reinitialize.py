"""The last layers of a pretrained encoder begin anew."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sftcore.foundations.randomness import numpy_stream

_MATRICES = (nn.Linear, nn.modules.conv._ConvNd, nn.Embedding)


@torch.no_grad()
def reinitialize(modules: Mapping[str, nn.Module], initializer_range: float, seed: int) -> None:
    """Give modules the parameters that they had before the encoder was trained at all.

    The last layers of an encoder know its old task best and serve the new one least (Zhang et al.,
    2021, Revisiting few-sample BERT fine-tuning, section 5; 1 to 6 of BERT-large's 24 layers).
    Weights are drawn from N(0, σ²), biases become 0, norms 1 and 0, as BERT's own code has them.
    Each tensor's numbers are a function of (seed, its name).

    Args:
        modules: the layers by name; changed in place.
        initializer_range: σ of the encoder's configuration.
        seed: of the training.

    Raises:
        TypeError: one of the modules' parts owns a parameter and is of no kind that has a rule.
    """
    for outer, layer in modules.items():
        for inner, module in layer.named_modules():
            name = f"{outer}.{inner}".rstrip(".")
            for leaf, parameter in module.named_parameters(recurse=False):
                value = _value(module, leaf, parameter, initializer_range, seed, f"{name}.{leaf}")
                parameter.copy_(value)


def _value(
    module: nn.Module, leaf: str, parameter: Tensor, sigma: float, seed: int, name: str
) -> Tensor:
    """The first value of one parameter."""
    if leaf == "bias":
        return torch.zeros_like(parameter)
    if isinstance(module, _MATRICES):
        drawn = numpy_stream(seed, "reinitialize", name).standard_normal(parameter.shape)
        return torch.from_numpy(sigma * drawn).to(parameter)
    if "Norm" in type(module).__name__ and leaf == "weight":
        return torch.ones_like(parameter)
    raise TypeError(f"{name} of a {type(module).__name__} has no rule for a new beginning")
