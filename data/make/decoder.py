"""``data/decoder``: a small decoder, pretrained on texts that nobody owns.

``python -m data.make.decoder --root <folder of npm's tarballs>`` reads Moby-Dick and the State of
the Union addresses, and trains with the engine of this project: pretraining is fine-tuning on texts
without prompts that begins with random parameters. It takes a quarter of an hour on two cores.
"""

import json
import re
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save as to_bytes

from data.make.folders import Files, command
from data.make.npm import ADDRESSES, NOVEL, NpmPackage, find_tarball
from sftcore.data.store import Store
from sftcore.data.texts.stored import Texts
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.foundations.runtime import set_up
from sftcore.foundations.turns import TEXT, write_turns
from sftcore.models.settings import ModelSettings
from sftcore.training.inputs import FeatureCache
from sftcore.training.recipe import train
from sftcore.training.records import EpochRecord
from sftcore.training.settings import TrainSettings

VOCABULARY = 4096
END = "<|endoftext|>"  # the first token of the vocabulary
MOST_CHARACTERS = 420  # of a piece of text
NUM_PIECES = 20_000  # of some 38,000
NUM_VAL = 500
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCABULARY,
    "hidden_size": 128, "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 4,
    "intermediate_size": 384, "max_position_embeddings": 1024, "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": True,
    "initializer_range": 0.02, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip
MODEL: dict[str, Any] = {
    "weights": "none", "trainable_blocks": "all",
    "text": {"hidden_dropout": 0.0, "max_tokens": 128},
}  # fmt: skip
RECIPE: dict[str, Any] = {
    "epochs": 1, "learning_rate": 3e-3, "batch_size": 32, "optimizer": "adamw",
    "weight_decay": 0.1, "schedule": {"name": "cosine", "warmup": 0.05},
    "clipping": {"norm": 1.0}, "selection": {"margin": 0.0},
}  # fmt: skip


def pieces(text: str) -> Iterator[str]:
    """Sentences of a text, as many together as :data:`MOST_CHARACTERS` take; longer ones are cut.

    Args:
        text: of one source; paragraphs and lines count as spaces.
    """
    line = " ".join(text.split())
    piece = ""
    for sentence in re.split(r"(?<=[.!?;])\s+", line):
        parts = [
            sentence[i : i + MOST_CHARACTERS] for i in range(0, len(sentence), MOST_CHARACTERS)
        ]
        for part in parts:
            if piece and len(piece) + 1 + len(part) > MOST_CHARACTERS:
                yield piece
                piece = part
            else:
                piece = f"{piece} {part}".strip()
    if piece:
        yield piece


def texts_of(package: NpmPackage, root: Path) -> list[str]:
    """The texts of a package in the order of their names.

    Raises:
        DataError: see :func:`data.make.npm.find_tarball`.
    """
    with tarfile.open(find_tarball(package, root)) as archive:
        named = sorted(
            (member for member in archive.getmembers()
             if member.name.startswith("package/data/") and member.name.endswith(".txt")),
            key=lambda member: member.name,
        )  # fmt: skip
        files = [archive.extractfile(member) for member in named]
        return [file.read().decode() for file in files if file is not None]


def learn_tokens(texts: Sequence[str]) -> str:
    """A tokenizer of byte pairs (Sennrich et al., 2016), as the content of its file."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str()


def store_of(texts: Sequence[str]) -> Store:
    """Texts without prompts as a store; which validate is a matter of their hashes."""
    encoded = [write_turns([(TEXT, text)]).encode() for text in texts]
    digests = [sha256_bytes(content) for content in encoded]
    is_val = np.isin(digests, sorted(digests)[:NUM_VAL])
    rows = range(len(encoded))
    samples = pd.DataFrame({
        "id": [f"{row:06d}" for row in rows], "split": np.where(is_val, "val", "train"),
        "sha256": digests, "group": digests, "stratum": "", "row": rows,
    })  # fmt: skip
    content = Texts(
        np.frombuffer(b"".join(encoded), dtype=np.uint8),
        np.cumsum([0, *map(len, encoded)]),
    )
    return Store(
        content, np.zeros((len(encoded), 0)), samples, [], sha256_bytes("".join(digests).encode()),
        ("train", "val"), kind="dialogues", target="answers",
    )  # fmt: skip


def pretrain(store: Store, folder: Path) -> tuple[dict[str, torch.Tensor], EpochRecord]:
    """The tensors after training, float16, under the library's names, and the epoch they are of.

    Args:
        store: of texts.
        folder: with configuration and tokenizer.
    """
    trained = train(
        store,
        ModelSettings(**MODEL, backbone=f"transformers/{folder}"),
        TrainSettings(**RECIPE),
        task="causal_lm",
        seed=0,
        device=set_up("cpu", 2),
        cache=FeatureCache(0),
        on_epoch=lambda record: print(record.epoch, record.val_loss, record.scores, flush=True),
    )
    prefix = "backbone.model."
    state = {
        f"model.{name.removeprefix(prefix)}": tensor.half().contiguous()
        for name, tensor in trained.result.chosen_state.items()
        if name.startswith(prefix)
    }
    return state, trained.result.best


def make(root: Path) -> Files:
    """The contents of ``data/decoder`` by path.

    Raises:
        DataError: a tarball is not in ``root``.
    """
    texts = [p for of in (NOVEL, ADDRESSES) for text in texts_of(of, root) for p in pieces(text)]
    texts = sorted(dict.fromkeys(texts), key=lambda text: sha256_bytes(text.encode()))[:NUM_PIECES]
    files = {
        "config.json": json.dumps(CONFIG, indent=2, sort_keys=True).encode() + b"\n",
        "tokenizer.json": learn_tokens(texts).encode(),
        "tokenizer_config.json": json.dumps({"eos_token": END}).encode() + b"\n",
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        state, _ = pretrain(store_of(texts), folder)
    return files | {"model.safetensors": to_bytes(state)}


if __name__ == "__main__":
    from sftcore.foundations.instruction_set import choose_for_torch

    choose_for_torch("portable")
    command("decoder", make)
