"""A model of boxes in use: a threshold on the score, and the distance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from torch import Tensor

from sftcore.foundations.artifacts import write_csv
from sftcore.foundations.tables import safe_cells
from sftcore.metrics.detection_curves import choose_shared_threshold
from sftcore.metrics.detection_matching import IGNORED, RIGHT
from sftcore.reporting.overlays import class_colours, with_boxes
from sftcore.reporting.parts import Part, Table
from sftcore.tasks.detection.records import matches_of
from sftcore.use.contract import ToJudge, unlike_line
from sftcore.use.decision import AnyDecision, Share, UnlikeRule, with_shares
from sftcore.use.found_boxes import FoundBoxes, find_boxes, nms_iou_of
from sftcore.use.rules import Wanted, distances_from_train, share, unlike_rule
from sftcore.use.tiled_usage import TiledUsage
from sftcore.use.tiles import TiledAnswers
from sftcore.use.unlike_part import unlike_part

_WIDTHS = 400  # of a line, that the longer side of a drawn picture has
_LEAST_FONT = 10  # pixels


@dataclass(frozen=True)
class ScoreRule:
    """From which score on a box is given out.

    Attributes:
        threshold: the score with the greatest F1 of all classes together at IoU .5.
        test_precision: how often such boxes of test pictures are right.
        test_recall: how often things on test pictures have such a box.
    """

    threshold: float
    test_precision: Share
    test_recall: Share


@dataclass(frozen=True, kw_only=True)
class BoxDecision(AnyDecision):
    """The rules of one model of boxes.

    Attributes:
        boxes: the threshold.
    """

    boxes: ScoreRule


@dataclass(frozen=True)
class FixedBoxes:
    """The rules, with what they were measured on.

    Attributes:
        decision: the rules.
        directions: what the distance is measured to [M, D].
        distances: of the pictures of ``val`` and of ``test``.
        table: a row for each class: class, test_things, test_boxes, test_right.
    """

    decision: BoxDecision
    directions: Tensor
    distances: Mapping[str, np.ndarray]
    table: pd.DataFrame


class BoxUsage(TiledUsage[BoxDecision, FixedBoxes, FoundBoxes]):
    """Answers are boxes with a score and a class, the most certain first."""

    writes = ("draw", "coco")
    has_probabilities: ClassVar[bool] = False

    @property
    def plain(self) -> tuple[str, ...]:
        """The picture's size, and its boxes: with rules those from the threshold on."""
        return ("width", "height", "num_boxes", "boxes")

    @property
    def decided(self) -> tuple[str, ...]:
        """The distance."""
        return ("distance", "unlike")

    def columns(self, *, has_rules: bool, with_probabilities: bool) -> list[str]:
        """All columns; the scores stand with their boxes."""
        return super().columns(has_rules=has_rules, with_probabilities=False)

    def fix(self, judged: ToJudge, wanted: Wanted, *, model_sha256: str, device: str) -> FixedBoxes:
        """The threshold of the greatest pooled F1 at IoU .5 on validation."""
        directions, distances = distances_from_train(judged.features, judged.rows)
        val, test = judged.rows["val"], judged.rows["test"]
        groups, num_classes = judged.groups[test], len(self.names)
        threshold = choose_shared_threshold(
            matches_of(judged.answers[val], judged.targets[val], num_classes)
        )
        matches = matches_of(judged.answers[test], judged.targets[test], num_classes)
        is_given = (matches.score >= threshold) & (matches.outcome[:, 0, 0] != IGNORED)
        is_right = is_given & (matches.outcome[:, 0, 0] == RIGHT)
        things = matches.num_truths[:, :, 0]
        num_found = np.bincount(matches.picture[is_right], minlength=len(test))
        is_found, of = _one_by_one(num_found, things.sum(axis=1))
        decision = BoxDecision(
            model_sha256=model_sha256,
            device=device,
            confidence=wanted.confidence,
            num_val=len(val),
            num_val_groups=len(set(judged.groups[val].tolist())),
            boxes=ScoreRule(
                threshold,
                share(is_right[is_given], groups[matches.picture[is_given]], wanted.confidence),
                share(is_found, groups[of], wanted.confidence),
            ),
            unlike=unlike_rule(distances["val"], distances["test"], groups, wanted),
        )
        counts = (np.bincount(matches.label[kept], minlength=num_classes)
                  for kept in (is_given, is_right))  # fmt: skip
        table = pd.DataFrame(
            {"class": self.names, "test_things": things.sum(axis=0)}
            | dict(zip(("test_boxes", "test_right"), counts, strict=True))
        )
        return FixedBoxes(decision, directions, distances, table)

    def parts(
        self,
        fixed: FixedBoxes,
        ids: dict[str, Sequence[str]],
        folder: Path,
        examples: str = "pictures",
    ) -> list[Part]:
        """Of the threshold and of the distance."""
        write_csv(folder / "boxes_given.csv", safe_cells(fixed.table))
        decision = fixed.decision
        rule = decision.boxes
        columns = {
            "class": "class", "test_things": "things", "test_boxes": "boxes", "test_right": "right",
        }  # fmt: skip
        threshold = Part(
            title="When a box is given out",
            text=(
                f"From a score of {rule.threshold:.3f} on, at which the F1 of all classes together "
                f"(a box is right that overlaps a thing of its class by an IoU of at least .5) is "
                f"greatest on the {decision.num_val} validation {examples} "
                f"({decision.num_val_groups} groups of near-duplicates). The choice flatters "
                f"these. Of such boxes on test {examples}, which had no say, "
                f"{_boxes_words(rule.test_precision)} are right; of the things there, "
                f"{_boxes_words(rule.test_recall)} have one.",
            ),
            tables=(
                Table("boxes_given.csv", f"A row for each class, on test {examples}.", columns),
            ),
            is_folded=True,
        )
        return [threshold, unlike_part(fixed.distances, ids, decision.unlike, folder, examples)]

    def read(self, fields: Mapping[str, Any]) -> BoxDecision:
        """The threshold and the distance."""
        boxes = with_shares(fields["boxes"])
        rules = {
            "boxes": ScoreRule(**boxes | {"threshold": float(boxes["threshold"])}),
            "unlike": UnlikeRule(**with_shares(fields["unlike"])),
        }
        return BoxDecision(**{**fields, **rules})

    def find(self, said: TiledAnswers, rules: BoxDecision | None) -> FoundBoxes:
        """Without rules all boxes that the network gives."""
        found = find_boxes(said, nms_iou_of(self.facts))
        return (
            found
            if rules is None
            else found.take(found.scores.astype(float) >= rules.boxes.threshold)
        )

    def row(self, found: FoundBoxes) -> dict[str, Any]:
        """Boxes as a JSON list, the most certain first."""
        width, height = found.size
        return {
            "width": width,
            "height": height,
            "num_boxes": len(found.scores),
            "boxes": found.as_json(self.names),
        }

    def drawn(self, image: np.ndarray, found: FoundBoxes) -> np.ndarray:
        """Each box in the colour of its class, with the class and the score."""
        colours = class_colours(self.names)
        pairs = list(zip(found.classes.tolist(), found.scores.tolist(), strict=True))
        words = [f"{self.names[k]} {score:.2f}" for k, score in pairs]
        shown = [colours[k] for k, _ in pairs]
        line_width = max(1, round(max(found.size) / _WIDTHS))
        font_size = max(_LEAST_FONT, min(4 + 6 * line_width, min(found.size) // 10))
        return with_boxes(
            image, found.corners, shown, words, line_width=line_width, font_size=font_size
        )

    def told(
        self, decision: BoxDecision, counts: Mapping[str, int], num_examples: int, plural: str
    ) -> Iterator[str]:
        """Of the threshold and of the distance."""
        rule = decision.boxes
        yield (
            f"boxes: those with a score of at least {rule.threshold:.3f}, which "
            f"{decision.num_val} validation {plural} chose; on test "
            f"{_boxes_words(rule.test_precision)} of them were right (IoU .5), and "
            f"{_boxes_words(rule.test_recall)} of the things had one"
        )
        yield unlike_line(decision.unlike, counts["unlike"], num_examples, plural)


def _one_by_one(num_true: np.ndarray, num_all: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of each picture as rows of True and False, with the numbers of their pictures."""
    picture = np.repeat(np.arange(len(num_all)), num_all)
    first = np.repeat(np.cumsum(num_all) - num_all, num_all)
    return np.arange(len(picture)) - first < num_true[picture], picture


def _boxes_words(of: Share) -> str:
    return str(of) if of.num else "none of 0"
