"""A network measured on plain pictures: losses, accuracies, norms."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sftcore.data.loader import split_batches
from sftcore.models.network import Network
from sftcore.models.parameter_groups import Claim
from sftcore.randomness import numpy_stream
from sftcore.tasks.classification import measure
from sftcore.training.inputs import Inputs
from sftcore.training.state import EpochRecord

MEASURED_BATCH_SIZE = 64
MAX_TRAIN_MEASURED = 5000  # training pictures measured after every epoch: bounds the cost


def measured_rows(train: np.ndarray, seed: int) -> np.ndarray:
    """The training rows measured after every epoch: all, or a fixed random 5000 of more."""
    if len(train) <= MAX_TRAIN_MEASURED:
        return train
    chosen = numpy_stream(seed, "measured").permutation(train)[:MAX_TRAIN_MEASURED]
    return np.sort(chosen)


@torch.no_grad()
def logits_of(network: Network, inputs: Inputs, rows: np.ndarray) -> Tensor:
    """Logits [N, C] of some rows' plain pictures, of a network in evaluation mode."""
    reader, first_block = inputs.reader(rows), inputs.first_block
    batches = split_batches(rows, MEASURED_BATCH_SIZE)
    return torch.cat([network(reader(batch), first_block) for batch in batches])


def evaluate_rows(
    network: Network, inputs: Inputs, rows: np.ndarray, labels: Tensor
) -> tuple[float, float]:
    """Plain cross-entropy in nats and accuracy of a network in evaluation mode."""
    own = labels[torch.from_numpy(rows).to(labels.device)]
    return measure(logits_of(network, inputs, rows), own)


def weight_norms(claims: Sequence[Claim], start: dict[str, Tensor]) -> dict[str, float]:
    """``‖w‖₂`` over all parameters, and ``‖w − w₀‖₂`` from where training began."""
    size = sum(float(claim.parameter.detach().double().square().sum()) for claim in claims)
    moved = sum(
        float((claim.parameter.detach() - start[claim.name]).double().square().sum())
        for claim in claims
    )
    return {"weight_norm": size**0.5, "weight_distance": moved**0.5}


def epoch_metrics(record: EpochRecord) -> dict[str, float]:
    """An epoch's numbers under the names that MLflow groups its charts by."""
    return {
        "train/loss": record.train_loss,
        "train/accuracy": record.train_accuracy,
        "val/loss": record.val_loss,
        "val/accuracy": record.val_accuracy,
        "optimization/learning_rate": record.learning_rate,
        "optimization/gradient_norm": record.gradient_norm,
        "weights/norm": record.weight_norm,
        "weights/distance": record.weight_distance,
    }
