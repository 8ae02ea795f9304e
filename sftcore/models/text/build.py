"""A text encoder or a decoder with random parameters, from its configuration alone."""

import inspect
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from sftcore.foundations.artifacts import read_json
from sftcore.foundations.errors import WeightsError
from sftcore.models.backbones import Backbone
from sftcore.models.text.decoder import LanguageHead, TextDecoder, TiedHead
from sftcore.models.text.encoder import TextEncoder
from sftcore.models.text.files import CONFIG, EncoderFiles
from sftcore.models.text.linear import use_one_dnn
from sftcore.models.text.settings import TextOptions
from sftcore.models.values import BUCKET, Sequences, asked_of

# Explicit products and a softmax: one way of computing for every family (MPNet and DeBERTa have no
# other), shape, mask, dropout and device. The fused form chooses its kernel by these, leaves the
# mask out where no row is padded, and is no faster on a CPU: 32 texts of 24 tokens by MiniLM take
# 152 ms so and 168 ms fused (medians of 15, one thread).
ATTENTION = "eager"
# How configurations call the dropout of hidden states and of attention probabilities.
_DROPOUTS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob",
    "dropout", "attention_dropout", "hidden_dropout",
    "embedding_dropout", "mlp_dropout",
    "resid_pdrop", "embd_pdrop", "attn_pdrop",
)  # fmt: skip

# Members of checkpoints that no encoder takes, named one by one, so that anything else that is left
# over is an error.
_HEADS = (
    "pooler",
    "cls", "lm_head", "predictions",  # BERT, RoBERTa, ALBERT: masked words
    "vocab_transform", "vocab_layer_norm", "vocab_projector",  # DistilBERT: masked words
    "generator_predictions", "generator_lm_head", "discriminator_predictions",  # ELECTRA
    "lm_predictions", "mask_predictions",  # DeBERTa
    "head", "decoder",  # ModernBERT: masked words
    "classifier", "pre_classifier", "qa_outputs",  # fine-tuned for something else
)  # fmt: skip
IGNORED = tuple(f"model.{member}" for member in _HEADS)


def build_encoder(name: str, files: EncoderFiles, options: TextOptions) -> Backbone:
    """Build an encoder with random parameters from torch's global stream.

    Args:
        name: of the backbone, for messages.
        files: whose configuration is read; none of its code is run.
        options: pooling, dropout and length.

    Raises:
        WeightsError: no encoder that the installed library has, one that asks for code of its own,
            or a text too long for it.
    """
    encoder = TextEncoder(describe_encoder(name, files, options), options.pooling)
    return Backbone(name, encoder, _try(name, encoder), IGNORED)


def build_decoder(name: str, files: EncoderFiles, options: TextOptions) -> Backbone:
    """Build a decoder with its own head and random parameters from torch's global stream.

    Args:
        name: of the backbone, for messages.
        files: whose configuration is read; none of its code is run.
        options: dropout and length.

    Raises:
        WeightsError: no decoder that the installed library has, one that asks for code of its own,
            or a text too long for it.
    """
    model = describe_decoder(name, files, options)
    table = model.get_input_embeddings()
    is_tied = bool(model.config.get_text_config().tie_word_embeddings)
    decoder = TextDecoder(model)
    width = _try(name, decoder)
    head = TiedHead(table) if is_tied else LanguageHead(width, model.config.vocab_size)
    return Backbone(name, decoder, width, (), head=head)


def describe_encoder(name: str, files: EncoderFiles, options: TextOptions) -> Any:
    """The library's model with random parameters, of which nothing has been computed.

    Args:
        name: of the backbone, for messages.
        files: whose configuration is read.
        options: dropout and length.

    Raises:
        WeightsError: as for :func:`build_encoder`.
    """
    return _described(name, _read_encoder(name, files), options)


def describe_decoder(name: str, files: EncoderFiles, options: TextOptions) -> Any:
    """The same of a decoder without its head.

    Args:
        name: of the backbone, for messages.
        files: whose configuration is read.
        options: dropout and length.

    Raises:
        WeightsError: as for :func:`build_decoder`.
    """
    return _described(name, _read_decoder(name, files), options)


def _described(name: str, config: Any, options: TextOptions) -> Any:
    _set_dropout(name, config, options.hidden_dropout)
    model = _create(config)
    _check_dropout(name, model, options.hidden_dropout)
    longest = max_length(name, model)
    if options.max_tokens > longest:
        raise WeightsError(
            f"{name} takes at most {longest} tokens, and {options.max_tokens} are asked for: set "
            "model.text.max_tokens to that or less"
        )
    return model


