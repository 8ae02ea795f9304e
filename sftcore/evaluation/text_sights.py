"""How encoders and decoders are shown texts, by their files."""

import torch

from sftcore.evaluation.dialogue_sight import DialogueSight, dialogue_sight
from sftcore.evaluation.sight import TextSight
from sftcore.models.text.files import EncoderFiles
from sftcore.models.text.settings import TextOptions
from sftcore.models.text.tokens import load_tokenizer


def sight_of_texts(
    files: EncoderFiles, options: TextOptions, device: torch.device, *, goes_on: bool
) -> TextSight | DialogueSight:
    """What stands between texts, or dialogues, and a network.

    Args:
        files: of the network.
        options: template and length.
        device: where the network is.
        goes_on: whether it is a decoder, which reads dialogues.

    Raises:
        WeightsError: there is no tokenizer, or a file beside it is damaged.
    """
    if goes_on:
        return dialogue_sight(files, options, device)
    return TextSight(load_tokenizer(files), options.max_tokens, device)
