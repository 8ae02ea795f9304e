"""Rows of tokens of unequal lengths, as every kind of text has them."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch

from sftcore.data.loader import rows_of
from sftcore.models.text.tokens import Tokens
from sftcore.training.views import View

T = TypeVar("T", bound=Tokens)


@dataclass(frozen=True)
class Tokenised(Generic[T]):
    """What texts and dialogues have in common; see :class:`sftcore.training.views.Examples`.

    Attributes:
        tokens: of all rows.
        device: where the network is.
    """

    tokens: T
    device: torch.device

    def moved_targets(self, rows: np.ndarray, view: View) -> None:
        """None: a text keeps its target whatever is hidden of it."""

    def largest(self, rows: np.ndarray) -> int:
        """The row with the most tokens."""
        return int(rows[self.tokens.lengths[rows_of(rows)].argmax()])

    def arranged(self, rows: np.ndarray) -> np.ndarray:
        """The shortest rows first, so that parts of a batch are padded little."""
        return rows[np.argsort(self.tokens.lengths[rows_of(rows)], kind="stable")]

    def not_seen(self, rows: np.ndarray) -> str:
        """How many rows are cut, and what that does."""
        num_cut = int(self.tokens.is_cut[rows].sum())
        if not num_cut:
            return ""
        noun, harm = self._words
        return (
            f"{num_cut:,} of {len(rows):,} {noun} for training and validation are longer than "
            f"model.text.max_tokens, {self.tokens.max_tokens}: {harm}."
        )

    @property
    def _words(self) -> tuple[str, str]:
        """What rows are called, and what a cut does."""
        return "texts", "the network does not see their ends"
