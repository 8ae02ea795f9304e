"""A finished model of classes of texts on a tiny encoder, with random parameters."""

from functools import partial
from pathlib import Path

import torch

from sftcore.evaluation.predict import look_at, save_model
from sftcore.evaluation.sight import TextSight
from sftcore.models.start import build_start
from sftcore.models.text.files import find_files
from sftcore.models.text.settings import TextOptions
from sftcore.models.text.start import TextRecord, write_description
from sftcore.models.text.tokens import load_tokenizer
from tests.models.text.tiny import WORDS, write_encoder

NAMES = ["=harbour", "kitchen", "日本"]


def write_text_model(root: Path, max_tokens: int = 24) -> Path:
    """Write ``root/models/finetuned``; gives the folder."""
    encoder = write_encoder(root / "encoder")
    options = TextOptions(max_tokens=max_tokens)
    backbone = f"transformers/{encoder}"
    start = build_start(
        backbone=backbone, weights=str(encoder), num_classes=len(NAMES), image_size=0,
        dropout=0.0, seed=0, device=torch.device("cpu"), text=options,
    )  # fmt: skip
    assert isinstance(start.record, TextRecord)
    network = start.network.eval()
    look = TextSight(load_tokenizer(find_files(backbone, str(encoder))), max_tokens)
    features = look_at(network, [sentence(seed) for seed in range(60)], look).features
    weight = 2 * torch.eye(len(NAMES), features.shape[1]) / features.std(dim=0)
    state = network.state_dict()  # answers that differ from text to text
    state["head.linear.weight"].copy_(weight)
    state["head.linear.bias"].copy_(-weight @ features.mean(dim=0))
    record = {
        "backbone": backbone, "dropout": 0.0, "pretrained": {}, "num_threads": 1,
        "mode": "native", "task": "text_classification", "facts": {"names": NAMES},
        "text": options.model_dump() | {"tokenizer_sha256": start.record.tokenizer_sha256},
    }  # fmt: skip
    files = find_files(backbone, str(encoder))
    folder = root / "models" / "finetuned"
    save_model(folder, state, record, partial(write_description, files))
    return folder


def sentence(seed: int) -> str:
    """Words that the encoder knows, as many as the seed says."""
    return " ".join(WORDS[(seed * 7 + place * (1 + seed % 3)) % len(WORDS)]
                    for place in range(1 + seed % 30))  # fmt: skip
