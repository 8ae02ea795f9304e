"""What stays as it is over a whole training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sftcore.models.network import Network
from sftcore.models.parameter_groups import Claim, claim_parameters
from sftcore.regularization.averaging import AveragingSettings
from sftcore.stability.precision import FULL
from sftcore.tasks.contract import Criterion, Task
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FeatureCache, Inputs
from sftcore.training.objective import Knowledge
from sftcore.training.records import EpochRecord
from sftcore.training.settings import Phase, Seeds, SelectionSettings, UpdateSettings
from sftcore.training.views import Examples


@dataclass(frozen=True)
class Rows:
    """Rows of the store by use.

    Attributes:
        train: to train on.
        val: to validate on: they choose.
        judge: that had no say, measured at the very end; may be empty.
        pool: all rows that trainings like this one draw from, whose features may be shared.
    """

    train: np.ndarray
    val: np.ndarray
    judge: np.ndarray
    pool: np.ndarray


@dataclass(frozen=True)
class Plan:
    """What decides the numbers of a training, besides the network it starts with.

    Attributes:
        examples: of the store.
        task: the targets, and what is done with them.
        rows: which to train and to validate on.
        phases: one after the other; the epochs count on over all of them.
        update: what each update does.
        averaging: which averages of parameters are tried at the end.
        selection: which epoch is kept.
        measure_every: epochs from one measurement of the training pictures to the next.
        precision: of the updates; see :func:`sftcore.stability.precision.computed_in`.
        seeds: decide order, augmentation and dropout.
        frozen_identity: names the starting parameters, as a key of the feature cache.
        rate_of_b: of LoRA, see :class:`sftcore.models.lora.LoraSettings`.
    """

    examples: Examples
    task: Task
    rows: Rows
    phases: Sequence[Phase]
    update: UpdateSettings
    averaging: AveragingSettings
    selection: SelectionSettings
    seeds: Seeds
    frozen_identity: str
    measure_every: int = 1
    precision: str = FULL
    rate_of_b: float = 1.0

    @property
    def num_epochs(self) -> int:
        """Epochs of all phases, if none stops early."""
        return sum(phase.num_epochs for phase in self.phases)

    def claim(self, network: Network, first_block: int) -> list[Claim]:
        """What happens to each parameter when the blocks from ``first_block`` on are trained."""
        return claim_parameters(
            network,
            first_block=first_block,
            freeze_norm=self.update.batch_norm == "freeze_all",
            penalize_norm_and_bias=self.update.penalties.norm_and_bias,
            layer_rate_decay=self.update.layer_rate_decay,
            rate_of_b=self.rate_of_b,
        )

    def inputs(self, network: Network, first_block: int, cache: FeatureCache) -> Inputs:
        """What block ``first_block`` is fed."""
        return Inputs(
            network,
            self.examples,
            first_block=first_block,
            pool=self.rows.pool,
            frozen_identity=self.frozen_identity,
            cache=cache,
            stops=[phase.first_block for phase in self.phases],
        )


@dataclass(frozen=True)
class Course:
    """A training under way: its plan, and what it has at hand.

    Attributes:
        plan: of the training.
        start: the network's tensors before the first update.
        criterion: the loss of the task.
        knowledge: of the other terms of the loss.
        cache: features of frozen blocks.
        tell: called with the records that no rollback can reach any more, from the first on.
        checkpoints: of this very training.
    """

    plan: Plan
    start: dict[str, Tensor]
    criterion: Criterion
    knowledge: Knowledge
    cache: FeatureCache
    tell: Callable[[Sequence[EpochRecord]], None]
    checkpoints: Checkpoints | None
