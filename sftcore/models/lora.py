"""LoRA: what a linear map learns is a product of two small matrices, and what it was stays.

(Hu et al., 2022, LoRA: low-rank adaptation of large language models, section 4.1.) The product is
scaled by ``alpha / √rank`` (Kalajdzievski, 2023, A rank stabilization scaling factor, theorem 3.2),
so that one learning rate serves every rank. The second matrix begins at zero, so that the network
does; it may have a rate of its own (Hayou et al., 2024, LoRA+, section 4).

An adapter is a member of the module that it adapts, beside its weight, and adds its branch behind
the module's own output. Where a network is kept, averaged or chosen, the product is added to the
weight: what comes of a training has the names and shapes of what it began with.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from sftcore.foundations.errors import WeightsError
from sftcore.foundations.randomness import torch_stream
from sftcore.foundations.settings import Count, Settings, setting

MEMBER = "lora"
_Positive = Annotated[float, Field(gt=0)]


class LoraSettings(Settings):
    """Low-rank changes of the trained blocks' linear maps, in place of free ones."""

    rank: Count = setting(0, "of what a linear map learns; 0 is off: all of it is free")
    alpha: _Positive = setting(16.0, "scale of what is learnt: alpha / sqrt(rank)")
    rate_of_b: _Positive = setting(1.0, "factor on the rate of the matrix that begins at zero")


class Adapter(nn.Module):
    """``x Aᵀ Bᵀ · scale``: features [..., I] to [..., O].

    Attributes:
        a: [R, I].
        b: [O, R], zero at the start.
        scale: of the product.
    """

    def __init__(self, num_in: int, num_out: int, rank: int, alpha: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(rank, num_in))
        self.b = nn.Parameter(torch.zeros(num_out, rank))
        self.scale = alpha / math.sqrt(rank)

    def forward(self, features: Tensor) -> Tensor:
        """What is added to the output of the module that it adapts."""
        inner = nn.functional.linear(features, self.a)
        return self.scale * nn.functional.linear(inner, self.b)

    def product(self) -> Tensor:
        """What is added to its weight [O, I]."""
        return self.scale * (self.b.detach() @ self.a.detach())


def add_adapters(
    backbone: nn.Module, names: Mapping[str, nn.Module], settings: LoraSettings, seed: int
) -> None:
    """Give linear maps an adapter each.

    Args:
        backbone: that holds the modules.
        names: modules that may be adapted, by their names; those that are no linear maps, and those
            that others compute with in their own way, stay as they are.
        settings: rank at least 1.
        seed: decides the first matrices.

    Raises:
        WeightsError: there is no linear map among them.
    """
    wanted = {name: module for name, module in names.items() if _sizes(module) is not None}
    if not wanted:
        raise WeightsError(
            "model.lora.rank is above 0, and no block that is trained has a linear map, as "
            "transformers have them: set it to 0, raise model.trainable_blocks, or choose another "
            "backbone"
        )
    for name, module in wanted.items():
        num_in, num_out = _sizes(module) or (0, 0)
        adapter = Adapter(num_in, num_out, settings.rank, settings.alpha)
        bound = 1 / math.sqrt(num_in)  # Kaiming's for a linear map, as for the map itself
        with torch.no_grad():
            adapter.a.uniform_(-bound, bound, generator=torch_stream(seed, "lora", name))
        weight: Any = module.weight
        module.add_module(MEMBER, adapter.to(weight.device))
        module.register_forward_hook(_add_branch)


def _add_branch(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output + module.lora(inputs[0])


def _sizes(module: Any) -> tuple[int, int] | None:
    """Features that a linear map takes and gives; None of another module."""
    if isinstance(module, nn.modules.linear.NonDynamicallyQuantizableLinear):
        return None  # attention of torch uses its weight and never calls it
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if _is_transposed(module):
        return module.weight.shape[0], module.weight.shape[1]
    return None


def _is_transposed(module: nn.Module) -> bool:
    """GPT-2's linear maps, whose weight is [I, O]."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def adapted(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """Modules with an adapter, by name."""
    for name, module in network.named_modules():
        if isinstance(getattr(module, MEMBER, None), Adapter):
            yield name, module


def is_adapter(name: str) -> bool:
    """Whether a parameter's name is that of an adapter's matrix."""
    return name.endswith((f".{MEMBER}.a", f".{MEMBER}.b"))


def merged(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network's tensors with every product added to its weight, and without adapters.

    Args:
        network: that they are of.
        state: its own tensors, not changed.
    """
    found = {name: tensor for name, tensor in state.items() if not is_adapter(name)}
    for name, module in adapted(network):
        product = module.lora.product()
        own = state[f"{name}.weight"]
        found[f"{name}.weight"] = own + (product.T if _is_transposed(module) else product)
    return found


def with_adapters(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as a network with adapters takes them: of those that were merged, products of zero.

    Args:
        network: that shall take them.
        state: with or without adapters.
    """
    found = dict(state)
    for name, module in adapted(network):
        if f"{name}.{MEMBER}.a" not in found:
            found[f"{name}.{MEMBER}.a"] = module.lora.a.detach()
            found[f"{name}.{MEMBER}.b"] = torch.zeros_like(module.lora.b)
    return found
