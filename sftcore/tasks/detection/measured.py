"""A model's boxes on a split: what they are matched with once, and every number of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sftcore.metrics.calibration import PerfectCalibration, perfect_calibration
from sftcore.metrics.detection import DetectionMetrics, detection_metrics
from sftcore.metrics.detection_curves import (
    choose_shared_threshold,
    detection_histograms,
    threshold_metrics,
)
from sftcore.metrics.detection_errors import DetectionErrors, detection_errors
from sftcore.metrics.detection_matching import IGNORED, Matches, match_detections
from sftcore.metrics.detection_records import Detections, Truths
from sftcore.tasks.detection.boxes import detections_of, truths_of
from sftcore.tasks.report_contract import Resampling
from sftcore.tasks.report_numbers import Resampled, resample

# Names of numbers in ``metrics.json``, and of fields of :class:`DetectionMetrics`.
_OF_RANKING = {
    "average_precision": "average_precision",
    "average_precision_50": "ap50",
    "average_precision_75": "ap75",
    "average_precision_small": "ap_small",
    "average_precision_medium": "ap_medium",
    "average_precision_large": "ap_large",
    "average_recall_1": "ar_1",
    "average_recall_10": "ar_10",
    "average_recall_100": "ar_100",
    "average_recall_small": "ar_small",
    "average_recall_medium": "ar_medium",
    "average_recall_large": "ar_large",
}
SCALARS = (*_OF_RANKING, "f1", "precision", "recall", "macro_f1")


@dataclass(frozen=True)
class Numbers:
    """Values per weighting of the pictures.

    Average precision and recall are COCO's; the others are at IoU .5, of the boxes with at least
    the model's threshold. What means nothing is NaN: numbers of a size or a class that does not
    occur, precision where no box is given.

    Attributes:
        average_precision: mean over classes and the IoU thresholds .50:.05:.95, [W].
        average_precision_50: at IoU .5, [W].
        average_precision_75: at IoU .75, [W].
        average_precision_small: of boxes up to 32² px², [W].
        average_precision_medium: up to 96² px², [W].
        average_precision_large: of larger ones, [W].
        average_recall_1: with one box of a class in a picture, [W].
        average_recall_10: with ten, [W].
        average_recall_100: with a hundred, [W].
        average_recall_small: of small boxes, [W].
        average_recall_medium: of medium ones, [W].
        average_recall_large: of large ones, [W].
        f1: of the boxes of all classes together, [W].
        precision: likewise [W].
        recall: likewise [W].
        macro_f1: mean over the classes with a truth, [W].
        class_average_precision: [W, K].
        class_average_precision_50: [W, K].
        class_average_recall: with a hundred, [W, K].
        class_precision: [W, K].
        class_recall: [W, K].
        class_f1: [W, K].
    """

    average_precision: np.ndarray
    average_precision_50: np.ndarray
    average_precision_75: np.ndarray
    average_precision_small: np.ndarray
    average_precision_medium: np.ndarray
    average_precision_large: np.ndarray
    average_recall_1: np.ndarray
    average_recall_10: np.ndarray
    average_recall_100: np.ndarray
    average_recall_small: np.ndarray
    average_recall_medium: np.ndarray
    average_recall_large: np.ndarray
    f1: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    macro_f1: np.ndarray
    class_average_precision: np.ndarray
    class_average_precision_50: np.ndarray
    class_average_recall: np.ndarray
    class_precision: np.ndarray
    class_recall: np.ndarray
    class_f1: np.ndarray


@dataclass(frozen=True)
class OnSplit:
    """A model's boxes on a split.

    Attributes:
        detections: all boxes that are given.
        truths: boxes that are there, crowds among them.
        groups: of near-duplicates [N].
        num_classes: K.
        threshold: least score of the boxes that count at IoU .5.
    """

    detections: Detections
    truths: Truths
    groups: Sequence[str]
    num_classes: int
    threshold: float

    @cached_property
    def matches(self) -> Matches:
        """What became of every box that is given."""
        return match_detections(self.detections, self.truths, len(self.groups), self.num_classes)

    @cached_property
    def errors(self) -> DetectionErrors:
        """Why boxes are wrong, of every box that is given."""
        return self._errors(self.detections)

    @cached_property
    def shown(self) -> Detections:
        """The boxes with at least the threshold."""
        return at_least(self.detections, self.threshold)

    @cached_property
    def shown_errors(self) -> DetectionErrors:
        """Why boxes with at least the threshold are wrong, and which truths they miss."""
        return self._errors(self.shown)

    def _errors(self, detections: Detections) -> DetectionErrors:
        return detection_errors(detections, self.truths, len(self.groups), self.num_classes)

    def numbers(self, weights: np.ndarray) -> Numbers:
        """Every number for every weighting of the pictures [W, N]."""
        ranking = detection_metrics(self.matches, weights)
        at = threshold_metrics(self.matches, weights, np.array([[self.threshold]]))
        is_given = weights @ _given(self.matches, self.threshold) > 0
        classes = {
            name: np.where(is_known, values, np.nan)
            for name, values, is_known in (
                ("class_average_precision", ranking.class_ap, ranking.occurs),
                ("class_average_precision_50", ranking.class_ap50, ranking.occurs),
                ("class_average_recall", ranking.class_recall, ranking.occurs),
                ("class_precision", at.precision[:, 0], is_given),
                ("class_recall", at.recall[:, 0], at.occurs),
                ("class_f1", at.f1[:, 0], at.occurs),
            )
        }
        has_any, has_truth = is_given.any(axis=1), at.occurs.any(axis=1)
        return Numbers(
            **_ranking_numbers(ranking),
            f1=np.where(has_any | has_truth, at.micro_f1[:, 0], np.nan),
            precision=np.where(has_any, at.micro_precision[:, 0], np.nan),
            recall=np.where(has_truth, at.micro_recall[:, 0], np.nan),
            macro_f1=at.macro_f1[:, 0],
            **classes,
        )

    def resampled(self, resampling: Resampling, split: str) -> Resampled[Numbers]:
        """Every number, and of every resample of the split's groups."""
        return resample(self.numbers, self.groups, resampling, split)

    def histograms(self, num_bins: int) -> np.ndarray:
        """How often boxes are right by their scores, of each picture [N, B, 3]."""
        return detection_histograms(self.matches, num_bins)

    def perfect(self, resampling: Resampling, split: str) -> PerfectCalibration:
        """Of a detector whose boxes are right as often as it says, each by itself."""
        scores = self.matches.score[self.matches.outcome[:, 0, 0] != IGNORED]
        if not len(scores):
            return PerfectCalibration(float("nan"), float("nan"))
        return perfect_calibration(
            scores[:, None], np.arange(len(scores)), num_bins=resampling.num_bins,
            num_resamples=resampling.num_resamples, confidence=resampling.confidence,
            seed=resampling.seed, purpose=split,
        )  # fmt: skip


