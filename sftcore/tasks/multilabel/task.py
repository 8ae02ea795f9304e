"""Any number of labels for each row, as a task."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sftcore.metrics.multilabel import multilabel_metrics, multilabel_scores
from sftcore.regularization.mixing import MixingDraw
from sftcore.tasks.contract import Criterion, Known, LossSettings, Task
from sftcore.tasks.multilabel.baselines import (
    LABEL_FREQUENCIES,
    NEAREST_NEIGHBOURS,
    label_frequencies,
    nearest_neighbours,
)
from sftcore.tasks.multilabel.loss import guessing_loss, loss_sum, row_losses
from sftcore.tasks.multilabel.targets import count_labels, decision_weights
from sftcore.tasks.refusals import OF_PICTURES

_NUM_BINS = 15  # of the calibration error
_THRESHOLD = 0.5  # of every label, where nothing has been chosen yet


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """The training loss: smoothed and weighted as asked for.

    Attributes:
        label_smoothing: ε in [0, 1).
        decision_weights: of absence and presence [2, K]; None is one for all.
    """

    label_smoothing: float
    decision_weights: Tensor | None

    def __call__(self, output: Tensor, targets: Tensor, weight: float) -> Tensor:
        """See :class:`sftcore.tasks.contract.Criterion`."""
        ones = torch.ones(len(output), device=output.device)
        total = loss_sum(output, targets, ones, self.label_smoothing, self.decision_weights)
        return total / weight


class MultilabelTask(Task):
    """Targets are 0 or 1 [N, K], or between them where examples are mixed."""

    name = "multilabel"
    outputs = "labels"
    scores = ("mean_average_precision", "macro_f1", "micro_f1", "exact_match")
    headline: ClassVar[Mapping[str, tuple[str, str]]] = {
        "test/mean_average_precision": ("test", "mean_average_precision"),
        "test/mean_average_precision_low": ("test", "mean_average_precision_low"),
        "test/mean_average_precision_high": ("test", "mean_average_precision_high"),
        "test/macro_f1": ("test", "macro_f1"),
        "test/micro_f1": ("test", "micro_f1"),
        "test/exact_match": ("test", "exact_match"),
        "test/nll": ("test", "nll"),
        "test/ece": ("test", "ece"),
        "test/mean_average_precision_gain": ("worth", "test_mean_average_precision"),
        "test/mean_average_precision_gap": ("gap", "train_minus_test_mean_average_precision"),
        "val/final_mean_average_precision": ("val", "mean_average_precision"),
    }
    in_steps = frozenset({"exact_match"})
    words: ClassVar[Mapping[str, str]] = {
        "loss": "nats of loss",
        "mean_average_precision": "mean average precision",
        "macro_f1": "macro F1",
        "micro_f1": "micro F1",
        "exact_match": "exact match",
    }
    loss_unit = "nats per label"
    loss_words = "plain binary cross-entropy per label"
    remainder = "1 minus mean average precision"
    outcomes = ("ece",)
    simpler_rows = (NEAREST_NEIGHBOURS, LABEL_FREQUENCIES)
    simpler_words = "nearest neighbours and the labels' frequencies"
    probe_words = "logistic regression"
    refuses: ClassVar[Mapping[str, str]] = OF_PICTURES | {
        "data.targets.low": "labels are present or absent, so there is no range of them",
        "data.targets.high": "labels are present or absent, so there is no range of them",
        "train.error": "labels are present or absent, so there is no error to weigh",
        "train.features.co_tuning": "it maps one class of the source to one class",
        "train.imbalance.balanced_sampling": "a picture of several labels has no size of its class",
        "train.imbalance.logit_adjustment": "each label is a decision of its own; weigh it instead",
    }

    def mixed(self, rows: np.ndarray, draw: MixingDraw) -> Tensor:
        """Shares of each label [B, K]."""
        share = torch.from_numpy(draw.shares).to(self.device)[:, None]
        return share * self.of(rows) + (1 - share) * self.of(draw.partners)

    def criterion(self, settings: LossSettings) -> Criterion:
        """Binary cross-entropy, a mean over the labels."""
        weights, power = None, settings.imbalance.class_weighting
        if power > 0:
            counts = count_labels(self.of(self.train_rows).cpu().numpy())
            weights = torch.from_numpy(decision_weights(counts, power)).float().to(self.device)
        return BinaryCrossEntropy(settings.label_smoothing, weights)

    def measure(self, output: Tensor, targets: Tensor) -> dict[str, float]:
        """Binary cross-entropy in nats per label; the scores at a threshold of one half."""
        found = multilabel_scores(output.cpu().numpy(), targets.cpu().numpy(), _THRESHOLD)
        return {name: found[name] for name in self.metrics()}

    def row_values(self, output: Tensor, targets: Tensor, metric: str) -> Tensor:
        """Minus the loss; or the part of the labels that are right, for every score."""
        if metric == "loss":
            return -row_losses(output, targets)
        return ((output > 0) == (targets > _THRESHOLD)).double().mean(dim=1)

    def guessing_loss(self) -> float:
        """Of each label's frequency in training, on the training rows."""
        own = self.of(self.train_rows)
        frequencies = torch.from_numpy(count_labels(own.cpu().numpy()).frequencies)
        return guessing_loss(frequencies, own.cpu())

    def judged(
        self, output: np.ndarray, rows: np.ndarray, chosen: tuple[np.ndarray, np.ndarray] | None
    ) -> dict[str, float]:
        """The scores, and the calibration error pooled over the labels."""
        labels = self.of(rows).cpu().numpy()
        found = multilabel_scores(output, labels, _THRESHOLD)
        unit, thresholds = np.ones((1, len(labels))), np.full(labels.shape[1], _THRESHOLD)
        probability = np.exp(-np.logaddexp(0, -output))
        ece = multilabel_metrics(labels, probability, unit, thresholds, _NUM_BINS).ece[0]
        return {name: found[name] for name in self.metrics()} | {"ece": float(ece)}

    def simpler(
        self, train: Known, val: Known, features: Tensor, rows: np.ndarray
    ) -> dict[str, dict[str, float]]:
        """Nearest neighbours and the labels' frequencies."""
        own, choosing = (train[0], self.of(train[1])), (val[0], self.of(val[1]))
        found = (
            nearest_neighbours(own, choosing, features),
            label_frequencies(own[1], len(choosing[1]), len(rows)),
        )
        return {
            row.name: self.judged(np.log(row.test) - np.log1p(-row.test), rows, None)
            for row in found
        }
