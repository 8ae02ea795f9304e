"""How a decoder goes on with prompts: the likeliest token each time, or one drawn by its chance.

What a prompt gets is a function of the prompt, its key and the seed: every batch has the same
number of rows and a width that is a function of each row, so companions change no bit, as in
predictions (:mod:`sftcore.evaluation.sight`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sftcore.foundations.errors import DataError
from sftcore.foundations.randomness import row_uniforms
from sftcore.models.network import Network
from sftcore.models.text.build import max_length
from sftcore.models.text.decoder import TextDecoder
from sftcore.models.values import BUCKET, padded_length

BATCH_SIZE = (
    16  # rows that a step computes at once; a step reads all weights, however few there are
)


@dataclass(frozen=True)
class Sampling:
    """Which token comes next.

    Attributes:
        temperature: logits are divided by it; 0 takes the likeliest token.
        top_p: of the tokens the likeliest, so many that their chances come to this (Holtzman et
            al., 2020, The curious case of neural text degeneration, section 3.1).
        seed: of the draws.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


GREEDY = Sampling()


@dataclass(frozen=True)
class Continuation:
    """What came after a prompt.

    Attributes:
        ids: tokens, without the one that ends a text.
        has_ended: whether that one came; else the most tokens were reached.
    """

    ids: tuple[int, ...]
    has_ended: bool


@torch.no_grad()
def continue_prompts(
    network: Network,
    prompts: Sequence[Sequence[int]],
    *,
    most_tokens: int,
    end: int | None,
    sampling: Sampling = GREEDY,
    keys: Sequence[int] | None = None,
) -> list[Continuation]:
    """Go on with every prompt.

    Args:
        network: of a decoder, in evaluation mode.
        prompts: token ids, at least one of each.
        most_tokens: of a continuation, at least 1.
        end: token that ends a text; None where there is none.
        sampling: which token comes next.
        keys: of the draws of each prompt, from 0; without them its number in this order.

    Raises:
        DataError: a prompt has no token, or leaves no room for a continuation.
        TypeError: the network is no decoder.
    """
    decoder = network.backbone
    if not isinstance(decoder, TextDecoder):
        raise TypeError("the network reads no prompts")
    longest = max_length("the decoder", decoder.model)
    for number, prompt in enumerate(prompts, start=1):
        if not len(prompt) or len(prompt) + most_tokens > longest:
            raise DataError(
                f"prompt {number} has {len(prompt)} tokens, and an answer {most_tokens}: the model "
                f"takes 1 to {longest} together"
            )
    named = np.arange(len(prompts)) if keys is None else np.asarray(keys)
    found: dict[int, Continuation] = {}
    for rows in _batches([padded_length(len(prompt)) for prompt in prompts]):
        filled = np.resize(rows, BATCH_SIZE)
        drawn = _draw(
            network, [prompts[row] for row in filled], named[filled], most_tokens, end, sampling
        )
        found |= dict(zip(rows.tolist(), drawn, strict=False))
    return [found[row] for row in range(len(prompts))]


def _batches(widths: Sequence[int]) -> Iterator[np.ndarray]:
    """Rows of one width, a batch's worth at a time."""
    for width in sorted(set(widths)):
        alike = np.flatnonzero(np.array(widths) == width)
        yield from np.split(alike, range(BATCH_SIZE, len(alike), BATCH_SIZE))


def _draw(
    network: Network,
    prompts: Sequence[Sequence[int]],
    keys: np.ndarray,
    most_tokens: int,
    end: int | None,
    sampling: Sampling,
) -> list[Continuation]:
    """Continuations of a batch; states of earlier tokens are kept by the library's cache."""
    decoder: Any = network.backbone.model
    device = next(decoder.parameters()).device
    ids, real = _padded_left(prompts)
    ids, real = ids.to(device), real.to(device)
    places = (real.cumsum(dim=1) - 1).clamp(min=0)
    cache: Any = None
    tokens: list[Tensor] = []
    has_ended = torch.zeros(len(prompts), dtype=torch.bool)
    for step in range(most_tokens):
        out = decoder(
            input_ids=ids, attention_mask=real, position_ids=places, cache=cache, use_cache=True
        )
        cache = out.cache
        logits = network.head(out.last_hidden_state[:, -1]).float().cpu()
        chosen = _choose(logits, keys, step, sampling)
        tokens.append(chosen)
        has_ended |= chosen == end if end is not None else False
        if has_ended.all():
            break
        ids, places = chosen[:, None].to(device), places[:, -1:] + 1
        real = torch.cat([real, real.new_ones(len(real), 1)], dim=1)
    return [_until(row.tolist(), end) for row in torch.stack(tokens, dim=1)]


def _padded_left(prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token ids [B, W] that end with their last token, and where they are no padding."""
    width = padded_length(max(map(len, prompts)), BUCKET)
    ids = torch.zeros(len(prompts), width, dtype=torch.int64)
    real = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        real[row, width - len(prompt) :] = 1
    return ids, real


def _choose(logits: Tensor, keys: np.ndarray, step: int, sampling: Sampling) -> Tensor:
    """The next token of each row, int64 [B], of logits [B, V]."""
    if sampling.temperature == 0:
        return logits.argmax(dim=1)
    chances = (logits.double() / sampling.temperature).softmax(dim=1)
    ordered, ids = chances.sort(dim=1, descending=True, stable=True)
    before = ordered.cumsum(dim=1) - ordered
    kept = ordered.masked_fill(before >= sampling.top_p, 0.0)
    kept[:, 0] = ordered[:, 0]  # the likeliest always is among them
    uniform = row_uniforms(sampling.seed, "sample", step, rows=keys, num=1)
    reached = kept.cumsum(dim=1) > torch.from_numpy(uniform) * kept.sum(dim=1, keepdim=True)
    return ids.gather(1, reached.int().argmax(dim=1, keepdim=True))[:, 0]


def _until(ids: list[int], end: int | None) -> Continuation:
    if end is None or end not in ids:
        return Continuation(tuple(ids), False)
    return Continuation(tuple(ids[: ids.index(end)]), True)
