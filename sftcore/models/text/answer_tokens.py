"""Dialogues as token ids, with a weight for each token that is to be learnt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sftcore.foundations.errors import DataError
from sftcore.models.text.templates import Rendered
from sftcore.models.text.tokens import TextTokenizer, Tokens
from sftcore.models.values import BUCKET, Sequences, padded_length

PROMPT, ANSWER = 0, 1


@dataclass(frozen=True)
class AnswerTokens(Tokens):
    """Token ids of dialogues, one row after the other, each up to its last answer.

    Attributes:
        parts: of each token :data:`ANSWER` or :data:`PROMPT`, uint8 [T].
    """

    parts: np.ndarray

    def batch(
        self, rows: np.ndarray, bucket: int = BUCKET, *, with_prompts: bool = False
    ) -> Sequences:
        """What a decoder is fed of some rows: all tokens but the last, which is only foretold.

        Args:
            rows: of the dialogues, integers [B], in any order and as often as wanted.
            bucket: lengths are rounded up to multiples of it.
            with_prompts: whether prompts are learnt too.

        Returns:
            Token ids [B, L] on the CPU; a head is asked at the tokens before those to be learnt.
        """
        tokens = super().batch(rows, bucket)
        lengths = tokens.lengths - 1
        width = padded_length(int(lengths.max()), bucket, self.max_tokens)
        parts = self._foretold(self.parts, rows, width)
        is_inside = torch.arange(width) < lengths[:, None]
        wanted = is_inside if with_prompts else torch.from_numpy(parts == ANSWER) & is_inside
        ids = tokens.data[:, :width]
        if ids.shape[1] < width:
            ids = torch.nn.functional.pad(ids, (0, width - ids.shape[1]))
        return Sequences(ids.masked_fill(~is_inside, 0), lengths, wanted)

    def targets(self, rows: np.ndarray, prompt_weight: float = 0.0) -> Tensor:
        """The tokens that are to be foretold of some rows.

        Args:
            rows: of the dialogues.
            prompt_weight: of a prompt's token, in units of an answer's.

        Returns:
            float64 [B, L, 3]: token id, its weight in the training loss, and whether it is of an
            answer; all 0 behind a row's end.
        """
        lengths = self.lengths[rows] - 1
        width = int(lengths.max())
        is_inside = np.arange(width) < lengths[:, None]
        is_answer = self._foretold(self.parts, rows, width) == ANSWER
        ids = self._foretold(self.ids, rows, width)
        weights = np.where(is_answer, 1.0, prompt_weight)
        found = np.stack([ids, weights, is_answer], axis=-1) * is_inside[..., None]
        return torch.from_numpy(found.astype(np.float64))

    def _foretold(self, of: np.ndarray, rows: np.ndarray, width: int) -> np.ndarray:
        """What is known of the next token at each place [B, L]; 0 behind a row's end."""
        place = np.arange(1, width + 1)
        inside = place < self.lengths[rows][:, None]
        where = np.where(inside, self.offsets[:-1][rows][:, None] + place, 0)
        return np.where(inside, of[where], 0)


def encode_dialogues(
    tokenizer: TextTokenizer, dialogues: Sequence[Rendered], max_tokens: int, end: int | None
) -> AnswerTokens:
    """Tokenise dialogues, prompt and answer in one go; which token is whose is told by characters.

    A longer dialogue is cut at its end. What follows the last answer is left out.

    Args:
        tokenizer: of the model.
        dialogues: at least one.
        max_tokens: of a row.
        end: token that ends a text; None where there is none.

    Raises:
        DataError: there is no dialogue, or nothing of one's answers is left to be learnt.
    """
    if not dialogues:
        raise DataError("there is no dialogue to tokenise")
    tokenizer.tokenizer.no_truncation()
    ids, parts, is_cut = [], [], []
    for dialogue in dialogues:
        encoded = tokenizer.tokenizer.encode(
            dialogue.text, add_special_tokens=not dialogue.is_whole
        )
        own = np.array(encoded.ids, dtype=np.int32)
        kinds = _parts(encoded.offsets, dialogue.answers)
        if end is not None and not dialogue.is_whole and kinds.any():
            if own[-1] != end:
                own, kinds = np.append(own, np.int32(end)), np.append(kinds, np.uint8(PROMPT))
            kinds[-1] = ANSWER  # it has no characters
        is_cut.append(bool(kinds[max_tokens:].any()))
        own, kinds = own[:max_tokens], kinds[:max_tokens]
        kinds[:1] = PROMPT  # nothing comes before the first token that could foretell it
        last = int(kinds.nonzero()[0].max(initial=-1)) + 1
        ids.append(own[:last])
        parts.append(kinds[:last])
    lengths = np.array([len(each) for each in ids], dtype=np.int64)
    if empty := (lengths < 2).nonzero()[0].tolist():
        raise DataError(
            f"of {len(empty):,} of {len(dialogues):,} examples nothing is left to be learnt, the "
            f"first is number {empty[0] + 1}: their prompts alone have model.text.max_tokens "
            f"({max_tokens}) or more tokens, or their answers are empty. Raise max_tokens, or "
            "leave them out"
        )
    return AnswerTokens(
        ids=np.concatenate(ids),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        is_cut=np.array(is_cut),
        max_tokens=max_tokens,
        parts=np.concatenate(parts),
    )


def _parts(offsets: Sequence[tuple[int, int]], answers: Sequence[tuple[int, int]]) -> np.ndarray:
    """Whose each token is, uint8 [T]: an answer's if any of its characters is.

    Args:
        offsets: first character of each token and the one after its last.
        answers: of the stretches that are learnt, ascending.
    """
    first, last = np.array(offsets, dtype=np.int64).reshape(-1, 2).T
    found = np.full(len(first), PROMPT, dtype=np.uint8)
    for start, end in answers:
        found[(last > start) & (first < end) & (last > first)] = ANSWER
    return found
