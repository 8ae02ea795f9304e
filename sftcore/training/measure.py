"""A network measured on plain pictures: losses, accuracies, norms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sftcore.data.loader import split_batches
from sftcore.foundations.randomness import numpy_stream
from sftcore.models.lora import is_adapter
from sftcore.models.network import Network
from sftcore.models.parameter_groups import Claim
from sftcore.stability.batch_norm import moving_norms, normalized_by_batch
from sftcore.tasks.contract import Task
from sftcore.training.inputs import Inputs
from sftcore.training.records import EpochRecord

MEASURED_BATCH_SIZE = 64


def measured_rows(train: np.ndarray, seed: int, most: int) -> np.ndarray:
    """The training rows measured after every epoch: all, or a fixed random part of more.

    Args:
        train: training rows.
        seed: of their order.
        most: see :attr:`sftcore.tasks.contract.Task.most_measured`, which bounds the cost.
    """
    if len(train) <= most:
        return train
    return np.sort(numpy_stream(seed, "measured").permutation(train)[:most])


@torch.no_grad()
def outputs_of(network: Network, inputs: Inputs, rows: np.ndarray, task: Task) -> Tensor:
    """What is kept of some rows' plain examples [N, ...], of a network in evaluation mode."""
    reader, first_block = inputs.reader(rows), inputs.first_block
    arranged = inputs.arranged(rows)
    found = torch.cat([
        task.kept(network.head, network.features(reader(batch), first_block), task.of(batch))
        for batch in split_batches(arranged, MEASURED_BATCH_SIZE)
    ])  # fmt: skip
    if arranged is rows:
        return found
    sorter = np.argsort(arranged)
    place = sorter[np.searchsorted(arranged, rows, sorter=sorter)]
    return found[torch.from_numpy(place).to(found.device)]


def evaluate_rows(
    network: Network, inputs: Inputs, rows: np.ndarray, task: Task
) -> dict[str, float]:
    """``loss`` and the scores of the task, of a network in evaluation mode on plain examples."""
    return task.measure(outputs_of(network, inputs, rows, task), task.of(rows))


_NUM_GAP_BATCHES = 4  # bounds the cost of the gap


@torch.no_grad()
def batch_norm_gap(
    network: Network,
    inputs: Inputs,
    batches: Sequence[np.ndarray],
    rows: np.ndarray,
    task: Task,
) -> float:
    """Loss by the running statistics minus loss by the batch's own, on the same training pictures.

    It tells whether the network that is evaluated is the one that is trained: far from 0, the
    running statistics lag behind the parameters, or batches are too small to stand for them. The
    pictures are plain, and nothing is dropped.

    Args:
        network: in evaluation mode, and left there.
        inputs: of the first trained block.
        batches: rows of the store as they were trained on, of which the first four are looked at.
        rows: of the training split; their features are at hand where all of them are measured.
        task: holds their targets.

    Returns:
        Nats; 0 where no running statistics move, since both modes are then one.
    """
    if not moving_norms(network):
        return 0.0
    batches = batches[:_NUM_GAP_BATCHES]
    chosen = np.concatenate(batches)
    own = task.of(chosen)
    at_hand = rows if len(rows) <= task.most_measured else np.unique(chosen)
    reader, first_block = inputs.reader(at_hand), inputs.first_block

    def kept() -> Tensor:
        return torch.cat([
            task.kept(network.head, network.features(reader(of), first_block), task.of(of))
            for of in batches
        ])  # fmt: skip

    with normalized_by_batch(network):
        by_batch = kept()
    by_running = kept()
    return task.measure(by_running, own)["loss"] - task.measure(by_batch, own)["loss"]


def weight_norms(
    network: Network, claims: Sequence[Claim], start: dict[str, Tensor]
) -> dict[str, Any]:
    """``‖w‖₂`` over all parameters, and ``‖w − w₀‖₂`` from where training began.

    LoRA's products count as a part of the weights that they are added to: at the start they are
    zero.
    """
    merged = network.model_state()
    owned = [claim for claim in claims if not is_adapter(claim.name)]
    now = [merged.get(claim.name, claim.parameter.detach()) for claim in owned]
    size = sum(float(value.double().square().sum()) for value in now)
    moved = sum(
        float((value - start[claim.name]).double().square().sum())
        for value, claim in zip(now, owned, strict=True)
    )
    return {"weight_norm": size**0.5, "weight_distance": moved**0.5}


def epoch_metrics(record: EpochRecord) -> dict[str, float]:
    """An epoch's numbers under the names that MLflow groups its charts by."""
    return {
        "train/loss": record.train_loss,
        "val/loss": record.val_loss,
        **{name.replace("_", "/", 1): value for name, value in record.scores.items()},
        "optimization/learning_rate": record.learning_rate,
        "optimization/effective_learning_rate": record.effective_learning_rate,
        "optimization/gradient_norm": record.gradient_norm,
        "optimization/clipped_fraction": record.clipped_fraction,
        "stability/batch_norm_gap": record.batch_norm_gap,
        "stability/incidents": record.num_incidents,
        "weights/norm": record.weight_norm,
        "weights/distance": record.weight_distance,
    }
