"""Single-label classification: loss and how right a batch is."""

import torch
import torch.nn.functional as F
from torch import Tensor


def classification_loss(
    logits: Tensor,
    targets: Tensor,
    label_smoothing: float,
    class_weights: Tensor | None = None,
    weight: float | None = None,
) -> Tensor:
    """Cross-entropy against smoothed targets, ``−(1/W) Σᵢ Σ_k w_k t_ik log p_ik``.

    With smoothing ε the target t of class k is ``(1 - ε)·[k = y] + ε/C`` (Szegedy et al., 2016,
    Rethinking the Inception architecture, section 7).

    Args:
        logits: [B, C].
        targets: class indices [B], or probabilities [B, C] where labels are mixed.
        label_smoothing: ε in [0, 1).
        class_weights: w [C]; all one without them.
        weight: W, of the whole batch that these rows are part of; B without one, a mean.

    Returns:
        A scalar in nats.
    """
    weight = float(len(logits)) if weight is None else weight
    if class_weights is None and label_smoothing > 0 and not targets.is_floating_point():
        # Term by term, or the last digits of a gradient would depend on how both are joined.
        log_p = F.log_softmax(logits, dim=1)
        own = F.nll_loss(log_p, targets, reduction="sum") / weight
        spread = (-log_p.sum(dim=1)).sum() / weight
        return (1 - label_smoothing) * own + (label_smoothing / logits.shape[1]) * spread
    total = F.cross_entropy(
        logits, targets, class_weights, label_smoothing=label_smoothing, reduction="sum"
    )
    return total / weight


def measure(logits: Tensor, targets: Tensor) -> tuple[float, float]:
    """Plain cross-entropy in nats, and accuracy, of logits [N, C] against class indices [N]."""
    if not len(targets):
        return float("nan"), float("nan")
    loss = F.cross_entropy(logits.double(), targets)
    correct = (logits.argmax(dim=1) == targets).double().mean()
    return float(loss), float(correct)


def row_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Plain cross-entropy in nats of each row, float64 [N]."""
    return F.cross_entropy(logits.double(), targets, reduction="none")


def balanced_scores(logits: Tensor, targets: Tensor) -> tuple[float, float]:
    """Balanced accuracy and macro F1, each a mean over the classes that occur among the targets.

    The same numbers as :func:`sftcore.metrics.classification.classification_metrics` gives.

    Args:
        logits: [N, C].
        targets: class indices [N]; without any both are NaN.
    """
    num_classes = logits.shape[1]
    predicted, labels = logits.argmax(dim=1).cpu(), targets.cpu()  # counting on CUDA may be atomic
    hits = torch.bincount(labels[predicted == labels], minlength=num_classes).double()
    support = torch.bincount(labels, minlength=num_classes)
    claimed = torch.bincount(predicted, minlength=num_classes)
    occurs = support > 0
    recall = (hits / support)[occurs]
    f1 = (2 * hits / (support + claimed))[occurs]
    return float(recall.mean()), float(f1.mean())


def probabilities(logits: Tensor) -> Tensor:
    """Softmax of logits [N, C], computed in float64 and returned as float32."""
    return torch.softmax(logits.double(), dim=1).float()
