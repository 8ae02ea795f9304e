"""A class for every pixel of a picture, as a task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sftcore.foundations.masks import IGNORED
from sftcore.models.dense.pixel_loss import num_labelled, pixel_loss_sum
from sftcore.models.dense.settings import PixelLossSettings
from sftcore.regularization.imbalance import class_weights, logit_offsets
from sftcore.tasks.contract import Criterion, Known, LossSettings, Task
from sftcore.tasks.names import MASKS
from sftcore.tasks.refusals import OF_ANNOTATED
from sftcore.tasks.segmentation.headline import HEADLINE
from sftcore.tasks.segmentation.sums import PixelSums, constant_rows, pixel_rows, read_rows

MOST_FREQUENT = "most_frequent_class"


@dataclass(frozen=True)
class PixelLoss:
    """The training loss: cross-entropy of pixels, smoothed and weighted as asked for, and Dice.

    Attributes:
        settings: of Dice.
        label_smoothing: ε in [0, 1).
        weights: of the classes [K]; None is one for all.
        offsets: of the logits [K, 1, 1]; None is none.
    """

    settings: PixelLossSettings
    label_smoothing: float
    weights: Tensor | None
    offsets: Tensor | None

    def __call__(self, output: Tensor, targets: Tensor, weight: float) -> Tensor:
        """See :class:`sftcore.tasks.contract.Criterion`."""
        logits = output if self.offsets is None else output + self.offsets
        total = pixel_loss_sum(logits, targets, self.settings, self.weights, self.label_smoothing)
        return total / weight


class SegmentationTask(Task):
    """Targets are masks, uint8 [N, S, S]; 255 is ignored."""

    name = MASKS
    outputs = "classes"
    scores = ("mean_iou", "mean_dice", "pixel_accuracy")
    headline = HEADLINE
    words: ClassVar[Mapping[str, str]] = {
        "loss": "nats of loss",
        "mean_iou": "mean IoU",
        "mean_dice": "mean Dice",
        "pixel_accuracy": "pixel accuracy",
    }
    loss_unit = "nats per pixel"
    loss_words = "plain cross-entropy per labelled pixel"
    remainder = "1 minus mean IoU"
    outcomes = ("ece",)
    simpler_rows = (MOST_FREQUENT,)
    simpler_words = "the most frequent class"
    probe_words = "the head alone"
    solves_head = False
    most_measured = 128
    refuses: ClassVar[Mapping[str, str]] = OF_ANNOTATED | {
        "model.detection": "it is of boxes",
        "train.box_loss": "it is of boxes",
        "train.imbalance.balanced_sampling": "a picture shows several classes, and has no size of "
        "its class; see train.imbalance.class_weighting",
    }

    def weight(self, targets: Tensor) -> float:
        """The labelled pixels."""
        return num_labelled(targets)

    def criterion(self, settings: LossSettings) -> Criterion:
        """Cross-entropy of pixels, and Dice."""
        counts = self._counts(self.train_rows).clip(min=1)
        weights, offsets = None, None
        if settings.imbalance.class_weighting > 0:
            weights = self._tensor(class_weights(counts, settings.imbalance.class_weighting))
        if settings.imbalance.logit_adjustment > 0:
            raw = logit_offsets(counts, settings.imbalance.logit_adjustment)
            offsets = self._tensor(raw)[:, None, None]
        return PixelLoss(settings.pixel_loss, settings.label_smoothing, weights, offsets)

    def kept(self, head: Callable[[Tensor], Tensor], features: Tensor, targets: Tensor) -> Tensor:
        """Sums over each picture's pixels; see :mod:`sftcore.tasks.segmentation.sums`."""
        return pixel_rows(head(features), targets)

    def measure(self, output: Tensor, targets: Tensor) -> dict[str, float]:
        """Cross-entropy in nats per labelled pixel, mean IoU, mean Dice, pixel accuracy."""
        return self._measured(self._read(output.cpu().numpy()))

    def row_values(self, output: Tensor, targets: Tensor, metric: str) -> Tensor:
        """Minus the loss per pixel; or the picture's own mean IoU, for every score."""
        sums = self._read(output.cpu().numpy())
        if metric == "loss":
            return torch.from_numpy(-sums.loss / sums.num_pixels.clip(min=1))
        hits = np.diagonal(sums.confusion, axis1=1, axis2=2)
        union = sums.confusion.sum(axis=1) + sums.confusion.sum(axis=2) - hits
        there = (union > 0).sum(axis=1).clip(min=1)
        return torch.from_numpy((hits / union.clip(min=1)).sum(axis=1) / there)

    def guessing_loss(self) -> float:
        """Of each class's share of the training pixels, on the training pixels."""
        counts = self._counts(self.train_rows).astype(float)
        shares = counts / counts.sum()
        return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())

    def judged(
        self, output: np.ndarray, rows: np.ndarray, chosen: tuple[np.ndarray, np.ndarray] | None
    ) -> dict[str, float]:
        """The scores, and the calibration error of the pixels."""
        sums = self._read(output)
        return self._measured(sums) | {"ece": sums.calibration_error()}

    def simpler(
        self, train: Known, val: Known, features: Tensor, rows: np.ndarray
    ) -> dict[str, dict[str, float]]:
        """The most frequent class at every pixel, with the frequencies as probabilities."""
        counts = self._counts(train[1]).clip(min=1).astype(float)
        masks = self.of(rows).cpu().numpy()
        answer = constant_rows(masks, counts / counts.sum(), int(counts.argmax()))
        return {MOST_FREQUENT: self.judged(answer, rows, None)}

    def _counts(self, rows: np.ndarray) -> np.ndarray:
        """Labelled pixels of each class in some rows [K]."""
        pixels = (self.of(part) for part in np.array_split(rows, -(-len(rows) // 64)))
        found = [torch.bincount(of[of != IGNORED].flatten(), minlength=256) for of in pixels]
        return torch.stack(found).sum(dim=0)[: self.num_outputs].cpu().numpy()

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).float().to(self.device)

    def _read(self, rows: np.ndarray) -> PixelSums:
        return read_rows(rows, self.num_outputs)

    def _measured(self, sums: PixelSums) -> dict[str, float]:
        found = sums.scores()
        return {"loss": sums.mean_loss} | {name: found[name] for name in self.scores}
