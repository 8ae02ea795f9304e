"""A fine-tuned model as files, and its predictions as a table."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sftcore.evaluation.sight import PictureSight, Sight
from sftcore.evaluation.text_sights import sight_of_texts
from sftcore.foundations.artifacts import (
    output_folder,
    read_json,
    sha256_file,
    write_json,
    write_tensors,
)
from sftcore.foundations.errors import WeightsError
from sftcore.models.dense.heads import DenseSettings, head_settings
from sftcore.models.network import Network
from sftcore.models.start import build_start
from sftcore.models.text.files import LIBRARY, EncoderFiles
from sftcore.models.text.settings import TextOptions
from sftcore.models.weights import read_state
from sftcore.stability.precision import FULL
from sftcore.tasks.answers import Answers, class_probabilities
from sftcore.tasks.names import CLASSES, LEARNT

WEIGHTS_FILE = "model.safetensors"
RECORD_FILE = "model.json"
_REQUIRED = ("backbone", "dropout", "pretrained", "num_threads", "mode", "model_sha256")


@dataclass(frozen=True)
class ModelRecord:
    """All that is needed to use a fine-tuned model, except its tensors.

    A file holds of the fields that are not of its kind of examples, and of those that are as usual,
    nothing.

    Attributes:
        backbone: as settings have it.
        dropout: before the head.
        image_size: side of the pictures in pixels.
        mean: per channel, of pictures in [0, 1].
        std: per channel, likewise.
        background: colour behind transparent pictures and around oblong ones, in [0, 255].
        text: how the encoder is used, and ``tokenizer_sha256``; of texts.
        pretrained: record of the weights that training began with.
        num_threads: of one CPU operation, which belongs to the numbers.
        mode: ``portable`` or ``native`` kernels, likewise.
        model_sha256: of the tensors' file.
        precision: of the updates.
        classes: names in the order of the outputs, where the task is classification.
        task: whose outputs these are.
        head: settings of a head on maps, of masks and boxes.
        facts: what such outputs cannot be read without, see
            :meth:`sftcore.tasks.contract.Task.record`.
    """

    backbone: str
    dropout: float
    pretrained: dict[str, Any]
    num_threads: int
    mode: str
    model_sha256: str
    image_size: int = 0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    background: tuple[int, int, int] = (0, 0, 0)
    text: Mapping[str, Any] = field(default_factory=dict)
    precision: str = FULL
    classes: list[str] = field(default_factory=list)
    task: str = CLASSES
    head: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Of the outputs, in their order."""
        return self.classes or list(self.facts["names"])

    @property
    def kind(self) -> str:
        """Of the examples: ``pictures``, ``texts`` or ``dialogues``."""
        return LEARNT[self.task].kind

    @property
    def dense_head(self) -> DenseSettings | None:
        """Settings of the head on maps; None of a head on features."""
        return head_settings(LEARNT[self.task].target, self.head)

    @property
    def text_options(self) -> TextOptions:
        """How the encoder is used; the usual of what reads no texts."""
        fields = {name: self.text[name] for name in TextOptions.model_fields if name in self.text}
        return TextOptions.model_validate(fields)


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned model that is ready for use.

    Attributes:
        network: in evaluation mode.
        record: what is known of it.
        sight: how it is shown examples.
    """

    network: Network
    record: ModelRecord
    sight: Sight


def save_model(
    folder: Path,
    state: Mapping[str, torch.Tensor],
    record: dict[str, Any],
    add_files: Callable[[Path], None] = lambda folder: None,
) -> None:
    """Write tensors and record; an earlier model is replaced only when both are whole.

    Args:
        folder: of the model.
        state: the network's tensors.
        record: the fields of :class:`ModelRecord` but ``model_sha256``.
        add_files: writes what else belongs to the model into the folder that it is given.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    with output_folder(folder) as temporary:
        write_tensors(temporary / WEIGHTS_FILE, state)
        digest = sha256_file(temporary / WEIGHTS_FILE)
        content = asdict(ModelRecord(**record, model_sha256=digest))
        usual = asdict(ModelRecord("", 0.0, {}, 0, "", ""))
        kept = {n: v for n, v in content.items() if n in _REQUIRED or v != usual[n]}
        write_json(temporary / RECORD_FILE, kept)
        add_files(temporary)


