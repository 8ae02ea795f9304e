"""Small decoders with random parameters, written as the hub would hand them over."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.models.text.tiny import WORDS

SPECIAL = ["<unk>", "<begin>", "<end>", "<says>"]
ROLES = ["system", "user", "assistant"]
VOCABULARY = 24
END = 2
# As ChatML writes it: who speaks, what is said, an end, and a break after it.
TEMPLATE = (
    "{% for m in messages %}<says> {{ m.role }}\n{{ m.content }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<says> assistant\n{% endif %}"
)
_SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2,
    "num_key_value_heads": 1, "intermediate_size": 24, "max_position_embeddings": 64,
    "bos_token_id": 1, "eos_token_id": END, "pad_token_id": END,
}  # fmt: skip
_LOCAL = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": _SIZES | {"tie_word_embeddings": True},
    "mistral": _SIZES | {"sliding_window": 4},
    "qwen2": _SIZES | _LOCAL,
    "qwen3": _SIZES,
    "smollm3": _SIZES,
    "olmo2": _SIZES,
    "gpt2": {
        "vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64,
        "bos_token_id": 1, "eos_token_id": END,
    },
    "gpt_neox": _SIZES | {"num_key_value_heads": 2},
    # Without a rule of its own.
    "stablelm": _SIZES,
}  # fmt: skip


def write_tokenizer(folder: Path, template: str = TEMPLATE) -> Path:
    """A tokenizer of whole words and single signs that begins a text with a token of its own."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = [*SPECIAL, *ROLES, *WORDS, ".", "?"]
    assert len(words) <= VOCABULARY
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<begin> $A", special_tokens=[("<begin>", 1)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    facts = {"bos_token": "<begin>", "eos_token": {"content": "<end>"}}
    (folder / "tokenizer_config.json").write_text(json.dumps(facts))
    if template:
        (folder / "chat_template.jinja").write_text(template)
    return folder


def causal_lm(family: str, seed: int = 1, **changes: Any) -> Any:
    """The library's own model with its head."""
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    torch.manual_seed(seed)
    config = CONFIG_MAPPING[family].from_dict(CONFIGS[family] | changes)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


def write_decoder(
    folder: Path, family: str = "llama", seed: int = 1, template: str = TEMPLATE, **changes: Any
) -> Path:
    """Configuration, tokenizer and tensors as the library would save them."""
    write_tokenizer(folder, template)
    fields = {"model_type": family} | CONFIGS[family] | changes
    (folder / "config.json").write_text(json.dumps(fields))
    model = causal_lm(family, seed, **changes)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
