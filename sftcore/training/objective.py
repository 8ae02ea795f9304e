"""What an update descends: the cross-entropy, and every term that is switched on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sftcore.models.network import Network
from sftcore.regularization.co_tuning import co_tuning_loss
from sftcore.regularization.features import bss_penalty, delta_penalty
from sftcore.regularization.penalties import Penalized, total_penalty
from sftcore.tasks.contract import Criterion
from sftcore.training.settings import UpdateSettings


@dataclass(frozen=True)
class Knowledge:
    """What the terms of the loss need to know from before the training; None where they are off.

    Attributes:
        source: the pretrained network, for DELTA.
        source_wanted: what Co-Tuning wants of the pretrained classifier, given targets.
    """

    source: Network | None = None
    source_wanted: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Objective:
    """The loss of a batch as a function of the network.

    Attributes:
        criterion: the loss of the task.
        weight_of: what the loss of a batch is divided by, of its targets.
        update: coefficients.
        knowledge: from before the training.
        first_block: position at which inputs enter.
        penalized: parameters that the penalties apply to.
    """

    criterion: Criterion
    weight_of: Callable[[Tensor], float]
    update: UpdateSettings
    knowledge: Knowledge
    first_block: int
    penalized: Sequence[Penalized]

    def loss(
        self, network: Network, inputs: Tensor, targets: Tensor, weight: float, share: float = 1.0
    ) -> Tensor:
        """The scalar to descend, of a part of a batch; those of all parts add up to the batch's.

        Args:
            network: in training mode.
            inputs: what block ``first_block`` takes, [B, ...].
            targets: of the task [B, ...].
            weight: of the whole batch.
            share: rows of the part among those of the batch, for terms that are means or no sums
                over rows.
        """
        update, knowledge = self.update, self.knowledge
        maps = [each.float() for each in network.block_outputs(inputs, self.first_block)]
        features = maps[-1] if maps else inputs
        output = network.head(features).float()  # sums and logarithms in fp32 at any precision
        loss = self.criterion(output, targets, weight)
        if update.penalties.are_on and update.penalties.form == "loss":
            loss = loss + share * total_penalty(self.penalized, update.penalties)
        if maps and update.features.bss > 0:
            loss = loss + share * (update.features.bss * bss_penalty(features))
        if maps and knowledge.source is not None:
            with torch.no_grad():
                source = knowledge.source
                source_maps = [m.float() for m in source.block_outputs(inputs, self.first_block)]
            loss = loss + share * (update.features.delta * delta_penalty(maps, source_maps))
        if knowledge.source_wanted is not None and network.source_head is not None:
            wanted = knowledge.source_wanted(targets)
            own = co_tuning_loss(network.source_head(features).float(), wanted)
            loss = loss + share * (update.features.co_tuning * own)
        return loss
