"""Prompts in use: files, and rows of tables with prompts or messages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from sftcore.data.dialogues.decode import decode_prompt
from sftcore.data.dialogues.names import PROMPT_NAMES
from sftcore.data.kinds import Names, Parts
from sftcore.data.texts.decode import decode_text
from sftcore.evaluation.dialogue_sight import Asked, DialogueSight
from sftcore.evaluation.predict import ModelRecord
from sftcore.evaluation.sight import Sight
from sftcore.foundations.turns import USER, write_turns
from sftcore.models.text.generation import Sampling
from sftcore.use.inputs import Named
from sftcore.use.opening import Opened, open_with
from sftcore.use.reading import ReadingOptions
from sftcore.use.texts import TextReading


class DialogueReading(TextReading):
    """See :class:`sftcore.use.reading.Reading`.

    Args:
        record: of the model.
        options: limits, the column of tables, and how answers are made.
    """

    names = PROMPT_NAMES
    counted = "prompts"
    takes = ("max_characters", "column", "max_tokens", "temperature", "top_p", "seed")
    group = 128  # batches are of prompts of one width

    def __init__(self, record: ModelRecord, options: ReadingOptions) -> None:
        super().__init__(record, options)
        usual = Asked()
        self._asked = Asked(
            usual.most_tokens if options.max_tokens is None else options.max_tokens,
            Sampling(options.temperature or 0.0, options.top_p or 1.0, options.seed or 0),
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        """The limit, the column, and how answers are made."""
        sampling = self._asked.sampling
        return {
            **super().facts, "max_tokens": self._asked.most_tokens,
            "temperature": sampling.temperature, "top_p": sampling.top_p, "seed": sampling.seed,
        }  # fmt: skip

    def sight(self, sight: Sight) -> Sight:
        """Of prompts, not of whole dialogues."""
        return cast(DialogueSight, sight).asking(self._asked)

    def open_all(self, examples: Sequence[Named], num_workers: int) -> Iterator[Opened]:
        """See :class:`sftcore.use.reading.Reading`; reading prompts takes no other process."""
        for named in examples:
            is_row = named.content is not None
            yield open_with(self._of_row if is_row else self._of_file, named)

    @property
    def _names(self) -> Names:
        if not self._column:
            return PROMPT_NAMES
        return replace(PROMPT_NAMES, columns=(), parts=(Parts({"prompt": (self._column,)}),))

    def _of_row(self, content: bytes) -> str:
        return write_turns(decode_prompt(content, max_characters=self._limit))

    def _of_file(self, content: bytes) -> str:
        return write_turns([(USER, decode_text(content, max_characters=self._limit))])
