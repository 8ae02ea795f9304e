"""From the states of a text's tokens to one row of features."""

from collections.abc import Callable

import torch
from torch import Tensor

from sftcore.models.values import Sequences


def mean_of_tokens(states: Sequences) -> Tensor:
    """Mean over a text's own tokens, the special ones included.

    (Reimers and Gurevych, 2019, Sentence-BERT, section 3, the MEAN strategy: what the default
    encoder was trained with.)

    Args:
        states: [B, L, D]; zero behind each row's end, so that the sum needs no mask.

    Returns:
        [B, D].
    """
    return states.data.sum(dim=1) / states.lengths[:, None].to(states.data.dtype)


def first_token(states: Sequences) -> Tensor:
    """State of the first token, which most encoders prepend to every text: [B, L, D] to [B, D]."""
    return states.data[:, 0]


def max_of_tokens(states: Sequences) -> Tensor:
    """Maximum over a text's own tokens, feature by feature: [B, L, D] to [B, D]."""
    lowest = torch.finfo(states.data.dtype).min
    return states.data.masked_fill(~states.is_real[:, :, None], lowest).amax(dim=1)


POOLINGS: dict[str, Callable[[Sequences], Tensor]] = {
    "mean": mean_of_tokens,
    "cls": first_token,
    "max": max_of_tokens,
}
