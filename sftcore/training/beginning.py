"""Where a training begins: what it has at hand, and the checkpoint that it goes on from."""

import logging
from collections.abc import Callable, Sequence

from sftcore.models.network import Network
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.fixed import fixed_names
from sftcore.training.inputs import FeatureCache
from sftcore.training.knowledge import gather_knowledge
from sftcore.training.plan import Course, Plan
from sftcore.training.records import EpochRecord
from sftcore.training.state import TrainingState

LOGGER = logging.getLogger("sftcore")


class Teller:
    """Calls a function with every record once."""

    def __init__(self, on_epoch: Callable[[EpochRecord], None]) -> None:
        self._on_epoch = on_epoch
        self._num_told = 0

    def __call__(self, records: Sequence[EpochRecord]) -> None:
        """Tell those of the records that it has not told yet."""
        for record in records[self._num_told :]:
            self._on_epoch(record)
            self._num_told += 1


def set_out(
    network: Network,
    plan: Plan,
    cache: FeatureCache,
    tell: Callable[[Sequence[EpochRecord]], None],
    checkpoints: Checkpoints | None,
) -> Course:
    """What a training has at hand before its first update.

    Args:
        network: at its start; left as it is, in evaluation mode.
        plan: of the training.
        cache: features of frozen blocks.
        tell: called with records that are settled.
        checkpoints: of this very training.
    """
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    features = plan.inputs(network.eval(), len(network.blocks), cache)
    knowledge = gather_knowledge(network, features, plan.rows, plan.task, plan.update)
    criterion = plan.task.criterion(plan.update)
    return Course(plan, start, criterion, knowledge, cache, tell, checkpoints)


def begin(network: Network, course: Course) -> TrainingState:
    """The state of the newest checkpoint that fits, or of the beginning.

    Args:
        network: at its start; it becomes that of the checkpoint.
        course: of the training.
    """
    first_block = min(phase.first_block for phase in course.plan.phases)
    fixed = fixed_names(network, first_block)
    if course.checkpoints is not None:
        for saved in course.checkpoints.load(course.plan.task.device):
            state = TrainingState(network, fixed)
            try:
                state.load_state_dict(saved)
            except (KeyError, TypeError, RuntimeError) as error:
                LOGGER.warning("a checkpoint does not fit and is skipped: %s", error)
                network.load_state_dict(course.start)
                continue
            LOGGER.warning("going on from epoch %d, update %d of it", *state.progress[1:])
            return state
    return TrainingState(network, fixed)