def _read_encoder(name: str, files: EncoderFiles) -> Any:
    """The library's configuration object of an encoder."""
    from transformers import MODEL_FOR_MASKED_LM_MAPPING

    config = _read_config(name, files)
    is_encoder = type(config) in MODEL_FOR_MASKED_LM_MAPPING
    flags = ("is_encoder_decoder", "is_decoder")
    if not is_encoder or any(getattr(config, flag, False) for flag in flags):
        raise WeightsError(
            f"{name} ({config.model_type}) is no text encoder that sees a text both ways: choose "
            "BERT or one of its kin"
        )
    return config


def _read_decoder(name: str, files: EncoderFiles) -> Any:
    """The library's configuration object of a decoder."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    config = _read_config(name, files)
    is_decoder = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    if not is_decoder or type(config) in MODEL_FOR_MASKED_LM_MAPPING:
        raise WeightsError(
            f"{name} ({config.model_type}) is no decoder that goes on with a text: choose GPT-2, "
            "Llama or one of their kin"
        )
    scaled = ("logit_scale", "logits_scaling", "final_logit_softcapping")
    if used := [field for field in scaled if getattr(config, field, None) is not None]:
        raise WeightsError(
            f"{name} ({config.model_type}) changes its logits ({', '.join(used)}), which is not "
            "known here: choose another decoder"
        )
    return config


def _read_config(name: str, files: EncoderFiles) -> Any:
    """The library's configuration object, as it says of itself what it is."""
    from transformers import CONFIG_MAPPING

    fields = read_json(files.folder / CONFIG)
    kind = fields.get("model_type", "")
    if "auto_map" in fields:
        raise WeightsError(
            f"{name} asks for code of its own (auto_map in {CONFIG}), which is never run: choose "
            "one that the installed transformers has"
        )
    if kind not in CONFIG_MAPPING:
        near = get_close_matches(kind, list(CONFIG_MAPPING), n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise WeightsError(f"{name}: transformers has no model_type {kind!r}{hint}")
    return CONFIG_MAPPING[kind].from_dict(fields)


def _set_dropout(name: str, config: Any, probability: float) -> None:
    known = [field for field in _DROPOUTS if hasattr(config, field)]
    if not known and probability > 0:
        raise WeightsError(
            f"{name} ({config.model_type}) has no dropout that is known by name: set "
            "model.text.hidden_dropout to 0"
        )
    for field in known:
        setattr(config, field, probability)


def _check_dropout(name: str, model: nn.Module, probability: float) -> None:
    """A configuration may call a dropout otherwise; none may stay as it was."""
    others = [
        n for n, m in model.named_modules() if isinstance(m, nn.Dropout) and m.p != probability
    ]
    if others:
        raise WeightsError(
            f"{name}: the dropout of {others[0]} is called by a name that is not known: choose "
            "another encoder"
        )


def _create(config: Any) -> Any:
    """The library's model without its pooler, which Sentence-BERT's poolings do not use."""
    from transformers import MODEL_MAPPING

    kind: Any = MODEL_MAPPING[type(config)]
    has_pooler = "add_pooling_layer" in inspect.signature(kind.__init__).parameters
    options = {"add_pooling_layer": False} if has_pooler else {}
    model = kind._from_config(config, attn_implementation=ATTENTION, dtype=torch.float32, **options)
    use_one_dnn(model)
    return model


def max_length(name: str, model: nn.Module) -> int:
    """The most tokens that an encoder has positions for.

    Some tables begin with the padding's own positions, which no token takes.

    Raises:
        WeightsError: it does not say.
    """
    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        if isinstance(table, nn.Embedding):
            skipped = 0 if table.padding_idx is None else table.padding_idx + 1
            return table.num_embeddings - skipped
    config: Any = model.config
    longest = getattr(config, "max_position_embeddings", None)
    if longest is None:
        raise WeightsError(f"{name} does not say how many tokens it takes: choose another encoder")
    return int(longest)


@torch.no_grad()
def _try(name: str, encoder: TextEncoder) -> int:
    """Width of the features, or of the states, of a text of one token."""
    ids = torch.zeros(1, BUCKET, dtype=torch.int64)
    try:
        tokens = Sequences(ids, torch.ones(1, dtype=torch.int64))
        features = asked_of(encoder.eval()(tokens))
    except (AttributeError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise WeightsError(
            f"{name} ({encoder.model.config.model_type}) cannot be fed token ids and a mask alone "
            f"({error}): choose another"
        ) from error
    finally:
        encoder.train()
    return features.shape[1]
