"""What an update descends: the cross-entropy, and every term that is switched on."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from sftcore.models.network import Network
from sftcore.models.values import Sequences, Values, asked_of, content_of, to_float
from sftcore.regularization.co_tuning import co_tuning_loss
from sftcore.regularization.embedding_noise import neftune_noise, noise_added
from sftcore.regularization.features import bss_penalty, delta_penalty
from sftcore.regularization.mixout import mixed_with_origin
from sftcore.regularization.penalties import Penalized, total_penalty
from sftcore.regularization.r3f import r3f_noise, r3f_penalty
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
class Draws:
    """What the random numbers of an update are keyed by, besides the seed.

    Attributes:
        rows: drawn rows of the batch, or of a part of it [B].
        epoch: counted from 0 over the training.
        step: counted from 0 over the phase.
    """

    rows: np.ndarray
    epoch: int
    step: int

    def of(self, part: slice) -> "Draws":
        """Those of a part of the batch."""
        return replace(self, rows=self.rows[part])


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
        seed: of the draws.
        origins: values that mixout falls back on, by name of the parameter.
    """

    criterion: Criterion
    weight_of: Callable[[Tensor], float]
    update: UpdateSettings
    knowledge: Knowledge
    first_block: int
    penalized: Sequence[Penalized]
    seed: int
    origins: Mapping[str, Tensor] = field(default_factory=dict)

    def loss(
        self,
        network: Network,
        inputs: Values,
        targets: Tensor,
        weight: float,
        *,
        share: float,
        draws: Draws,
    ) -> Tensor:
        """The scalar to descend, of a part of a batch; those of all parts add up to the batch's.

        Args:
            network: in training mode.
            inputs: what block ``first_block`` takes, [B, ...].
            targets: of the task [B, ...].
            weight: of the whole batch.
            share: rows of the part among those of the batch, for terms that are means or no sums
                over rows.
            draws: of the part.
        """
        update, knowledge = self.update, self.knowledge
        with self._mixed(network, draws):
            with self._noise(network, inputs, draws):
                maps = [to_float(m) for m in network.block_outputs(inputs, self.first_block)]
            features = asked_of(maps[-1] if maps else inputs)
            output = network.head(features).float()  # sums and logarithms in fp32 at any precision
            moved = self._when_moved(network, inputs, draws)
        loss = self.criterion(output, targets, weight)
        if moved is not None:
            loss = loss + share * (update.embeddings.r3f * r3f_penalty(output, moved) / len(output))
        if update.penalties.are_on and update.penalties.form == "loss":
            loss = loss + share * total_penalty(self.penalized, update.penalties)
        if maps and update.features.bss > 0:
            loss = loss + share * (update.features.bss * bss_penalty(features))
        if maps and knowledge.source is not None:
            with torch.no_grad():
                source = knowledge.source
                source_maps = [to_float(m) for m in source.block_outputs(inputs, self.first_block)]
            ours, theirs = ([content_of(each) for each in of] for of in (maps, source_maps))
            loss = loss + share * (update.features.delta * delta_penalty(ours, theirs))
        if knowledge.source_wanted is not None and network.source_head is not None:
            wanted = knowledge.source_wanted(targets)
            own = co_tuning_loss(network.source_head(features).float(), wanted)
            loss = loss + share * (update.features.co_tuning * own)
        return loss

    def _mixed(self, network: Network, draws: Draws) -> AbstractContextManager[None]:
        """Mixout, where it is on."""
        probability = self.update.mixout
        if probability == 0:
            return nullcontext()
        return mixed_with_origin(
            network, self.origins, probability, seed=self.seed, step=draws.step
        )

    def _noise(
        self, network: Network, inputs: Values, draws: Draws
    ) -> AbstractContextManager[None]:
        """NEFTune's noise, where it is on."""
        if self.update.embeddings.noise == 0 or not self._reads_tokens(network):
            return nullcontext()
        assert isinstance(inputs, Sequences)
        table, lengths = network.token_embedding, inputs.lengths.cpu().numpy()
        noise = neftune_noise(
            lengths, (inputs.data.shape[1], table.embedding_dim), self.update.embeddings.noise,
            rows=draws.rows, seed=self.seed, epoch=draws.epoch,
        )  # fmt: skip
        return noise_added(table, noise)

    def _when_moved(self, network: Network, inputs: Values, draws: Draws) -> Tensor | None:
        """Outputs [B, C] for embeddings that are moved a little, where R3F is on."""
        if self.update.embeddings.r3f == 0 or not self._reads_tokens(network):
            return None
        assert isinstance(inputs, Sequences)
        table, lengths = network.token_embedding, inputs.lengths.cpu().numpy()
        noise = r3f_noise(
            lengths, (inputs.data.shape[1], table.embedding_dim),
            rows=draws.rows, seed=self.seed, epoch=draws.epoch,
        )  # fmt: skip
        with noise_added(table, noise):
            return network(inputs, self.first_block).float()

    def _reads_tokens(self, network: Network) -> bool:
        """Whether token embeddings are looked up in this update, so that noise can reach them."""
        return network.entry(self.first_block) == 0
