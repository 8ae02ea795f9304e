"""What the terms of the loss need to know from before the training."""

import numpy as np
import torch
from torch import Tensor

from sftcore.data.loader import split_batches
from sftcore.models.network import Network
from sftcore.regularization.co_tuning import category_relationship
from sftcore.regularization.imbalance import class_weights, logit_offsets
from sftcore.training.inputs import Inputs
from sftcore.training.objective import Knowledge
from sftcore.training.plan import Rows
from sftcore.training.settings import UpdateSettings

BATCH_SIZE = 64


@torch.no_grad()
def gather_knowledge(
    network: Network,
    inputs: Inputs,
    rows: Rows,
    update: UpdateSettings,
) -> Knowledge:
    """Everything that is switched on, from the network as it starts and the training labels.

    Args:
        network: at its start, in evaluation mode.
        inputs: of the head: features of plain pictures.
        rows: the training rows, their labels and the number of classes.
        update: says what is on.
    """
    labels, num_classes = rows.labels, rows.num_classes
    own = labels[torch.from_numpy(rows.train).to(labels.device)]
    # A class may be missing where only a part of the data is trained on.
    counts = np.bincount(own.cpu().numpy(), minlength=num_classes).clip(min=1)
    relationship, weights, offsets = None, None, None
    if update.features.co_tuning > 0 and network.source_head is not None:
        reader, batches = inputs.reader(rows.train), split_batches(rows.train, BATCH_SIZE)
        logits = torch.cat([network.source_head(reader(batch)) for batch in batches])
        relationship = category_relationship(logits, own, num_classes)
    if update.imbalance.class_weighting > 0:
        weights = _as_tensor(class_weights(counts, update.imbalance.class_weighting), labels.device)
    if update.imbalance.logit_adjustment > 0:
        offsets = _as_tensor(
            logit_offsets(counts, update.imbalance.logit_adjustment), labels.device
        )
    return Knowledge(
        source=network.frozen_copy() if update.features.delta > 0 else None,
        relationship=relationship,
        class_weights=weights,
        logit_offsets=offsets,
    )


def _as_tensor(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(values).float().to(device)
