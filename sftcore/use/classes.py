"""A model of classes in use: sets of labels, abstention, distance."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from sftcore.evaluation.predict import Seen
from sftcore.foundations.tables import printable
from sftcore.reporting.parts import Part
from sftcore.use.contract import ToJudge, Usage, unlike_line
from sftcore.use.decision import Decision, decide, read_classes
from sftcore.use.parts import use_parts
from sftcore.use.rules import Fixed, Wanted, fix_rules


class ClassUsage(Usage[Decision, Fixed]):
    """Answers are probabilities of classes."""

    flags = ("abstain", "unlike")

    @property
    def plain(self) -> tuple[str, ...]:
        """The most probable class."""
        return ("label", "confidence")

    @property
    def decided(self) -> tuple[str, ...]:
        """Its calibrated probability, the set, whether it abstains, the distance."""
        return ("probability", "labels", "num_labels", "abstain", "distance", "unlike")

    def fix(self, judged: ToJudge, wanted: Wanted, *, model_sha256: str, device: str) -> Fixed:
        """See :func:`sftcore.use.rules.fix_rules`."""
        return fix_rules(
            judged.features, judged.answers, judged.targets, judged.groups, dict(judged.rows),
            wanted, model_sha256=model_sha256, device=device,
        )  # fmt: skip

    def parts(
        self, fixed: Fixed, ids: dict[str, Sequence[str]], folder: Path, examples: str = "pictures"
    ) -> list[Part]:
        """See :func:`sftcore.use.parts.use_parts`."""
        return use_parts(fixed, ids, folder, examples)

    def read(self, fields: Mapping[str, Any]) -> Decision:
        """See :func:`sftcore.use.decision.read_classes`."""
        return read_classes(fields)

    def cells(self, seen: Seen, decision: tuple[Decision, Tensor] | None) -> dict[str, Any]:
        """All columns, and the probabilities as trained."""
        names = np.array([printable(name) for name in self.names], dtype=object)
        probability = seen.answers
        cells: dict[str, Any] = {
            "label": names[probability.argmax(axis=1)],
            "confidence": probability.max(axis=1).astype(float),
        }
        if decision is not None:
            verdicts = decide(*decision, seen.features, probability)
            cells |= {
                "probability": verdicts.probability.max(axis=1),
                "labels": [
                    json_set(self.names, inside, of)
                    for inside, of in zip(verdicts.in_set, verdicts.probability, strict=True)
                ],
                "num_labels": pd.array(verdicts.in_set.sum(axis=1), dtype="Int64"),
                "abstain": pd.array(verdicts.abstains, dtype="boolean"),
                "distance": verdicts.distance.astype(float),
                "unlike": pd.array(verdicts.is_unlike, dtype="boolean"),
            }
        return cells | {f"p_{k}": of.astype(float) for k, of in enumerate(probability.T)}

    def told(
        self, decision: Decision, counts: Mapping[str, int], num_examples: int, plural: str
    ) -> Iterator[str]:
        """Of sets, abstention and distance."""
        rule = decision.abstention
        yield (
            f"labels: sets wanted to hold the right one in {decision.coverage.wanted:g} of the "
            f"cases; on test in {decision.coverage.test}"
        )
        if rule.least_probability is None:
            yield f"abstain: all; no threshold made answers right in {rule.wanted:g} on validation"
        else:
            yield (
                f"abstain: {counts['abstain']} of {num_examples}; on test the answered were "
                f"{rule.test_answered}, right in {rule.test_accuracy}"
            )
        yield unlike_line(decision.unlike, counts["unlike"], num_examples, plural)


def json_set(names: Sequence[str], inside: np.ndarray, probability: np.ndarray) -> str:
    """Names of a set as a JSON list, the most probable first: a name may hold anything.

    Args:
        names: K.
        inside: bool [K].
        probability: [K].
    """
    order = np.argsort(-probability, kind="stable")
    return json.dumps([names[k] for k in order if inside[k]], ensure_ascii=False)