def measured_model(
    answers: Mapping[str, np.ndarray],
    targets: Mapping[str, np.ndarray],
    groups: Mapping[str, Sequence[str]],
    num_classes: int,
) -> dict[str, OnSplit]:
    """A model on its splits, with the threshold that its validation boxes choose.

    The threshold has the greatest F1 over the boxes of all classes together; see
    :func:`sftcore.metrics.detection_curves.choose_shared_threshold`.

    Args:
        answers: [N, D, 6] by split, val among them.
        targets: [N, M, 6] of these splits.
        groups: of near-duplicates [N] of these splits.
        num_classes: K.
    """
    found = {
        split: OnSplit(
            detections_of(of), truths_of(targets[split]), groups[split], num_classes, 0.0
        )
        for split, of in answers.items()
    }
    threshold = choose_shared_threshold(found["val"].matches)
    return {split: replace(of, threshold=threshold) for split, of in found.items()}


def at_least(detections: Detections, threshold: float) -> Detections:
    """The boxes with at least this score."""
    is_kept = detections.score >= threshold
    return Detections(**{name: column[is_kept] for name, column in vars(detections).items()})


def pooled(matches: Matches) -> Matches:
    """The same boxes as of one class, ranked together; what became of them stays."""
    return replace(
        matches,
        label=np.zeros_like(matches.label),
        num_truths=matches.num_truths.sum(axis=1, keepdims=True),
    )


def _ranking_numbers(ranking: DetectionMetrics) -> dict[str, np.ndarray]:
    return {name: getattr(ranking, field) for name, field in _OF_RANKING.items()}


def _given(matches: Matches, threshold: float) -> np.ndarray:
    """Boxes that count, of each picture and class [N, K]."""
    num_pictures, num_classes, _ = matches.num_truths.shape
    counts = (matches.score >= threshold) & (matches.outcome[:, 0, 0] != IGNORED)
    place = matches.picture[counts] * num_classes + matches.label[counts]
    found = np.bincount(place, minlength=num_pictures * num_classes)
    return found.reshape(num_pictures, num_classes)
