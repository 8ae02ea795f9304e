"""The network that is fine-tuned: a backbone cut into blocks, and a new linear head."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sftcore.models.backbones import Backbone, build_backbone
from sftcore.models.blocks import split_blocks
from sftcore.models.weights import WeightsRecord, load_weights
from sftcore.randomness import seed_global


class Head(nn.Module):
    """Dropout (Srivastava et al., 2014) and one linear layer: features [B, D] to logits [B, C]."""

    def __init__(self, num_features: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(num_features, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits [B, C] of features [B, D]."""
        return self.linear(self.dropout(features))


class Network(nn.Module):
    """A backbone and a head that can be entered at any block.

    Attributes:
        backbone: the pretrained part.
        head: the part for this task's classes.
        blocks: the backbone as a sequence; ``len(blocks)`` as a position means "only the head".
    """

    def __init__(self, backbone: Backbone, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone.module
        self.head = Head(backbone.num_features, num_classes, dropout)
        self.blocks = split_blocks(backbone.module)

    def forward(self, inputs: Tensor, first_block: int = 0) -> Tensor:
        """Logits [B, C] of what block ``first_block`` takes: pictures [B, 3, S, S] for block 0."""
        return self.head(self.run_blocks(inputs, first_block, len(self.blocks)))

    def run_blocks(self, inputs: Tensor, first_block: int, last_block: int) -> Tensor:
        """What the blocks ``first_block`` to ``last_block`` - 1 make of ``inputs``."""
        for block in self.blocks[first_block:last_block]:
            inputs = block.forward(inputs)
        return inputs

    def block_of(self, name: str) -> int:
        """Position of the block that owns a parameter, buffer or module of this network.

        The head's position is ``len(blocks)``.
        """
        part, _, inner = name.partition(".")
        if part == "head":
            return len(self.blocks)
        return next(i for i, block in enumerate(self.blocks) if block.owns(inner))


@dataclass(frozen=True)
class Start:
    """Where fine-tuning begins: the network with its first parameters, and their record."""

    network: Network
    record: WeightsRecord


def build_start(
    *,
    backbone: str,
    weights: str,
    num_classes: int,
    image_size: int,
    dropout: float,
    seed: int,
    device: torch.device,
) -> Start:
    """Pretrained parameters in the backbone, a random head for ``num_classes``.

    Args:
        backbone: ``torchvision/<model>`` or ``timm/<model>``.
        weights: see :func:`sftcore.models.weights.load_weights`.
        num_classes: outputs of the head.
        image_size: side of the pictures in pixels.
        dropout: probability of zeroing a feature before the head.
        seed: decides the head, and the backbone where ``weights`` is ``none``.
        device: where the network is put.

    Raises:
        WeightsError: unknown backbone, or weights that do not fit.
    """
    seed_global(seed, "initialisation", "backbone")
    built = build_backbone(backbone, image_size)
    record = load_weights(built, weights)
    seed_global(seed, "initialisation", "head")
    network = Network(built, num_classes, dropout)
    # Channels last: a training step of EfficientNet-Lite0 takes 2/3 of the time on CPU.
    return Start(network.to(device, memory_format=torch.channels_last), record)  # type: ignore[call-overload]
