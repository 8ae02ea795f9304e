"""Noise on the embeddings of a text's tokens, each text by random numbers of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from sftcore.foundations.randomness import row_uniforms
from sftcore.foundations.settings import Coefficient, Settings, setting


class EmbeddingSettings(Settings):
    """Noise on the embeddings of a text's tokens; 0 is off, and all blocks have to be trained."""

    noise: Coefficient = setting(0.0, "alpha of NEFTune: noise in updates, of size alpha/sqrt(L D)")
    r3f: Coefficient = setting(
        0.0, "lambda on how far predictions move when the embeddings do, a little"
    )

    @property
    def is_on(self) -> bool:
        """Whether any of it is asked for."""
        return max(self.noise, self.r3f) > 0


def uniform_noise(
    lengths: np.ndarray,
    shape: tuple[int, int],
    bounds: np.ndarray,
    *,
    rows: np.ndarray,
    seed: int,
    epoch: int,
    purpose: str = "embedding noise",
) -> Tensor:
    """Uniform noise of each text, a function of (seed, purpose, epoch, row) and its own length.

    Args:
        lengths: tokens of each text, integers [B].
        shape: L and D: padded length and width of an embedding.
        bounds: noise of text i is in ±bounds[i], [B].
        rows: drawn rows [B].
        seed: of the training.
        epoch: counted from 0.
        purpose: names the stream.

    Returns:
        float32 [B, L, D], zero behind each text's end.
    """
    width = shape[1]
    noise = np.zeros((len(lengths), *shape), dtype=np.float32)
    for length in np.unique(lengths):  # a text draws for its own tokens, whatever the padding
        alike = np.flatnonzero(lengths == length)
        drawn = row_uniforms(seed, purpose, epoch, rows=rows[alike], num=int(length) * width)
        scaled = (2 * drawn - 1) * np.asarray(bounds, dtype=np.float64)[alike, None]
        noise[alike, :length] = scaled.reshape(len(alike), int(length), width)
    return torch.from_numpy(noise)


def neftune_noise(
    lengths: np.ndarray,
    shape: tuple[int, int],
    alpha: float,
    *,
    rows: np.ndarray,
    seed: int,
    epoch: int,
) -> Tensor:
    """NEFTune's noise: uniform in ±α/√(L·D), so that its expected norm is α/√3 for every length.

    (Jain et al., 2024, NEFTune: noisy embeddings improve instruction finetuning, algorithm 1.) L is
    the text's own length, padding not counted, so that the noise is a function of the text.

    Args:
        lengths: tokens of each text, integers [B].
        shape: padded length and width of an embedding.
        alpha: α, 5 to 15 in the paper.
        rows: drawn rows [B].
        seed: of the training.
        epoch: counted from 0.

    Returns:
        float32 [B, L, D], zero behind each text's end.
    """
    bounds = alpha / np.sqrt(np.asarray(lengths, dtype=np.float64) * shape[1])
    return uniform_noise(lengths, shape, bounds, rows=rows, seed=seed, epoch=epoch)


@contextmanager
def noise_added(embedding: nn.Module, noise: Tensor) -> Iterator[None]:
    """Let a table of embeddings add this noise to whatever it gives, for a while.

    Args:
        embedding: ids [B, L] to [B, L, D].
        noise: [B, L, D], or of one text [L, D].

    Raises:
        ValueError: the table is asked for another shape than the noise has, or for nothing at all:
            what is computed was entered behind it, and has seen no noise.
    """
    is_asked = False

    def add(_: nn.Module, __: object, output: Tensor) -> Tensor:
        nonlocal is_asked
        is_asked = True
        if output.shape[-noise.ndim :] != noise.shape:
            raise ValueError(
                f"noise of {list(noise.shape)} does not belong to embeddings of "
                f"{list(output.shape)}"
            )
        return output + noise.to(output)

    handle = embedding.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()
    if not is_asked:
        raise ValueError("no embedding was asked for, so the noise has reached nothing")
