"""The loss of any number of labels: one binary cross-entropy for each of them."""

import torch
import torch.nn.functional as F
from torch import Tensor


def loss_sum(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    label_smoothing: float = 0.0,
    decision_weights: Tensor | None = None,
) -> Tensor:
    """Weighted sum over the rows of the mean binary cross-entropy over the labels.

    ``−Σ_i w_i (1/K) Σ_k [v₁ₖ t_ik log σ(z_ik) + v₀ₖ (1 − t_ik) log σ(−z_ik)]``. The mean over the
    labels makes a row's loss mean the same for any K. With smoothing ε a target t becomes
    ``(1 − ε)·t + ε/2`` (Szegedy et al., 2016, Rethinking the Inception architecture, section 7, of
    the two classes present and absent).

    Args:
        logits: z [B, K].
        targets: t [B, K]: 0 or 1, or between them where labels are mixed.
        weights: of the rows, w [B]; what divides the sum of all parts of a batch is their sum.
        label_smoothing: ε in [0, 1).
        decision_weights: v [2, K] of absence and of presence, see
            :func:`sftcore.tasks.multilabel.targets.decision_weights`; all one without them.

    Returns:
        A scalar in nats times weight.
    """
    soft = (1 - label_smoothing) * targets.to(logits.dtype) + label_smoothing / 2
    if decision_weights is None:
        losses = F.binary_cross_entropy_with_logits(logits, soft, reduction="none")
    else:
        absent, present = decision_weights.to(logits.dtype)
        losses = F.binary_cross_entropy_with_logits(
            logits, soft, absent, pos_weight=present / absent, reduction="none"
        )
    return (weights.to(logits.dtype) * losses.mean(dim=1)).sum()


def row_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Plain binary cross-entropy of each row, in nats per label, float64 [N].

    Args:
        logits: [N, K].
        targets: 0 or 1 [N, K].
    """
    losses = F.binary_cross_entropy_with_logits(logits.double(), targets.double(), reduction="none")
    return losses.mean(dim=1)


def guessing_loss(frequencies: Tensor, targets: Tensor) -> float:
    """What rows cost whoever knows nothing but how frequent each label is, in nats per label.

    Args:
        frequencies: of the labels in training, within (0, 1), [K]; see
            :attr:`sftcore.tasks.multilabel.targets.LabelCounts.frequencies`.
        targets: 0 or 1, of the rows that are measured [N, K].
    """
    logits = torch.logit(frequencies.double())
    return float(row_losses(logits.expand(len(targets), -1), targets).mean())


def probabilities(logits: Tensor) -> Tensor:
    """Sigmoid of logits [N, K], float64: in float32 what is nearly sure would be rounded to 1."""
    return torch.sigmoid(logits.double())
