"""Small encoders with random parameters, written as the hub would hand them over."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

WORDS = ["a", "cat", "dog", "sleeps", "runs", "red", "house", "tree", "never", "always"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = 24

_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": _SIZES,
    "roberta": _SIZES | {"pad_token_id": 1},
    "xlm-roberta": _SIZES | {"pad_token_id": 1},
    "camembert": _SIZES | {"pad_token_id": 1},
    "electra": _SIZES | {"embedding_size": 8},
    "distilbert": {
        "vocab_size": VOCABULARY, "dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 24,
        "max_position_embeddings": 40,
    },
    "mpnet": _SIZES,
    "deberta-v2": _SIZES
    | {
        "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 4,
        "norm_rel_ebd": "layer_norm", "share_att_key": True, "position_biased_input": False,
        "type_vocab_size": 0, "conv_kernel_size": 3, "conv_act": "gelu",
    },
    "modernbert": _SIZES
    | {
        "local_attention": 4, "global_attn_every_n_layers": 2,
        "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2,
        "eos_token_id": 3,
    },
    # Without a rule of their own.
    "albert": _SIZES | {"embedding_size": 8},
    "ernie": _SIZES,
}  # fmt: skip


def write_config(folder: Path, family: str, **changes: Any) -> Path:
    """A folder with the configuration alone."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = {"model_type": family} | CONFIGS[family] | changes
    (folder / "config.json").write_text(json.dumps(fields))
    return folder


def write_tokenizer(folder: Path) -> Path:
    """A tokenizer of whole words, which cuts and pads as files of the hub do."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=5)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def masked_lm(family: str, seed: int = 1) -> Any:
    """The library's own model with the head for masked words, as checkpoints of the hub have it."""
    from transformers import CONFIG_MAPPING, AutoModelForMaskedLM

    torch.manual_seed(seed)
    config = CONFIG_MAPPING[family].from_dict(CONFIGS[family])
    return AutoModelForMaskedLM.from_config(config, attn_implementation="eager").eval()


def write_encoder(folder: Path, family: str = "bert", seed: int = 1) -> Path:
    """Configuration, tokenizer and tensors with a head for masked words; no tied tensor twice."""
    write_tokenizer(write_config(folder, family))
    model = masked_lm(family, seed)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