def read_record(folder: Path) -> ModelRecord:
    """What is known of a fine-tuned model; its tensors are not looked at.

    Raises:
        WeightsError: a file is missing, or the record is damaged.
    """
    if not (folder / RECORD_FILE).is_file() or not (folder / WEIGHTS_FILE).is_file():
        raise WeightsError(f"{folder} holds no fine-tuned model: run `dvc repro finetune`")
    try:
        fields = read_json(folder / RECORD_FILE)
        triples = ("mean", "std", "background")
        fields |= {key: tuple(fields[key]) for key in triples if key in fields}
        record = ModelRecord(**fields)
        _ = record.names, record.kind, record.text_options, record.dense_head
    except (ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{folder / RECORD_FILE} is damaged or of another version of this code ({error}): run "
            "`dvc repro finetune`"
        ) from error
    return record


def load_model(folder: Path, device: str = "cpu") -> FineTuned:
    """Read a fine-tuned model without running code from its files.

    Raises:
        WeightsError: a file is missing or is not the one that its record names.
    """
    record = read_record(folder)
    if sha256_file(folder / WEIGHTS_FILE) != record.model_sha256:
        raise WeightsError(f"{folder / WEIGHTS_FILE} is damaged: run `dvc repro finetune`")
    is_text = record.kind != "pictures"
    goes_on = record.kind == "dialogues"
    start = build_start(
        backbone=f"{LIBRARY}{folder}" if is_text else record.backbone,
        weights="none",
        num_classes=len(record.names),
        image_size=record.image_size,
        dropout=record.dropout,
        seed=0,
        device=torch.device(device),
        text=record.text_options,
        goes_on=goes_on,
        dense=record.dense_head,
    )
    start.network.load_state_dict(read_state(folder / WEIGHTS_FILE))
    place = torch.device(device)
    sight: Sight = PictureSight(record.mean, record.std, place)
    if is_text:
        sight = _text_sight(folder, record, place)
    return FineTuned(start.network.eval(), record, sight)


def _text_sight(folder: Path, record: ModelRecord, device: torch.device) -> Sight:
    files = EncoderFiles(folder, f"the model in {folder}")
    sight = sight_of_texts(files, record.text_options, device, goes_on=record.kind == "dialogues")
    if sight.tokenizer.sha256 != record.text.get("tokenizer_sha256"):
        raise WeightsError(f"the tokenizer in {folder} is another one: run `dvc repro finetune`")
    return sight


@dataclass(frozen=True)
class Seen:
    """What a network says of examples.

    Attributes:
        features: before the head, float32 [N, D], on the network's device; of maps the mean of the
            coarsest.
        answers: what its outputs mean [N, K], see
            :func:`sftcore.tasks.answers.answers_of`; of prompts objects [N].
    """

    features: torch.Tensor
    answers: np.ndarray


@torch.no_grad()
def look_at(
    network: Network, examples: Any, sight: Sight, answers: Answers = class_probabilities
) -> Seen:
    """Features and answers of examples.

    An example gets the same bits whatever is predicted beside it and in whatever number; see
    :mod:`sftcore.evaluation.sight`.

    Args:
        network: in evaluation mode.
        examples: N of them, at least one, as the store has them.
        sight: how the network is shown them, on its device.
        answers: of outputs [B, K]; probabilities of classes without one.
    """
    rows, features, said = [], [], []
    for places, batch in sight.batches(examples):
        seen, told = sight.see(network, batch, answers)
        rows.append(places)
        features.append(seen[: len(places)])
        own = told[: len(places)]
        said.append(own.cpu().numpy() if isinstance(own, torch.Tensor) else own)
    back = np.argsort(np.concatenate(rows))
    found = torch.cat(features)
    return Seen(found[torch.from_numpy(back).to(found.device)], np.concatenate(said)[back])
