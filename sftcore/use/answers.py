"""A decoder in use: answers to prompts, and the distance of a prompt to those of the training."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from sftcore.evaluation.predict import Seen
from sftcore.foundations.tables import printable
from sftcore.reporting.parts import Part
from sftcore.use.contract import ToJudge, Usage, unlike_cells, unlike_line
from sftcore.use.decision import AnyDecision, UnlikeRule, with_shares
from sftcore.use.rules import Wanted, distances_from_train, unlike_rule
from sftcore.use.unlike_part import unlike_part


@dataclass(frozen=True, kw_only=True)
class AnswerDecision(AnyDecision):
    """The rules of one decoder: the distance alone."""


@dataclass(frozen=True)
class FixedAnswers:
    """The rules, with what they were measured on.

    Attributes:
        decision: the rules.
        directions: what the distance is measured to [M, D].
        distances: of the dialogues of ``val`` and of ``test``.
    """

    decision: AnswerDecision
    directions: Tensor
    distances: Mapping[str, np.ndarray]


class AnswerUsage(Usage[AnswerDecision, FixedAnswers]):
    """Answers are texts; features are the states that they follow."""

    flags = ("has_ended", "unlike")

    @property
    def plain(self) -> tuple[str, ...]:
        """The answer, its tokens, and whether the model ended it."""
        return ("answer", "num_tokens", "has_ended")

    @property
    def decided(self) -> tuple[str, ...]:
        """The distance."""
        return ("distance", "unlike")

    def columns(self, *, has_rules: bool, with_probabilities: bool) -> list[str]:
        """All columns; answers have no list of probabilities."""
        return super().columns(has_rules=has_rules, with_probabilities=False)

    def fix(
        self, judged: ToJudge, wanted: Wanted, *, model_sha256: str, device: str
    ) -> FixedAnswers:
        """The threshold on the distance of prompts."""
        directions, distances = distances_from_train(judged.features, judged.rows)
        groups = judged.groups
        decision = AnswerDecision(
            model_sha256=model_sha256,
            device=device,
            confidence=wanted.confidence,
            num_val=len(judged.rows["val"]),
            num_val_groups=len(set(groups[judged.rows["val"]].tolist())),
            unlike=unlike_rule(
                distances["val"], distances["test"], groups[judged.rows["test"]], wanted
            ),
        )
        return FixedAnswers(decision, directions, distances)

    def parts(
        self,
        fixed: FixedAnswers,
        ids: dict[str, Sequence[str]],
        folder: Path,
        examples: str = "pictures",
    ) -> list[Part]:
        """Of the distance."""
        return [unlike_part(fixed.distances, ids, fixed.decision.unlike, folder, examples)]

    def read(self, fields: Mapping[str, Any]) -> AnswerDecision:
        """The threshold."""
        unlike = UnlikeRule(**with_shares(fields["unlike"]))
        return AnswerDecision(**{**fields, "unlike": unlike})

    def cells(self, seen: Seen, decision: tuple[AnswerDecision, Tensor] | None) -> dict[str, Any]:
        """Answers on one line each: line breaks are ``\\x0a``."""
        answers = seen.answers.tolist()
        cells: dict[str, Any] = {
            "answer": [printable(said.text) for said in answers],
            "num_tokens": pd.array([said.num_tokens for said in answers], dtype="Int64"),
            "has_ended": pd.array([said.has_ended for said in answers], dtype="boolean"),
        }
        if decision is None:
            return cells
        return cells | unlike_cells(decision[0].unlike, decision[1], seen.features)

    def told(
        self, decision: AnswerDecision, counts: Mapping[str, int], num_examples: int, plural: str
    ) -> Iterator[str]:
        """How many answers ended, and how many prompts are unlike."""
        yield (
            f"has_ended: {counts['has_ended']} of {num_examples} answers; the others have as many "
            "tokens as --max-tokens allows"
        )
        yield unlike_line(decision.unlike, counts["unlike"], num_examples, plural)
