"""How the decoders of transformers compute: embeddings, layer after layer, a norm.

As :mod:`sftcore.models.text.families`, for models in which no token sees a later one. Padding on
the right therefore needs no mask: a test holds that the parts in order are the whole model, bit for
bit, on all that is no padding.
"""

from functools import partial
from typing import Any

from torch import Tensor

from sftcore.models.text.families import Family, positions


def _mask(model: Any, number: int, states: Tensor) -> Tensor:
    """What is added to attention scores, as the library makes it for a layer: [B, 1, L, L]."""
    from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask

    config = model.config
    kinds = getattr(config, "layer_types", None)
    is_local = (
        kinds[number] == "sliding_attention"
        if kinds is not None
        else getattr(config, "sliding_window", None) is not None
    )
    make = create_sliding_window_causal_mask if is_local else create_causal_mask
    return make(config=config, inputs_embeds=states, attention_mask=None, cache=None)


def _llama_embed(model: Any, ids: Tensor, _: Tensor) -> Tensor:
    return model.embed_tokens(ids)


def _llama_layer(model: Any, number: int, states: Tensor, real: Tensor) -> Tensor:
    places = positions(real, 0)
    return model.layers[number](
        states,
        attention_mask=_mask(model, number, states),
        position_embeddings=model.rotary_emb(states, places),
        position_ids=places,
    )


def _gpt2_embed(model: Any, ids: Tensor, _: Tensor) -> Tensor:
    return model.drop(model.wte(ids) + model.wpe(positions(ids, 0)))


def _gpt2_layer(model: Any, number: int, states: Tensor, real: Tensor) -> Tensor:
    return model.h[number](
        states, None, _mask(model, number, states), position_ids=positions(real, 0)
    )


def _neox_embed(model: Any, ids: Tensor, _: Tensor) -> Tensor:
    return model.emb_dropout(model.embed_in(ids))


_llama = partial(
    Family, "layers", _llama_embed, _llama_layer, first=("embed_tokens", "rotary_emb"),
    last=("norm",),
)  # fmt: skip

DECODERS: dict[str, Family] = {
    "llama": _llama(),
    "mistral": _llama(),
    "qwen2": _llama(),
    "qwen3": _llama(),
    "smollm3": _llama(),
    "olmo2": _llama(),
    "gpt2": Family(
        "h", _gpt2_embed, _gpt2_layer, first=("wte", "wpe", "drop"), last=("ln_f",)
    ),
    "gpt_neox": Family(
        "layers", _neox_embed, _llama_layer, first=("embed_in", "emb_dropout", "rotary_emb"),
        last=("final_layer_norm",),
    ),
}  # fmt: skip
