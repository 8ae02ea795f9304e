"""How a network is shown examples when it is used: in batches that change no example's numbers.

Kernels add in an order that depends on the shape of the batch (rows of one picture and of 64 differ
in the last digits), and on nothing else that is in it. So every batch of predictions has a shape
that is a function of the example alone: 32 pictures, or 32 texts padded to one bucket. What is
missing is filled up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sftcore.data.loader import normalize, to_unit_range
from sftcore.models.network import Network
from sftcore.models.text.tokens import TextTokenizer
from sftcore.models.values import BUCKET, Values, padded_length, pooled, to_device
from sftcore.tasks.answers import Answers

# A single example costs as much as a batch, so it is no larger than speed asks for.
PREDICT_BATCH_SIZE = 32


class Sight(Protocol):
    """What stands between examples and a network."""

    @property
    def notes(self) -> Mapping[str, str]:
        """What :meth:`note` may say, by name, with words that follow a number of examples."""

    def batches(self, examples: Any) -> Iterator[tuple[np.ndarray, Any]]:
        """The examples in batches.

        Args:
            examples: N of them, as the store has them.

        Yields:
            Which examples the batch begins with [n], and what the network takes of them, filled up
            to :data:`PREDICT_BATCH_SIZE` rows. Each example comes once.
        """

    def see(self, network: Network, batch: Any, answers: Answers) -> tuple[Tensor, Any]:
        """What the network makes of a batch.

        Args:
            network: in evaluation mode.
            batch: of :meth:`batches`.
            answers: what its outputs mean.

        Returns:
            Features before the head [B, D], and the answers, [B, ...] or objects [B].
        """
        features = network.features(batch)
        return pooled(features), answers(network.head(features))

    def why_not(self, example: Any) -> str:
        """Why the network cannot be shown an example; empty where it can."""

    def note(self, example: Any) -> Mapping[str, bool]:
        """What a reader has to know of how the network sees an example."""


@dataclass(frozen=True)
class PictureSight(Sight):
    """Pictures, uint8 [N, S, S, 3].

    Attributes:
        mean: per channel, of the weights.
        std: per channel, of the weights.
        device: where the network is.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (a device never changes)

    def batches(self, examples: np.ndarray) -> Iterator[tuple[np.ndarray, Values]]:
        """See :class:`Sight`; black pictures fill up."""
        for start in range(0, len(examples), PREDICT_BATCH_SIZE):
            batch = np.array(examples[start : start + PREDICT_BATCH_SIZE])  # torch wants its own
            count, missing = len(batch), PREDICT_BATCH_SIZE - len(batch)
            if missing:
                batch = np.pad(batch, [(0, missing), (0, 0), (0, 0), (0, 0)])
            pictures = normalize(to_unit_range(batch, self.device), self.mean, self.std)
            yield np.arange(start, start + count), pictures

    def why_not(self, example: np.ndarray) -> str:
        """Every picture can be shown."""
        return ""

    @property
    def notes(self) -> Mapping[str, str]:
        """None: a picture is seen whole."""
        return {}

    def note(self, example: np.ndarray) -> Mapping[str, bool]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class TextSight(Sight):
    """Texts.

    Attributes:
        tokenizer: that belongs to the network.
        max_tokens: longest text in tokens; longer ones are cut.
        device: where the network is.
    """

    tokenizer: TextTokenizer
    max_tokens: int
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (a device never changes)

    def batches(self, examples: Sequence[str] | np.ndarray) -> Iterator[tuple[np.ndarray, Values]]:
        """See :class:`Sight`; the batch's own texts fill up.

        Raises:
            DataError: a text gives no token.
        """
        tokens = self.tokenizer.encode(examples, self.max_tokens)
        for rows, filled in full_batches(tokens.lengths, self.max_tokens):
            yield rows, to_device(tokens.batch(filled), self.device)

    def why_not(self, example: str) -> str:
        """A text has to give a token; the special ones around it are enough."""
        return "" if self.tokenizer.has_tokens(example) else "no token: the model reads none of it"

    @property
    def notes(self) -> Mapping[str, str]:
        """Whether the end is cut off."""
        most = self.max_tokens
        return {"cut": f"had more than {most} tokens, and the model read only the first {most}"}

    def note(self, example: str) -> Mapping[str, bool]:
        """Whether the text is longer than what the network is shown of it."""
        return {"cut": bool(self.tokenizer.encode([example], self.max_tokens).is_cut[0])}


def full_batches(
    lengths: np.ndarray, most: int | None = None, size: int = PREDICT_BATCH_SIZE
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of one width at a time.

    Args:
        lengths: of the rows in tokens [N].
        most: that a row may have.
        size: of a batch.

    Yields:
        Rows [n], and the same filled up with themselves to a full batch.
    """
    widths = np.array([padded_length(length, BUCKET, most) for length in lengths.tolist()])
    for width in np.unique(widths):
        alike = np.flatnonzero(widths == width)
        for start in range(0, len(alike), size):
            rows = alike[start : start + size]
            yield rows, np.resize(rows, size)
