"""A fine-tuned model as files, and its predictions as a table."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sftcore.data.loader import normalize, to_unit_range
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
from sftcore.tasks.answers import Answers, class_probabilities
from sftcore.tasks.names import CLASSES

WEIGHTS_FILE = "model.safetensors"
RECORD_FILE = "model.json"
# One shape for every prediction: kernels add in an order that depends on the shape of the batch
# (rows of one picture and of 64 differ in the last digits), and on nothing else that is in it. A
# single picture costs as much as a batch, so it is no larger than speed asks for.
PREDICT_BATCH_SIZE = 32


@dataclass(frozen=True)
class ModelRecord:
    """All that is needed to use a fine-tuned model, except its tensors.

    Attributes:
        backbone: ``torchvision/<model>`` or ``timm/<model>``.
        dropout: before the head.
        classes: names in the order of the outputs, where these are classes.
        image_size: side of the pictures in pixels.
        mean: per channel, of pictures in [0, 1].
        std: per channel, likewise.
        background: colour behind transparent pictures and around oblong ones, in [0, 255].
        pretrained: record of the weights that training began with.
        num_threads: of one CPU operation, which belongs to the numbers.
        mode: ``portable`` or ``native`` kernels, likewise.
        model_sha256: of the tensors' file.
        precision: of the updates, written only where it is not ``fp32``.
        task: whose outputs these are, written only where it is not classification; ``classes`` are
            written only where it is.
        facts: what such outputs cannot be read without, see
            :meth:`sftcore.tasks.contract.Task.record`.
    """

    backbone: str
    dropout: float
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    background: tuple[int, int, int]
    pretrained: dict[str, Any]
    num_threads: int
    mode: str
    model_sha256: str
    precision: str = FULL
    classes: list[str] = field(default_factory=list)
    task: str = CLASSES
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Of the outputs, in their order."""
        return self.classes or list(self.facts["names"])


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
        for name, usual in (("precision", FULL), ("classes", []), ("facts", {}),
                            ("task", CLASSES)):  # fmt: skip
            if content[name] == usual:
                del content[name]
        write_json(temporary / RECORD_FILE, content)


def load_model(folder: Path, device: str = "cpu") -> tuple[Network, ModelRecord]:
    """Read a fine-tuned model, in evaluation mode, without running code from its files.

    Raises:
        WeightsError: a file is missing or is not the one that its record names.
    """
    if not (folder / RECORD_FILE).is_file() or not (folder / WEIGHTS_FILE).is_file():
        raise WeightsError(f"{folder} holds no fine-tuned model: run `dvc repro finetune`")
    try:
        fields = read_json(folder / RECORD_FILE)
        fields |= {key: tuple(fields[key]) for key in ("mean", "std", "background")}
        record = ModelRecord(**fields)
        num_outputs = len(record.names)
    except (ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{folder / RECORD_FILE} is damaged or of another version of this code ({error}): run "
            "`dvc repro finetune`"
        ) from error
    if sha256_file(folder / WEIGHTS_FILE) != record.model_sha256:
        raise WeightsError(f"{folder / WEIGHTS_FILE} is damaged: run `dvc repro finetune`")
    start = build_start(
        backbone=record.backbone,
        weights="none",
        num_classes=num_outputs,
        image_size=record.image_size,
        dropout=record.dropout,
        seed=0,
        device=torch.device(device),
    )
    start.network.load_state_dict(read_state(folder / WEIGHTS_FILE))
    return start.network.eval(), record


@dataclass(frozen=True)
class Seen:
    """What a network says of pictures.

    Attributes:
        features: before the head, float32 [N, D], on the network's device.
        answers: what its outputs mean [N, K], see
            :func:`sftcore.tasks.answers.answers_of`.
    """

    features: torch.Tensor
    answers: np.ndarray


@torch.no_grad()
def look_at(
    network: Network,
    images: np.ndarray,
    *,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    device: str = "cpu",
    answers: Answers = class_probabilities,
) -> Seen:
    """Features and answers of pictures.

    A picture gets the same bits whatever is predicted beside it and in whatever number, since every
    batch has the same shape: the last one is filled up.

    Args:
        network: in evaluation mode, on ``device``.
        images: uint8 [N, S, S, 3], at least one.
        mean: per channel, of the model's record.
        std: per channel, of the model's record.
        device: where the network is.
        answers: of outputs [B, K]; probabilities of classes without one.
    """
    parts = []
    for count, batch in _equal_batches(images):
        pictures = normalize(to_unit_range(batch, torch.device(device)), mean, std)
        features = network.run_blocks(pictures, 0, len(network.blocks))
        said = answers(network.head(features))
        parts.append((features[:count], said[:count].cpu().numpy()))
    return Seen(
        torch.cat([features for features, _ in parts]),
        np.concatenate([said for _, said in parts]),
    )


def _equal_batches(images: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Batches of one shape, each with the number of pictures that are asked for."""
    for start in range(0, len(images), PREDICT_BATCH_SIZE):
        batch = np.array(images[start : start + PREDICT_BATCH_SIZE])  # torch wants its own memory
        missing = PREDICT_BATCH_SIZE - len(batch)
        yield (
            len(batch),
            np.pad(batch, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else batch,
        )
