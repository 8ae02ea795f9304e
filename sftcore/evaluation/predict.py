"""A fine-tuned model as files, and its predictions as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sftcore.data.loader import normalize, split_batches, to_unit_range
from sftcore.foundations.artifacts import (
    output_folder,
    read_json,
    sha256_file,
    write_json,
    write_tensors,
)
from sftcore.foundations.errors import WeightsError
from sftcore.models.network import Network, build_start
from sftcore.models.weights import read_state
from sftcore.stability.precision import FULL
from sftcore.tasks.classification import probabilities

WEIGHTS_FILE = "model.safetensors"
RECORD_FILE = "model.json"
PREDICT_BATCH_SIZE = 64


@dataclass(frozen=True)
class ModelRecord:
    """All that is needed to use a fine-tuned model, except its tensors.

    Attributes:
        backbone: ``torchvision/<model>`` or ``timm/<model>``.
        dropout: before the head.
        classes: names in the order of the outputs.
        image_size: side of the pictures in pixels.
        mean: per channel, of pictures in [0, 1].
        std: per channel, likewise.
        background: colour behind transparent pictures and around oblong ones, in [0, 255].
        pretrained: record of the weights that training began with.
        precision: of the updates, written only where it is not ``fp32``.
        model_sha256: of the tensors' file.
    """

    backbone: str
    dropout: float
    classes: list[str]
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    background: tuple[int, int, int]
    pretrained: dict[str, Any]
    model_sha256: str
    precision: str = FULL


def save_model(folder: Path, state: Mapping[str, torch.Tensor], record: dict[str, Any]) -> None:
    """Write tensors and record; an earlier model is replaced only when both are whole.

    Args:
        folder: of the model.
        state: the network's tensors.
        record: the fields of :class:`ModelRecord` but ``model_sha256``.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    with output_folder(folder) as temporary:
        write_tensors(temporary / WEIGHTS_FILE, state)
        digest = sha256_file(temporary / WEIGHTS_FILE)
        content = asdict(ModelRecord(**record, model_sha256=digest))
        if content["precision"] == FULL:
            del content["precision"]
        write_json(temporary / RECORD_FILE, content)


def load_model(folder: Path, device: str = "cpu") -> tuple[Network, ModelRecord]:
    """Read a fine-tuned model, in evaluation mode, without running code from its files.

    Raises:
        WeightsError: a file is missing or is not the one that its record names.
    """
    if not (folder / RECORD_FILE).is_file() or not (folder / WEIGHTS_FILE).is_file():
        raise WeightsError(f"{folder} holds no fine-tuned model: run `dvc repro finetune`")
    fields = read_json(folder / RECORD_FILE)
    fields |= {key: tuple(fields[key]) for key in ("mean", "std", "background")}
    record = ModelRecord(**fields)
    if sha256_file(folder / WEIGHTS_FILE) != record.model_sha256:
        raise WeightsError(f"{folder / WEIGHTS_FILE} is damaged: run `dvc repro finetune`")
    start = build_start(
        backbone=record.backbone,
        weights="none",
        num_classes=len(record.classes),
        image_size=record.image_size,
        dropout=record.dropout,
        seed=0,
        device=torch.device(device),
    )
    start.network.load_state_dict(read_state(folder / WEIGHTS_FILE))
    return start.network.eval(), record


@torch.no_grad()
def predict_probabilities(
    network: Network,
    images: np.ndarray,
    *,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    batch_size: int = PREDICT_BATCH_SIZE,
    device: str = "cpu",
) -> np.ndarray:
    """Class probabilities of pictures.

    Args:
        network: in evaluation mode, on ``device``.
        images: uint8 [N, S, S, 3].
        mean: per channel, of the model's record.
        std: per channel, of the model's record.
        batch_size: pictures at a time.
        device: where the network is.

    Returns:
        float32 [N, C]; each row sums to 1.
    """
    parts = []
    for rows in split_batches(np.arange(len(images)), batch_size):
        pictures = normalize(to_unit_range(images[rows], torch.device(device)), mean, std)
        parts.append(probabilities(network(pictures)).cpu().numpy())
    return np.concatenate(parts)


@torch.no_grad()
def pooled_features(
    network: Network,
    images: np.ndarray,
    *,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    batch_size: int = PREDICT_BATCH_SIZE,
    device: str = "cpu",
) -> torch.Tensor:
    """What the backbone says of pictures, before the head.

    Args:
        network: in evaluation mode, on ``device``.
        images: uint8 [N, S, S, 3].
        mean: per channel, of the weights' record.
        std: per channel, of the weights' record.
        batch_size: pictures at a time.
        device: where the network is.

    Returns:
        float32 [N, D], on ``device``.
    """
    parts = []
    for rows in split_batches(np.arange(len(images)), batch_size):
        pictures = normalize(to_unit_range(images[rows], torch.device(device)), mean, std)
        parts.append(network.run_blocks(pictures, 0, len(network.blocks)))
    return torch.cat(parts)


def predictions_table(
    probability: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    ids: Sequence[str],
    splits: Sequence[str],
) -> pd.DataFrame:
    """One row per picture: what it is, what the model says, and all probabilities.

    Args:
        probability: [N, C].
        labels: class indices [N].
        classes: C names.
        ids: N names of pictures.
        splits: N names of splits.
    """
    names = np.asarray(classes, dtype=object)
    predicted = probability.argmax(axis=1)
    table = pd.DataFrame(
        {
            "id": ids,
            "split": splits,
            "label": names[labels],
            "predicted": names[predicted],
            "confidence": probability.max(axis=1).astype(float),
            "probability_of_label": probability[np.arange(len(labels)), labels].astype(float),
        }
    )
    columns = {f"p_{k}": probability[:, k].astype(float) for k in range(len(classes))}
    return pd.concat([table, pd.DataFrame(columns)], axis=1)
