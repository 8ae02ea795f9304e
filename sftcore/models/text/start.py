"""A text encoder or a decoder with its first parameters, and the record of where they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from sftcore.foundations.artifacts import read_json, sha256_json, write_json
from sftcore.foundations.errors import WeightsError
from sftcore.models.backbones import Backbone
from sftcore.models.packaged import State, WeightsRecord
from sftcore.models.text.build import build_decoder, build_encoder
from sftcore.models.text.checkpoints import read_encoder, take_language_head
from sftcore.models.text.decoder import LanguageHead
from sftcore.models.text.encoder import TextEncoder
from sftcore.models.text.files import CONFIG, TOKENIZER, EncoderFiles, find_files
from sftcore.models.text.settings import TextOptions
from sftcore.models.text.templates import write_template
from sftcore.models.text.tokens import tokenizer_digest
from sftcore.models.weights import load_exactly


@dataclass(frozen=True)
class TextRecord(WeightsRecord):
    """What is known of an encoder's weights.

    Token ids are not normalised: mean and standard deviation are those that leave a value as it
    is. The input size is counted in tokens.

    Attributes:
        tokenizer_sha256: of the tokenizer's content; empty where the encoder has none.
        files: sha256 of every file that was read, by name.
        pooling: from states to features.
        max_tokens: longest text in tokens; longer ones are cut.
    """

    tokenizer_sha256: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    pooling: str = ""
    max_tokens: int = 0


def start_encoder(
    name: str, weights: str, options: TextOptions, *, goes_on: bool = False
) -> tuple[Backbone, TextRecord]:
    """Build a text encoder, or a decoder with its head, and put its weights in.

    Args:
        name: ``transformers/<name on the hub>`` or ``transformers/<folder>``.
        weights: see :func:`sftcore.models.text.files.find_files`.
        options: pooling, dropout and length.
        goes_on: whether a decoder is wanted, which says how a text goes on.

    Raises:
        WeightsError: the files are not to be had, or do not fit.
    """
    files = find_files(name, weights)
    built = (build_decoder if goes_on else build_encoder)(name, files, options)
    has_weights = weights != "none"
    if has_weights:
        state = read_encoder(files, _encoder(built))
        if built.head is not None:
            _load_head(built, take_language_head(state), state, files.origin)
        load_exactly(built, state, files.origin)
    hashes = files.hashes(with_tensors=has_weights)
    tensors = {name: digest for name, digest in hashes.items() if name.endswith(".safetensors")}
    is_one = len(tensors) == 1
    record = TextRecord(
        origin=files.origin if has_weights else "none: random initialisation",
        sha256=next(iter(tensors.values())) if is_one else sha256_json(tensors) if tensors else "",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        input_size=options.max_tokens,
        licence=files.licence,
        tokenizer_sha256=tokenizer_digest(files) if TOKENIZER in hashes else "",
        files=hashes,
        pooling="" if goes_on else options.pooling,
        max_tokens=options.max_tokens,
    )
    return built, record


def _load_head(built: Backbone, weights: Tensor | None, state: State, origin: str) -> None:
    """Put the weights of a decoder's own head in.

    Raises:
        WeightsError: there are none, they are of another shape, or they differ from the table that
            the configuration says they are.
    """
    if isinstance(built.head, LanguageHead):
        wanted = built.head.linear.weight
        if weights is None or weights.shape != wanted.shape:
            found = "none" if weights is None else list(weights.shape)
            raise WeightsError(
                f"the weights ({origin}) do not fit {built.name}: its head wants "
                f"{list(wanted.shape)}, and they hold {found}"
            )
        built.head.load_state_dict({"linear.weight": weights})
    elif weights is not None:
        tables = [t for t in state.values() if t.shape == weights.shape and torch.equal(t, weights)]
        if not tables:
            raise WeightsError(
                f"the configuration of {origin} says that the head is the table of embeddings, and "
                "the weights hold another one: set tie_word_embeddings to false in config.json"
            )


def write_description(files: EncoderFiles, folder: Path, template: str = "") -> None:
    """Put a model's configuration and tokenizer into a folder, as canonical JSON.

    With them ``transformers/<folder>`` and weights ``none`` build the same model again, without
    the files that it came from.

    Args:
        files: of the encoder or decoder.
        folder: that a fine-tuned model is kept in.
        template: that a decoder was trained with, see
            :func:`sftcore.models.text.templates.load_template`; empty without turns.

    Raises:
        OutputError: the folder cannot be written.
        WeightsError: the encoder has no tokenizer.
    """
    if not (files.folder / TOKENIZER).is_file():
        raise WeightsError(f"{files.origin} has no {TOKENIZER} to keep beside the model")
    write_json(folder / CONFIG, read_json(files.folder / CONFIG))
    write_json(folder / TOKENIZER, read_json(files.folder / TOKENIZER))
    if template:
        write_template(files, template, folder)


def _encoder(backbone: Backbone) -> TextEncoder:
    assert isinstance(backbone.module, TextEncoder)
    return backbone.module
