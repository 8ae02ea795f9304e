"""What the terms of the loss need to know from before the training."""

import torch

from sftcore.data.loader import split_batches
from sftcore.models.network import Network
from sftcore.tasks.contract import Task
from sftcore.training.inputs import Inputs
from sftcore.training.objective import Knowledge
from sftcore.training.plan import Rows
from sftcore.training.settings import UpdateSettings

BATCH_SIZE = 64


@torch.no_grad()
def gather_knowledge(
    network: Network, inputs: Inputs, rows: Rows, task: Task, update: UpdateSettings
) -> Knowledge:
    """Everything that is switched on, from the network as it starts and the training targets.

    Args:
        network: at its start, in evaluation mode.
        inputs: of the head: features of plain examples.
        rows: the training rows.
        task: holds their targets.
        update: says what is on.
    """
    wanted = None
    if update.features.co_tuning > 0 and network.source_head is not None:
        reader, batches = inputs.reader(rows.train), split_batches(rows.train, BATCH_SIZE)
        logits = torch.cat([network.source_head(reader(batch)) for batch in batches])
        wanted = task.source_wanted(logits)
    return Knowledge(
        source=network.frozen_copy() if update.features.delta > 0 else None, source_wanted=wanted
    )
