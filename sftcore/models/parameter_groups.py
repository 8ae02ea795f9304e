"""Which parameters are trained and which are penalised; each tensor is claimed exactly once."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from sftcore.models.lora import is_adapter
from sftcore.models.network import Network
from sftcore.models.spared import find_spared


@dataclass(frozen=True)
class Claim:
    """What happens to one parameter tensor.

    Attributes:
        name: in the network.
        parameter: the tensor.
        block: name of its block, ``head`` or ``source_head``.
        depth: position of its block; that of the head is the number of blocks.
        rate_factor: on the learning rate.
        is_trained: whether gradient descent changes it.
        is_penalized: whether L1, L2 and weight decay apply to it.
    """

    name: str
    parameter: nn.Parameter
    block: str
    depth: int
    rate_factor: float
    is_trained: bool
    is_penalized: bool


def claim_parameters(
    network: Network,
    *,
    first_block: int,
    freeze_norm: bool,
    penalize_norm_and_bias: bool,
    layer_rate_decay: float = 1.0,
    rate_of_b: float = 1.0,
) -> list[Claim]:
    """One claim for every parameter tensor of the network, in its order.

    Args:
        network: not changed.
        first_block: blocks before this position are frozen.
        freeze_norm: whether the scale and shift of batch norms are frozen too.
        penalize_norm_and_bias: whether penalties also apply to what is no weight of a linear map
            (:func:`sftcore.models.spared.find_spared`): norms, biases, tokens, tables, scales.
        layer_rate_decay: factor on the learning rate from each block to the one before; the head
            has the full rate (Howard and Ruder, 2018, ULMFiT, section 3.2).
        rate_of_b: factor on the learning rate of those matrices of LoRA that begin at zero. Where
            there are adapters, nothing else of the backbone is trained.
    """
    has_adapters = any(is_adapter(name) for name, _ in network.named_parameters())
    spared = {f"backbone.{name}" for name in find_spared(network.backbone)}
    batch_norms = {
        parameter
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for parameter in module.parameters(recurse=False)
    }
    claims = []
    for name, parameter in network.named_parameters():
        position = network.block_of(name)
        is_plain = name not in spared and not name.endswith("bias")
        is_free = position == len(network.blocks) or is_adapter(name) or not has_adapters
        is_held = freeze_norm and parameter in batch_norms
        is_trained = position >= first_block and is_free and not is_held
        own_factor = rate_of_b if is_adapter(name) and name.endswith(".b") else 1.0
        claims.append(
            Claim(
                name=name,
                parameter=parameter,
                block=_block_name(network, name, position),
                depth=position,
                rate_factor=layer_rate_decay ** (len(network.blocks) - position) * own_factor,
                is_trained=is_trained,
                is_penalized=is_trained and (penalize_norm_and_bias or is_plain),
            )
        )
    return claims


def _block_name(network: Network, name: str, position: int) -> str:
    is_head = position == len(network.blocks)
    return name.partition(".")[0] if is_head else network.blocks[position]


def freeze_all_but(claims: Sequence[Claim], first_block: int) -> list[Claim]:
    """Let gradients flow to the trained tensors from ``first_block`` on, and give their claims."""
    active = [claim for claim in claims if claim.is_trained and claim.depth >= first_block]
    for claim in claims:
        claim.parameter.requires_grad_(False)
    for claim in active:
        claim.parameter.requires_grad_(True)
    return active


def format_claims(claims: list[Claim]) -> str:
    """The claims by block, as a table for the terminal."""
    lines = [
        f"{'block':<24}{'tensors':>8}{'parameters':>12}{'trained':>12}{'penalized':>12}{'rate':>9}"
    ]
    for block in dict.fromkeys(claim.block for claim in claims):
        inside = [claim for claim in claims if claim.block == block]
        counts = [
            sum(claim.parameter.numel() for claim in inside),
            sum(claim.parameter.numel() for claim in inside if claim.is_trained),
            sum(claim.parameter.numel() for claim in inside if claim.is_penalized),
        ]
        numbers = "".join(f"{count:>12}" for count in counts)
        lines.append(f"{block:<24}{len(inside):>8}{numbers}{inside[0].rate_factor:>9.3g}")
    return "\n".join(lines)
