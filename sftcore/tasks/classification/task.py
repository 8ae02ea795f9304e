"""Single-label classification as a task."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from sftcore.metrics.calibration import fit_temperature
from sftcore.metrics.classification import classification_metrics, scores
from sftcore.regularization.co_tuning import category_relationship
from sftcore.regularization.imbalance import class_weights, logit_offsets, sampling_probabilities
from sftcore.regularization.mixing import MixingDraw, mix_targets
from sftcore.tasks.classification.baselines import (
    MOST_FREQUENT,
    NEAREST_NEIGHBOURS,
    most_frequent,
    nearest_neighbours,
)
from sftcore.tasks.classification.loss import (
    balanced_scores,
    classification_loss,
    measure,
    row_losses,
)
from sftcore.tasks.contract import Criterion, Known, LossSettings, Task
from sftcore.tasks.refusals import OF_PICTURES

_NUM_BINS = 15  # of the calibration error


@dataclass(frozen=True)
class CrossEntropy:
    """The training loss: smoothed, weighted and adjusted as asked for.

    Attributes:
        label_smoothing: ε in [0, 1).
        class_weights: w [C]; None is one for all.
        logit_offsets: added to the logits [C]; None is nothing.
    """

    label_smoothing: float
    class_weights: Tensor | None
    logit_offsets: Tensor | None

    def __call__(self, output: Tensor, targets: Tensor, weight: float) -> Tensor:
        """See :data:`sftcore.tasks.contract.Criterion`."""
        if self.logit_offsets is not None:
            output = output + self.logit_offsets.to(output.dtype)
        weights = None if self.class_weights is None else self.class_weights.to(output.dtype)
        return classification_loss(output, targets, self.label_smoothing, weights, weight)


class ClassificationTask(Task):
    """Targets are class indices [N]; mixed ones are probabilities [N, C]."""

    name = "classification"
    outputs = "classes"
    scores = ("accuracy", "balanced_accuracy", "macro_f1")
    headline: ClassVar[Mapping[str, tuple[str, str]]] = {
        "test/accuracy": ("test", "accuracy"),
        "test/accuracy_low": ("test", "accuracy_low"),
        "test/accuracy_high": ("test", "accuracy_high"),
        "test/balanced_accuracy": ("test", "balanced_accuracy"),
        "test/macro_f1": ("test", "macro_f1"),
        "test/nll": ("test", "nll"),
        "test/ece": ("test", "ece"),
        "test/accuracy_gain": ("worth", "test_accuracy"),
        "test/accuracy_gap": ("gap", "train_minus_test_accuracy"),
        "val/final_accuracy": ("val", "accuracy"),
    }
    in_steps = frozenset(scores)  # see sftcore.metrics.classification.resolution
    words: ClassVar[Mapping[str, str]] = {
        "loss": "nats of loss",
        "accuracy": "accuracy",
        "balanced_accuracy": "balanced accuracy",
        "macro_f1": "macro F1",
    }
    loss_unit = "nats"
    loss_words = "plain cross-entropy"
    remainder = "error rate"
    outcomes = ("ece", "temperature", "loss_scaled", "ece_scaled")
    simpler_rows = (NEAREST_NEIGHBOURS, MOST_FREQUENT)
    simpler_words = "nearest neighbours and the most frequent class"
    probe_words = "logistic regression"
    refuses: ClassVar[Mapping[str, str]] = OF_PICTURES | {
        "data.targets": "a class is the name of a folder, or stands in the column label",
        "train.error": "classes have no distance, so there is no error to weigh",
    }

    def record(self) -> dict[str, Any]:
        """The classes alone: a record that names no task is one of classes."""
        return {"classes": list(self.names)}

    def mixed(self, rows: np.ndarray, draw: MixingDraw) -> Tensor:
        """Probabilities [B, C]."""
        return mix_targets(self.targets, draw, rows, self.num_outputs)

    def criterion(self, settings: LossSettings) -> Criterion:
        """Cross-entropy."""
        # A class may be missing where only a part of the data is trained on.
        labels = self.of(self.train_rows).cpu().numpy()
        counts = np.bincount(labels, minlength=self.num_outputs).clip(min=1)
        weights, offsets = None, None
        if settings.imbalance.class_weighting > 0:
            weights = self._tensor(class_weights(counts, settings.imbalance.class_weighting))
        if settings.imbalance.logit_adjustment > 0:
            offsets = self._tensor(logit_offsets(counts, settings.imbalance.logit_adjustment))
        return CrossEntropy(settings.label_smoothing, weights, offsets)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).float().to(self.device)

    def chances(self, power: float) -> np.ndarray:
        """By the size of the row's class."""
        labels = self.targets.cpu().numpy()[self.train_rows]
        return sampling_probabilities(labels, self.num_outputs, power)

    def measure(self, output: Tensor, targets: Tensor) -> dict[str, float]:
        """Cross-entropy in nats, accuracy, balanced accuracy, macro F1."""
        loss, accuracy = measure(output, targets)
        balanced_accuracy, macro_f1 = balanced_scores(output, targets)
        return {
            "loss": loss,
            "accuracy": accuracy,
            "balanced_accuracy": balanced_accuracy,
            "macro_f1": macro_f1,
        }

    def row_values(self, output: Tensor, targets: Tensor, metric: str) -> Tensor:
        """Minus the loss; or 1 where the answer is right, for every score."""
        if metric == "loss":
            return -row_losses(output, targets)
        return (output.argmax(1) == targets).double()

    def guessing_loss(self) -> float:
        """``ln C``: each class as likely as the others."""
        return math.log(self.num_outputs)

    def judged(
        self, output: np.ndarray, rows: np.ndarray, chosen: tuple[np.ndarray, np.ndarray] | None
    ) -> dict[str, float]:
        """The scores, and the calibration error; both also at the temperature that is chosen."""
        labels = self.of(rows).cpu().numpy()
        found = _outcome(output, labels)
        if chosen is not None:
            temperature = fit_temperature(chosen[0], self.of(chosen[1]).cpu().numpy())
            scaled = _outcome(output / temperature, labels)
            found |= {"temperature": temperature}
            found |= {f"{name}_scaled": scaled[name] for name in ("loss", "ece")}
        return found

    def simpler(
        self, train: Known, val: Known, features: Tensor, rows: np.ndarray
    ) -> dict[str, dict[str, float]]:
        """Nearest neighbours and the most frequent class."""
        own, choosing = (train[0], self.of(train[1])), (val[0], self.of(val[1]))
        found = (
            nearest_neighbours(own, choosing, features, self.num_outputs),
            most_frequent(own[1], len(choosing[1]), len(rows), self.num_outputs),
        )
        return {row.name: self.judged(np.log(row.test), rows, None) for row in found}

    def source_wanted(self, source_logits: Tensor) -> Callable[[Tensor], Tensor]:
        """Probabilities of the source's classes [B, S] given targets."""
        known = category_relationship(source_logits, self.of(self.train_rows), self.num_outputs)
        return lambda targets: targets @ known if targets.is_floating_point() else known[targets]


def _outcome(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The scores of logits [N, C] and their calibration error."""
    unit = np.ones((1, len(labels)))
    ece = classification_metrics(labels, softmax(logits, axis=1), unit, _NUM_BINS).ece[0]
    return scores(logits, labels) | {"ece": float(ece)}
