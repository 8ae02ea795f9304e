"""A finished model of answers on a tiny decoder, with the parameters that it came with."""

from functools import partial
from pathlib import Path

import torch

from sftcore.evaluation.predict import save_model
from sftcore.models.start import build_start
from sftcore.models.text.files import find_files
from sftcore.models.text.settings import TextOptions
from sftcore.models.text.start import TextRecord, write_description
from tests.models.text.tiny_decoder import write_decoder


def write_answer_model(root: Path) -> Path:
    """Write ``root/models/finetuned``; gives the folder."""
    decoder = write_decoder(root / "decoder", seed=5)
    options = TextOptions(max_tokens=40, hidden_dropout=0.0)
    backbone = f"transformers/{decoder}"
    start = build_start(
        backbone=backbone, weights=str(decoder), num_classes=0, image_size=0, dropout=0.0, seed=0,
        device=torch.device("cpu"), text=options, goes_on=True,
    )  # fmt: skip
    assert isinstance(start.record, TextRecord)
    record = {
        "backbone": backbone, "dropout": 0.0, "pretrained": {}, "num_threads": 1,
        "mode": "native", "task": "causal_lm", "facts": {"names": []},
        "text": options.model_dump() | {"tokenizer_sha256": start.record.tokenizer_sha256},
    }  # fmt: skip
    describe = partial(write_description, find_files(backbone, str(decoder)), template="own")
    folder = root / "models" / "finetuned"
    save_model(folder, start.network.model_state(), record, describe)
    return folder
