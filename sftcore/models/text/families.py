"""How the encoders of transformers compute: embeddings, then layer after layer.

A family with a rule can be entered between its layers; a test holds for each that the parts in
order are the whole model. A part may use what an earlier part owns (tables of relative positions),
never what a later one does, so a frozen beginning stays a function of the text.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Family:
    """A way in which encoders compute; ``real`` says where tokens are no padding, int64 [B, L].

    Attributes:
        layers: name of the list of layers in the model.
        embed: (model, ids [B, L], real) to states [B, L, D].
        layer: (model, number of the layer, states, real) to states.
        first: members that belong to the embeddings.
        first_layer: members that belong to layer 0.
        last: members that follow the layers, run one after the other.
    """

    layers: str
    embed: Callable[[Any, Tensor, Tensor], Tensor]
    layer: Callable[[Any, int, Tensor, Tensor], Tensor]
    first: tuple[str, ...] = ("embeddings",)
    first_layer: tuple[str, ...] = ()
    last: tuple[str, ...] = ()


def positions(ids: Tensor, first: int) -> Tensor:
    """Positions [1, L] counted from ``first``.

    Given to the models, since some count them from the ids and take a padding id for an end.
    """
    return torch.arange(first, first + ids.shape[1], device=ids.device)[None]


def _mask(model: Any, states: Tensor, real: Tensor) -> Tensor:
    """What is added to attention scores, as the library makes it: [B, 1, L, L]."""
    from transformers.masking_utils import create_bidirectional_mask

    return create_bidirectional_mask(config=model.config, inputs_embeds=states, attention_mask=real)


def _local_mask(model: Any, states: Tensor, real: Tensor) -> Tensor:
    """The same, of layers that look no further than a window."""
    from transformers.masking_utils import create_bidirectional_sliding_window_mask

    return create_bidirectional_sliding_window_mask(
        config=model.config, inputs_embeds=states, attention_mask=real
    )


def _bert_embed(model: Any, ids: Tensor, _: Tensor) -> Tensor:
    return model.embeddings(input_ids=ids, position_ids=positions(ids, 0))


def _bert_layer(model: Any, number: int, states: Tensor, real: Tensor) -> Tensor:
    return model.encoder.layer[number](states, _mask(model, states, real))


def _roberta_embed(model: Any, ids: Tensor, _: Tensor) -> Tensor:
    first = model.embeddings.padding_idx + 1
    return model.embeddings(input_ids=ids, position_ids=positions(ids, first))


def _electra_embed(model: Any, ids: Tensor, real: Tensor) -> Tensor:
    states = _bert_embed(model, ids, real)
    return model.embeddings_project(states) if hasattr(model, "embeddings_project") else states


def _distilbert_layer(model: Any, number: int, states: Tensor, real: Tensor) -> Tensor:
    return model.transformer.layer[number](states, attention_mask=_mask(model, states, real))


def _mpnet_layer(model: Any, number: int, states: Tensor, real: Tensor) -> Tensor:
    bias = model.encoder.compute_position_bias(states)
    return model.encoder.layer[number](states, _mask(model, states, real), bias)[0]


def _deberta_embed(model: Any, ids: Tensor, real: Tensor) -> Tensor:
    return model.embeddings(input_ids=ids, position_ids=positions(ids, 0), mask=real)


def _deberta_layer(model: Any, number: int, states: Tensor, real: Tensor) -> Tensor:
    encoder = model.encoder
    after = encoder.layer[number](
        states,
        encoder.get_attention_mask(real),
        relative_pos=encoder.get_rel_pos(states),
        rel_embeddings=encoder.get_rel_embedding(),
    )[0]
    has_convolution = number == 0 and encoder.conv is not None
    return encoder.conv(states, after, real) if has_convolution else after


def _modernbert_embed(model: Any, ids: Tensor, _: Tensor) -> Tensor:
    return model.embeddings(input_ids=ids)


def _modernbert_layer(model: Any, number: int, states: Tensor, real: Tensor) -> Tensor:
    layer = model.layers[number]
    is_local = layer.attention_type == "sliding_attention"
    mask = (_local_mask if is_local else _mask)(model, states, real)
    turned = model.rotary_emb(states, positions(real, 0), layer.attention_type)
    return layer(states, attention_mask=mask, position_embeddings=turned)


_bert = partial(Family, "encoder.layer", layer=_bert_layer)

FAMILIES: dict[str, Family] = {
    "bert": _bert(embed=_bert_embed),
    "roberta": _bert(embed=_roberta_embed),
    "xlm-roberta": _bert(embed=_roberta_embed),
    "camembert": _bert(embed=_roberta_embed),
    "electra": _bert(embed=_electra_embed, first=("embeddings", "embeddings_project")),
    "distilbert": Family("transformer.layer", _bert_embed, _distilbert_layer),
    "mpnet": Family(
        "encoder.layer",
        _roberta_embed,
        _mpnet_layer,
        first=("embeddings", "encoder.relative_attention_bias"),
    ),
    "deberta-v2": Family(
        "encoder.layer",
        _deberta_embed,
        _deberta_layer,
        first=("embeddings", "encoder.rel_embeddings", "encoder.LayerNorm"),
        first_layer=("encoder.conv",),
    ),
    "modernbert": Family(
        "layers",
        _modernbert_embed,
        _modernbert_layer,
        first=("embeddings", "rotary_emb"),
        last=("final_norm",),
    ),
}
