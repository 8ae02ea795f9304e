"""What a task's finished model is used for: its rules, and the cells of its predictions."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import pandas as pd
from torch import Tensor

from sftcore.evaluation.predict import Seen
from sftcore.metrics.unlike import neighbour_distance
from sftcore.reporting.parts import Part
from sftcore.use.decision import AnyDecision, UnlikeRule
from sftcore.use.rules import Wanted

REASON = "reason"
D = TypeVar("D", bound=AnyDecision)


@dataclass(frozen=True)
class ToJudge:
    """A finished model's view of all pictures, which its rules are fixed and measured on.

    Attributes:
        features: [N, D].
        answers: [N, K], see :func:`sftcore.tasks.answers.answers_of`.
        targets: as the store has them [N, ...].
        groups: name of each picture's group of near-duplicates [N].
        rows: of the splits train, val and test.
    """

    features: Tensor
    answers: np.ndarray
    targets: np.ndarray
    groups: np.ndarray
    rows: Mapping[str, np.ndarray]


class AnyFixed(Protocol):
    """Rules that were just fixed."""

    @property
    def decision(self) -> AnyDecision:
        """The rules."""

    @property
    def directions(self) -> Tensor:
        """What the distance is measured to [M, D]."""


F = TypeVar("F", bound=AnyFixed)


class Usage(ABC, Generic[D, F]):
    """The rules of a task.

    Args:
        names: of the outputs, K.
        facts: of the model's record, see :meth:`sftcore.tasks.contract.Task.record`.

    Attributes:
        flags: columns of True and False that are counted in the end.
        writes: what can be written of each picture besides its row: ``draw``, ``masks``, ``coco``.
        has_probabilities: whether there is something to say where all classes' are asked for.
    """

    flags: ClassVar[tuple[str, ...]] = ("unlike",)
    writes: ClassVar[tuple[str, ...]] = ()
    has_probabilities: ClassVar[bool] = True

    def __init__(self, names: Sequence[str], facts: Mapping[str, Any] | None = None) -> None:
        self.names = list(names)
        self.facts = facts or {}

    @property
    @abstractmethod
    def plain(self) -> tuple[str, ...]:
        """Columns of an answer without rules."""

    @property
    @abstractmethod
    def decided(self) -> tuple[str, ...]:
        """Columns that the rules add."""

    def columns(self, *, has_rules: bool, with_probabilities: bool) -> list[str]:
        """All columns of the table of predictions, in their order."""
        decided = self.decided if has_rules else ()
        numbered = [f"p_{k}" for k in range(len(self.names))] if with_probabilities else []
        return ["file", *self.plain, *decided, REASON, *numbered]

    @abstractmethod
    def fix(self, judged: ToJudge, wanted: Wanted, *, model_sha256: str, device: str) -> F:
        """Fix every rule on validation and measure it on test.

        Args:
            judged: all pictures.
            wanted: what to reach.
            model_sha256: of the model's tensors.
            device: kind of device that computed them.
        """

    @abstractmethod
    def parts(
        self, fixed: F, ids: dict[str, Sequence[str]], folder: Path, examples: str = "pictures"
    ) -> list[Part]:
        """Write tables and figures of the rules, and say what they show.

        Args:
            fixed: of :meth:`fix`.
            ids: names of the examples of ``val`` and of ``test``.
            folder: of the stage's report.
            examples: what examples are called.
        """

    @abstractmethod
    def read(self, fields: Mapping[str, Any]) -> D:
        """The rules, of the content of their file.

        Raises:
            TypeError, KeyError, ValueError: it is not complete, or of other outputs.
        """

    @abstractmethod
    def cells(self, seen: Seen, decision: tuple[D, Tensor] | None) -> dict[str, Any]:
        """Columns of what the model says of N pictures, of which some may not be asked for.

        Args:
            seen: of the pictures.
            decision: the rules with what the distance is measured to; None without rules.
        """

    @abstractmethod
    def told(
        self, decision: D, counts: Mapping[str, int], num_examples: int, plural: str
    ) -> Iterator[str]:
        """What the columns can be trusted for, a line each.

        Args:
            decision: the rules.
            counts: of the flags that are True.
            num_examples: that have an answer.
            plural: what they are called, ``pictures`` or ``texts``.
        """


def unlike_cells(rule: UnlikeRule, directions: Tensor, features: Tensor) -> dict[str, Any]:
    """The columns ``distance`` and ``unlike``.

    Args:
        rule: with its threshold.
        directions: what the distance is measured to [M, D].
        features: of the pictures [N, D].
    """
    distance = neighbour_distance(features, directions, rule.num_neighbours)
    return {
        "distance": distance.astype(float),
        "unlike": pd.array(distance > rule.most_distance, dtype="boolean"),
    }


def unlike_line(rule: UnlikeRule, count: int, num_examples: int, plural: str) -> str:
    """What the column ``unlike`` can be trusted for."""
    return (
        f"unlike: {count} of {num_examples} farther from the training {plural} than "
        f"{rule.wanted:.0%} of validation; of test, {rule.test_passed} were not"
    )
