"""A model of labels in use: a threshold for each label, and the distance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from sftcore.evaluation.predict import Seen
from sftcore.foundations.artifacts import write_csv
from sftcore.foundations.tables import safe_cells
from sftcore.metrics.multilabel_thresholds import choose_thresholds
from sftcore.reporting.parts import Part, Table
from sftcore.use.classes import json_set
from sftcore.use.contract import ToJudge, Usage, unlike_cells, unlike_line
from sftcore.use.decision import AnyDecision, Share, UnlikeRule, with_shares
from sftcore.use.rules import Wanted, distances_from_train, share, unlike_rule
from sftcore.use.unlike_part import unlike_part


@dataclass(frozen=True)
class LabelRule:
    """When a label is predicted.

    Attributes:
        thresholds: the probability from which on each label is, [K].
        test_precision: how often predicted labels of test pictures are present.
        test_recall: how often present labels of test pictures are predicted.
    """

    thresholds: tuple[float, ...]
    test_precision: Share
    test_recall: Share


@dataclass(frozen=True, kw_only=True)
class LabelDecision(AnyDecision):
    """The rules of one model of labels.

    Attributes:
        labels: the thresholds.
    """

    labels: LabelRule


@dataclass(frozen=True)
class FixedLabels:
    """The rules, with what they were measured on.

    Attributes:
        decision: the rules.
        directions: what the distance is measured to [M, D].
        distances: of the pictures of ``val`` and of ``test``.
        table: a row for each label: label, threshold, test_predicted, test_right.
    """

    decision: LabelDecision
    directions: Tensor
    distances: Mapping[str, np.ndarray]
    table: pd.DataFrame


class LabelUsage(Usage[LabelDecision, FixedLabels]):
    """Answers are probabilities of labels, each by itself."""

    @property
    def plain(self) -> tuple[str, ...]:
        """Nothing: without a threshold there are probabilities alone."""
        return ()

    @property
    def decided(self) -> tuple[str, ...]:
        """The labels from their thresholds on, and the distance."""
        return ("labels", "num_labels", "distance", "unlike")

    def columns(self, *, has_rules: bool, with_probabilities: bool) -> list[str]:
        """All columns; the probabilities in any case where there are no rules."""
        shown = with_probabilities or not has_rules
        return super().columns(has_rules=has_rules, with_probabilities=shown)

    def fix(
        self, judged: ToJudge, wanted: Wanted, *, model_sha256: str, device: str
    ) -> FixedLabels:
        """Thresholds of the greatest F1 of each label on validation."""
        directions, distances = distances_from_train(judged.features, judged.rows)
        val, test = judged.rows["val"], judged.rows["test"]
        groups = judged.groups[test]
        thresholds = choose_thresholds(judged.targets[val], judged.answers[val])
        present, predicted = judged.targets[test] == 1, judged.answers[test] >= thresholds
        decision = LabelDecision(
            model_sha256=model_sha256,
            device=device,
            confidence=wanted.confidence,
            num_val=len(val),
            num_val_groups=len(set(judged.groups[val].tolist())),
            labels=LabelRule(
                tuple(thresholds.tolist()),
                _share_of(present, predicted, groups, wanted.confidence),
                _share_of(predicted, present, groups, wanted.confidence),
            ),
            unlike=unlike_rule(distances["val"], distances["test"], groups, wanted),
        )
        table = pd.DataFrame(
            {
                "label": self.names,
                "threshold": thresholds,
                "test_present": present.sum(axis=0),
                "test_predicted": predicted.sum(axis=0),
                "test_right": (present & predicted).sum(axis=0),
            }
        )
        return FixedLabels(decision, directions, distances, table)

    def parts(
        self,
        fixed: FixedLabels,
        ids: dict[str, Sequence[str]],
        folder: Path,
        examples: str = "pictures",
    ) -> list[Part]:
        """Of the thresholds and of the distance."""
        write_csv(folder / "thresholds.csv", safe_cells(fixed.table))
        decision = fixed.decision
        rule = decision.labels
        columns = {
            "label": "label", "threshold": "threshold", "test_present": "present",
            "test_predicted": "predicted", "test_right": "both",
        }  # fmt: skip
        thresholds = Part(
            title="When a label is predicted",
            text=(
                "From the probability on at which the label's F1 on the "
                f"{decision.num_val} validation {examples} ({decision.num_val_groups} groups of "
                "near-duplicates) is greatest. The choice flatters these, and a label with few of "
                "them has a threshold that fits those few. Of the labels that are predicted on "
                f"test {examples}, which had no say, {rule.test_precision} are present; of those "
                f"that are present, {rule.test_recall} are predicted.",
            ),
            tables=(
                Table("thresholds.csv", f"A row for each label, on test {examples}.", columns),
            ),
            is_folded=True,
        )
        return [thresholds, unlike_part(fixed.distances, ids, decision.unlike, folder, examples)]

    def read(self, fields: Mapping[str, Any]) -> LabelDecision:
        """Thresholds for as many labels as the model has."""
        labels = with_shares(fields["labels"])
        labels["thresholds"] = tuple(map(float, labels["thresholds"]))
        if len(labels["thresholds"]) != len(self.names):
            raise ValueError(f"{len(labels['thresholds'])} thresholds, {len(self.names)} labels")
        rules = {
            "labels": LabelRule(**labels),
            "unlike": UnlikeRule(**with_shares(fields["unlike"])),
        }
        return LabelDecision(**{**fields, **rules})

    def cells(self, seen: Seen, decision: tuple[LabelDecision, Tensor] | None) -> dict[str, Any]:
        """The labels as a JSON list, the most probable first."""
        cells: dict[str, Any] = {}
        if decision is not None:
            rules, directions = decision
            inside = seen.answers >= np.array(rules.labels.thresholds)
            cells = {
                "labels": [
                    json_set(self.names, *pair) for pair in zip(inside, seen.answers, strict=True)
                ],
                "num_labels": pd.array(inside.sum(axis=1), dtype="Int64"),
                **unlike_cells(rules.unlike, directions, seen.features),
            }
        return cells | {f"p_{k}": of.astype(float) for k, of in enumerate(seen.answers.T)}

    def told(
        self, decision: LabelDecision, counts: Mapping[str, int], num_examples: int, plural: str
    ) -> Iterator[str]:
        """Of the thresholds and of the distance."""
        rule = decision.labels
        yield (
            f"labels: from thresholds of {decision.num_val} validation {plural} on; on test "
            f"{rule.test_precision} of those predicted were present, and {rule.test_recall} of "
            "those present were predicted"
        )
        yield unlike_line(decision.unlike, counts["unlike"], num_examples, plural)


def _share_of(
    is_true: np.ndarray, among: np.ndarray, groups: np.ndarray, confidence: float
) -> Share:
    """How often one of two tables [N, K] is true where the other one is."""
    rows, columns = np.nonzero(among)
    return share(is_true[rows, columns], groups[rows], confidence)
