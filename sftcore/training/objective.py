"""What an update descends: the cross-entropy, and every term that is switched on."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sftcore.models.network import Network
from sftcore.regularization.co_tuning import co_tuning_loss
from sftcore.regularization.features import bss_penalty, delta_penalty
from sftcore.regularization.penalties import Penalized, total_penalty
from sftcore.tasks.classification import classification_loss
from sftcore.training.settings import UpdateSettings


@dataclass(frozen=True)
class Knowledge:
    """What the terms of the loss need to know from before the training; None where they are off.

    Attributes:
        source: the pretrained network, for DELTA.
        relationship: p(source class | target class) [C, S], for Co-Tuning.
        class_weights: of the loss [C].
        logit_offsets: added to the logits in training [C].
    """

    source: Network | None = None
    relationship: Tensor | None = None
    class_weights: Tensor | None = None
    logit_offsets: Tensor | None = None


@dataclass(frozen=True)
class Objective:
    """The loss of a batch as a function of the network.

    Attributes:
        update: smoothing and coefficients.
        knowledge: from before the training.
        first_block: position at which inputs enter.
        penalized: parameters that the penalties apply to.
    """

    update: UpdateSettings
    knowledge: Knowledge
    first_block: int
    penalized: Sequence[Penalized]

    def loss(self, network: Network, inputs: Tensor, targets: Tensor) -> Tensor:
        """The scalar to descend.

        Args:
            network: in training mode.
            inputs: what block ``first_block`` takes, [B, ...].
            targets: class indices [B], or probabilities [B, C] where labels are mixed.
        """
        update, knowledge = self.update, self.knowledge
        maps = [each.float() for each in network.block_outputs(inputs, self.first_block)]
        features = maps[-1] if maps else inputs
        logits = network.head(features).float()  # sums and logarithms in fp32 at any precision
        if knowledge.logit_offsets is not None:
            logits = logits + knowledge.logit_offsets
        loss = classification_loss(logits, targets, update.label_smoothing, knowledge.class_weights)
        if update.penalties.are_on and update.penalties.form == "loss":
            loss = loss + total_penalty(self.penalized, update.penalties)
        if maps and update.features.bss > 0:
            loss = loss + update.features.bss * bss_penalty(features)
        if maps and knowledge.source is not None:
            with torch.no_grad():
                source = knowledge.source
                source_maps = [m.float() for m in source.block_outputs(inputs, self.first_block)]
            loss = loss + update.features.delta * delta_penalty(maps, source_maps)
        if knowledge.relationship is not None and network.source_head is not None:
            wanted = (
                targets @ knowledge.relationship
                if targets.is_floating_point()
                else knowledge.relationship[targets]
            )
            loss = loss + update.features.co_tuning * co_tuning_loss(
                network.source_head(features).float(), wanted
            )
        return loss
