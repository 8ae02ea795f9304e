"""What an error costs: squared, absolute, or Huber's loss."""

from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from sftcore.foundations.settings import Settings, setting

SQUARED, ABSOLUTE, HUBER = "squared", "absolute", "huber"


class ErrorSettings(Settings):
    """What an error of a predicted number costs.

    ``squared`` is e², so that guessing the training mean costs 1 on the training rows, and 1 minus
    the loss is R² there. ``absolute`` is |e|. ``huber`` is e²/2 up to δ and ``δ(|e| − δ/2)`` beyond
    it (Huber, 1964, Robust estimation of a location parameter), so outliers pull no
    harder than δ; for a large δ it is half of ``squared``.
    """

    kind: Literal["squared", "absolute", "huber"] = setting("squared", "loss of an error")
    delta: Annotated[float, Field(gt=0, le=1e3, allow_inf_nan=False)] = setting(
        1.0, "of huber: standard deviations from which an error counts by its size"
    )

    def of(self, prediction: Tensor, targets: Tensor) -> Tensor:
        """The cost of each number, of predictions and targets of one shape."""
        if self.kind == SQUARED:
            return F.mse_loss(prediction, targets, reduction="none")
        if self.kind == ABSOLUTE:
            return F.l1_loss(prediction, targets, reduction="none")
        return F.huber_loss(prediction, targets, reduction="none", delta=self.delta)

    def best_constant(self, targets: Tensor) -> Tensor:
        """What to guess of every row: the mean of [N, K] for ``squared``, else the median, [K].

        The median is the optimum for ``absolute`` and stands for Huber's, which lies between both.
        Of an even number of rows it is the mean of the two in the middle.
        """
        exact = targets.double()
        return exact.mean(dim=0) if self.kind == SQUARED else exact.quantile(0.5, dim=0)
