"""Whether an encoder or a decoder can be used, as far as that is known without a network."""

import torch

from sftcore.foundations.turns import ASSISTANT, USER
from sftcore.models.text.build import describe_decoder, describe_encoder
from sftcore.models.text.files import find_here
from sftcore.models.text.settings import TextOptions
from sftcore.models.text.templates import load_template
from sftcore.models.text.tokens import load_tokenizer

_DIALOGUE = [(USER, "asked"), (ASSISTANT, "answered")]


def check_model(backbone: str, weights: str, options: TextOptions, *, goes_on: bool) -> None:
    """Look at a model's files; nothing is downloaded, and no tensor is read.

    What has yet to be downloaded is checked when it is there.

    Args:
        backbone: ``transformers/<name on the hub>`` or ``transformers/<folder>``.
        weights: see :func:`sftcore.models.text.files.find_files`.
        options: pooling, dropout and length.
        goes_on: whether a decoder is wanted, which says how a text goes on.

    Raises:
        WeightsError: a file is missing, no model of the wanted kind that the installed library has,
            or a text too long for it.
        DataError: the template of a decoder cannot say a dialogue.
    """
    files = find_here(backbone, weights)
    if files is None:
        return
    load_tokenizer(files)
    if goes_on:
        load_template(files, options.template).render(_DIALOGUE)
    if weights != "none":
        files.tensors()
    with torch.device("meta"):  # its parameters take no memory and no time
        (describe_decoder if goes_on else describe_encoder)(backbone, files, options)
