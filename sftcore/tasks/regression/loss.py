"""The loss of predicted numbers, on targets in standard deviations of the training targets."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

SQUARED, ABSOLUTE, HUBER = "squared", "absolute", "huber"


@dataclass(frozen=True)
class ErrorLoss:
    """What an error e costs.

    ``squared`` is e², so that guessing the training mean costs 1 on the training rows, and 1 minus
    the loss is R² there. ``absolute`` is |e|. ``huber`` is e²/2 up to δ and ``δ(|e| − δ/2)`` beyond
    it (Huber, 1964, Robust estimation of a location parameter), so outliers pull no
    harder than δ; for a large δ it is half of ``squared``.

    Attributes:
        kind: ``squared``, ``absolute`` or ``huber``.
        delta: δ > 0 in standard deviations; read by ``huber`` alone.

    Raises:
        ValueError: no such kind, or δ is not positive.
    """

    kind: str
    delta: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in (SQUARED, ABSOLUTE, HUBER):
            raise ValueError(f"unknown loss {self.kind!r}: one of squared, absolute, huber")
        if not self.delta > 0:
            raise ValueError(f"delta is {self.delta}; it must be above 0 standard deviations")

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


def loss_sum(prediction: Tensor, targets: Tensor, weights: Tensor, loss: ErrorLoss) -> Tensor:
    """Weighted sum over the rows of the mean loss over the numbers: ``Σ_i w_i (1/K) Σ_k ℓ(e_ik)``.

    The mean over the numbers makes a row's loss mean the same for any K.

    Args:
        prediction: standardised [B, K].
        targets: standardised [B, K].
        weights: of the rows, w [B]; what divides the sum of all parts of a batch is their sum.
        loss: of an error.

    Returns:
        A scalar times weight.
    """
    losses = loss.of(prediction, targets.to(prediction.dtype))
    return (weights.to(prediction.dtype) * losses.mean(dim=1)).sum()


def row_losses(prediction: Tensor, targets: Tensor, loss: ErrorLoss) -> Tensor:
    """The loss of each row, float64 [N].

    Args:
        prediction: standardised [N, K].
        targets: standardised [N, K].
        loss: of an error.
    """
    return loss.of(prediction.double(), targets.double()).mean(dim=1)


def guessing_loss(train_targets: Tensor, targets: Tensor, loss: ErrorLoss) -> float:
    """What rows cost whoever guesses the same numbers for all of them.

    Args:
        train_targets: standardised, of the training rows, which the guess is made of, [N, K].
        targets: standardised, of the rows that are measured, [M, K].
        loss: of an error.
    """
    guess = loss.best_constant(train_targets)
    return float(row_losses(guess.expand(len(targets), -1), targets, loss).mean())
