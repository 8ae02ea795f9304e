"""What a finished model says of a data set, as reports take it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from sftcore.foundations.errors import DataError
from sftcore.foundations.turns import Turn

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Span:
    """A part of a text and what it did.

    Attributes:
        start: its first character.
        end: the first character behind it.
        weight: what it added to the log-odds, in nats.
    """

    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Explanation:
    """Why a network prefers one class of a text to another, by the text's words.

    Attributes:
        spans: of the words that the network was shown, in their order.
        difference: what the weights have to add up to, in nats: the log-odds of the two classes,
            minus those of a text of which no word is shown.
    """

    spans: tuple[Span, ...] = ()
    difference: float = 0.0

    @property
    def error(self) -> float:
        """The sum of the weights minus what it has to be, in nats."""
        return sum(span.weight for span in self.spans) - self.difference


# Of texts, the classes that are preferred and those that they are preferred to [N].
Explain = Callable[[Sequence[str], np.ndarray, np.ndarray], list[Explanation]]


def unexplained(texts: Sequence[str], classes: np.ndarray, others: np.ndarray) -> list[Explanation]:
    """No word of any text is known to have done anything."""
    return [Explanation() for _ in texts]


@dataclass(frozen=True)
class Answer:
    """What a model answered.

    Attributes:
        text: without special tokens.
        num_tokens: of the answer, with the one that ends it.
        has_ended: whether the model ended it; else the most tokens were reached.
    """

    text: str
    num_tokens: int
    has_ended: bool


class Speaker(Protocol):
    """A decoder that can be asked more than what it makes of the examples of a data set."""

    def sums(self, dialogues: Sequence[str], before: Sequence[Turn] = ()) -> np.ndarray:
        """Of each dialogue's answers the loss in nats, the tokens, and the first choices, [N, 3].

        Args:
            dialogues: JSON of their turns.
            before: turns that are put before each of them.
        """

    def token_ids(self, dialogues: Sequence[str]) -> list[np.ndarray]:
        """Tokens of each dialogue's answers, in their order."""

    def answers(self, dialogues: Sequence[str], most_tokens: int) -> list[Answer]:
        """What is answered, greedily, in place of each dialogue's last answer.

        Args:
            dialogues: JSON of their turns.
            most_tokens: of an answer.
        """


@dataclass(frozen=True)
class Finished:
    """What a finished model says of a data set, beside what is true.

    Attributes:
        answers: of every example [N, ...], see :func:`sftcore.tasks.answers.answers_of`.
        targets: of every example [N, ...], as the store has them.
        ids: names of the examples [N].
        splits: names of their splits [N].
        groups: name of each example's group of near-duplicates [N], resampled together.
        examples: uint8 [N, S, S, 3] of pictures, objects [N] of texts.
        explain: which words of a text its answer rests on; of texts.
        speaker: the model itself; of dialogues.
        before: the model as it came, likewise.
    """

    answers: np.ndarray
    targets: np.ndarray
    ids: Sequence[str]
    splits: Sequence[str]
    groups: Sequence[str]
    examples: np.ndarray
    explain: Explain = unexplained
    speaker: Speaker | None = None
    before: Speaker | None = None

    def rows(self, split: str) -> np.ndarray:
        """Rows of a split, ascending."""
        return np.flatnonzero(np.asarray(self.splits, dtype=object) == split)

    def of(self, split: str) -> "Finished":
        """The examples of one split."""
        rows = self.rows(split)
        ids, splits, groups = (
            np.asarray(names, dtype=object)[rows] for names in (self.ids, self.splits, self.groups)
        )
        return replace(
            self, answers=self.answers[rows], targets=self.targets[rows], ids=ids, splits=splits,
            groups=groups, examples=self.examples[rows],
        )  # fmt: skip

    def check(self) -> None:
        """Refuse what cannot be reported.

        Raises:
            DataError: lengths differ, a split is empty, or an answer is not finite.
        """
        columns = {
            name: values
            for name, values in vars(self).items()
            if name not in ("explain", "speaker", "before")
        }
        lengths = {name: len(of) for name, of in columns.items() if len(of) != len(self.ids)}
        if lengths:
            raise DataError(f"{len(self.ids)} examples, but {lengths}: give one per example")
        if empty := [split for split in SPLITS if not len(self.rows(split))]:
            raise DataError(
                f"no example in split {', '.join(empty)}, so there is nothing to report: add "
                "examples, or raise data.val_fraction and data.test_fraction"
            )
        is_finite = np.isfinite(self.answers).reshape(len(self.answers), -1).all(axis=1)
        if num_bad := int((~is_finite).sum()):
            raise DataError(
                f"the model gives no finite answer for {num_bad} of {len(self.ids)} examples: it "
                "diverged, so lower train.learning_rate and train again"
            )
