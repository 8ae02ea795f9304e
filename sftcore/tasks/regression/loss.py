"""The loss of predicted numbers, on targets in standard deviations of the training targets."""

from torch import Tensor

from sftcore.regularization.error_loss import ErrorSettings


def loss_sum(prediction: Tensor, targets: Tensor, weights: Tensor, loss: ErrorSettings) -> Tensor:
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


def row_losses(prediction: Tensor, targets: Tensor, loss: ErrorSettings) -> Tensor:
    """The loss of each row, float64 [N].

    Args:
        prediction: standardised [N, K].
        targets: standardised [N, K].
        loss: of an error.
    """
    return loss.of(prediction.double(), targets.double()).mean(dim=1)


def guessing_loss(train_targets: Tensor, targets: Tensor, loss: ErrorSettings) -> float:
    """What rows cost whoever guesses the same numbers for all of them.

    Args:
        train_targets: standardised, of the training rows, which the guess is made of, [N, K].
        targets: standardised, of the rows that are measured, [M, K].
        loss: of an error.
    """
    guess = loss.best_constant(train_targets)
    return float(row_losses(guess.expand(len(targets), -1), targets, loss).mean())
