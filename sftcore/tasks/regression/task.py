"""One or several numbers for each row, as a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sftcore.metrics.regression import regression_scores
from sftcore.regularization.error_loss import ErrorSettings
from sftcore.tasks.contract import Criterion, Known, LossSettings, Task
from sftcore.tasks.refusals import OF_PICTURES
from sftcore.tasks.regression.baselines import (
    MEAN,
    NEAREST_NEIGHBOURS,
    constant,
    nearest_neighbours,
)
from sftcore.tasks.regression.loss import loss_sum, row_losses
from sftcore.tasks.regression.targets import fit_scale

_PLAIN = ErrorSettings()  # losses are measured as squared errors, whatever is descended
_NAMES = {  # of the metrics
    "r2": "mean_r2",
    "root_mean_squared_error": "mean_rmse",
    "mean_absolute_error": "mean_mae",
}


@dataclass(frozen=True)
class ErrorCriterion:
    """The training loss: what the errors of standardised numbers cost."""

    error: ErrorSettings

    def __call__(self, output: Tensor, targets: Tensor, weight: float) -> Tensor:
        """See :class:`sftcore.tasks.contract.Criterion`."""
        ones = torch.ones(len(output), device=output.device)
        return loss_sum(output, targets, ones, self.error) / weight


class RegressionTask(Task):
    """Targets are standardised by the training rows, float32 [N, K].

    Attributes:
        scale: from standardised numbers to those of the data and back.
    """

    name = "regression"
    outputs = "numbers"
    scores = ("r2", "root_mean_squared_error", "mean_absolute_error")
    headline: ClassVar[Mapping[str, tuple[str, str]]] = {
        "test/r2": ("test", "mean_r2"),
        "test/r2_low": ("test", "mean_r2_low"),
        "test/r2_high": ("test", "mean_r2_high"),
        "test/mean_absolute_error": ("test", "mean_mae"),
        "test/root_mean_squared_error": ("test", "mean_rmse"),
        "test/r2_gain": ("worth", "test_mean_r2"),
        "test/r2_gap": ("gap", "train_minus_test_mean_r2"),
        "val/final_r2": ("val", "mean_r2"),
    }
    words: ClassVar[Mapping[str, str]] = {
        "loss": "of squared error",
        "r2": "R²",
        "root_mean_squared_error": "root mean squared error",
        "mean_absolute_error": "mean absolute error",
    }
    loss_unit = "squared standard deviations"
    loss_words = "plain squared error of standardised numbers"
    remainder = "unexplained variance"
    simpler_rows = (NEAREST_NEIGHBOURS, MEAN)
    simpler_words = "nearest neighbours and the mean"
    probe_words = "ridge regression"
    refuses: ClassVar[Mapping[str, str]] = OF_PICTURES | {
        "train.label_smoothing": "a number has no other classes to spread it over",
        "train.imbalance": "a number has no class, and so no size of it",
        "train.features.co_tuning": "a number has no class that one of the source could go with",
        "train.augmentation.mixup": "what the number of a mixture is depends on the number",
        "train.augmentation.cutmix": "what the number of a mixture is depends on the number",
    }

    def __init__(self, targets: Tensor, names: Sequence[str], train_rows: np.ndarray) -> None:
        numbers = targets.cpu().numpy()
        self.scale = fit_scale(numbers[train_rows], names)
        standard = torch.from_numpy(self.scale.to_standard(numbers)).float().to(targets.device)
        super().__init__(standard, names, train_rows)

    def record(self) -> dict[str, Any]:
        """With the scale, which outputs are read by."""
        facts = {"names": list(self.names), "scale": self.scale.to_record()}
        return {"task": self.name, "facts": facts}

    def criterion(self, settings: LossSettings) -> Criterion:
        """Squared, absolute or Huber's loss, a mean over the numbers."""
        return ErrorCriterion(settings.error)

    def measure(self, output: Tensor, targets: Tensor) -> dict[str, float]:
        """Squared error in squared standard deviations; errors in standard deviations."""
        return self._scores(output.double().cpu().numpy(), targets.double().cpu().numpy())

    def _scores(self, output: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        found = regression_scores(output, targets, np.ones(self.num_outputs))
        loss = float(((output - targets) ** 2).mean()) if len(targets) else float("nan")
        return {"loss": loss} | {name: found[own] for name, own in _NAMES.items()}

    def row_values(self, output: Tensor, targets: Tensor, metric: str) -> Tensor:
        """Minus the absolute error for its mean, minus the squared error for all others."""
        error = ErrorSettings(kind="absolute") if metric == "mean_absolute_error" else _PLAIN
        return -row_losses(output, targets, error)

    def guessing_loss(self) -> float:
        """1: the mean squared error of the training mean, in squared standard deviations."""
        return 1.0

    def judged(
        self, output: np.ndarray, rows: np.ndarray, chosen: tuple[np.ndarray, np.ndarray] | None
    ) -> dict[str, float]:
        """The scores."""
        return self._scores(output, self.of(rows).double().cpu().numpy())

    def simpler(
        self, train: Known, val: Known, features: Tensor, rows: np.ndarray
    ) -> dict[str, dict[str, float]]:
        """Nearest neighbours and the mean."""
        own, choosing = (train[0], self.of(train[1])), (val[0], self.of(val[1]))
        unit = fit_scale(
            np.array([[-1.0] * self.num_outputs, [1.0] * self.num_outputs]), self.names
        )
        found = (
            nearest_neighbours(own, choosing, features, unit, _PLAIN),
            constant(own[1], len(choosing[1]), len(rows), _PLAIN),
        )
        return {row.name: self.judged(row.test, rows, None) for row in found}
