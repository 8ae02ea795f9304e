"""Texts as token ids, by the tokenizer that belongs to an encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from sftcore.foundations.artifacts import read_json, sha256_json
from sftcore.foundations.errors import DataError, WeightsError
from sftcore.models.text.files import CONFIG, TOKENIZER, EncoderFiles
from sftcore.models.values import BUCKET, Sequences, padded_length

_CALLERS = ("truncation", "padding")  # of a tokenizer's file: the caller's own affair


@dataclass(frozen=True)
class Tokens:
    """Token ids of texts, one row after the other.

    Attributes:
        ids: of all rows, special tokens included, int32 [T].
        offsets: row i is ``ids[offsets[i]:offsets[i + 1]]``, int64 [N + 1].
        is_cut: which texts were longer than ``max_tokens``, bool [N].
        max_tokens: longest row.
    """

    ids: np.ndarray
    offsets: np.ndarray
    is_cut: np.ndarray
    max_tokens: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_cut(self) -> int:
        """How many texts lost their end."""
        return int(self.is_cut.sum())

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 [N]."""
        return np.diff(self.offsets)

    def batch(self, rows: np.ndarray, bucket: int = BUCKET) -> Sequences:
        """Some rows, padded with zeros to the largest bucket among them.

        Args:
            rows: of the texts, integers [B], in any order and as often as wanted; at least one.
            bucket: lengths are rounded up to multiples of it, but not above ``max_tokens``.

        Returns:
            Token ids [B, L], on the CPU; a function of the rows alone.
        """
        lengths = self.lengths[rows]
        width = padded_length(int(lengths.max()), bucket, self.max_tokens)
        place = np.arange(width)
        inside = place < lengths[:, None]
        where = np.where(inside, self.offsets[:-1][rows][:, None] + place, 0)
        ids = np.where(inside, self.ids[where], 0).astype(np.int64)
        return Sequences(torch.from_numpy(ids), torch.from_numpy(lengths))


@dataclass(frozen=True)
class TextTokenizer:
    """A tokenizer of the tokenizers library; it downloads nothing and runs no code of the file.

    Attributes:
        tokenizer: without cutting and padding of its own.
        sha256: of its content.
        special_ids: tokens that stand for no part of a text, ascending.
        mask_id: what stands for a word that is not shown; None where it has no such token.
        unknown_id: what stands for what it does not know; None where it has no such token.
    """

    tokenizer: Any
    sha256: str
    special_ids: tuple[int, ...]
    mask_id: int | None
    unknown_id: int | None

    @property
    def num_ids(self) -> int:
        """One more than the greatest id."""
        return 1 + max(self.tokenizer.get_vocab(with_added_tokens=True).values())

    def has_tokens(self, text: str) -> bool:
        """Whether a text gives any token, special ones included."""
        always = self.tokenizer.num_special_tokens_to_add(False) > 0
        return always or bool(self.tokenizer.encode(text).ids)

    def encode(self, texts: Sequence[str] | np.ndarray, max_tokens: int) -> Tokens:
        """Tokenise texts; a longer one is cut at its end, and its special tokens are kept.

        Args:
            texts: at least one; an array holds them as objects.
            max_tokens: of a row, special tokens included.

        Raises:
            DataError: there is no text, or one that gives no token.
        """
        if len(texts) == 0:
            raise DataError("there is no text to tokenise")
        num_special = self.tokenizer.num_special_tokens_to_add(False)
        if max_tokens <= num_special:
            raise DataError(
                f"a text of at most {max_tokens} tokens has no room beside {num_special} special "
                "ones: allow more tokens"
            )
        self.tokenizer.enable_truncation(max_tokens)
        found = self.tokenizer.encode_batch(list(texts))
        lengths = np.array([len(each.ids) for each in found], dtype=np.int64)
        if not lengths.all():
            raise DataError(
                f"text {int(lengths.argmin())} (counted from 0) gives no token: leave it out"
            )
        return Tokens(
            ids=np.concatenate([np.array(each.ids, dtype=np.int32) for each in found]),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            is_cut=np.array([bool(each.overflowing) for each in found]),
            max_tokens=max_tokens,
        )


def tokenizer_digest(files: EncoderFiles) -> str:
    """A hash of what a tokenizer does: of its file's content, not of how it is laid out.

    How long a text may be and how it is padded are not part of it: both are set anew.
    """
    content = read_json(files.folder / TOKENIZER)
    return sha256_json({key: content[key] for key in content if key not in _CALLERS})


def load_tokenizer(files: EncoderFiles) -> TextTokenizer:
    """The tokenizer of an encoder.

    Args:
        files: of the encoder, see :func:`sftcore.models.text.files.find_files`.

    Raises:
        WeightsError: there is none in the one form that is read (tokenizer.json), it is damaged, or
            it knows more tokens than the encoder.
    """
    from tokenizers import Tokenizer

    path = files.folder / TOKENIZER
    if not path.is_file():
        raise WeightsError(
            f"{files.origin} has no {TOKENIZER}, without which no text can be read: write one with "
            "transformers' `AutoTokenizer.from_pretrained(...).save_pretrained(...)`, or choose "
            "another encoder"
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise WeightsError(f"{TOKENIZER} of {files.origin} is no tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    added = tokenizer.get_added_tokens_decoder()
    loaded = TextTokenizer(
        tokenizer,
        tokenizer_digest(files),
        tuple(sorted(number for number, token in added.items() if token.special)),
        _first_id(tokenizer, "[MASK]", "<mask>"),
        _first_id(tokenizer, "[UNK]", "<unk>"),
    )
    config = read_json(files.folder / CONFIG)
    if "vocab_size" in config and loaded.num_ids > config["vocab_size"]:
        raise WeightsError(
            f"{files.origin}: the tokenizer counts {loaded.num_ids} tokens and the encoder "
            f"{config['vocab_size']}: they do not belong together"
        )
    return loaded


def _first_id(tokenizer: Any, *names: str) -> int | None:
    return next((i for i in map(tokenizer.token_to_id, names) if i is not None), None)
