"""Single-label classification: loss and how right a batch is."""

import torch
import torch.nn.functional as F
from torch import Tensor


def classification_loss(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Mean cross-entropy against smoothed targets.

    With smoothing ε the target of class k is ``(1 - ε)·[k = y] + ε/C`` (Szegedy et al., 2016,
    Rethinking the Inception architecture, section 7).

    Args:
        logits: [B, C].
        targets: class indices [B].
        label_smoothing: ε in [0, 1).

    Returns:
        A scalar in nats.
    """
    return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)


def measure(logits: Tensor, targets: Tensor) -> tuple[float, float]:
    """Plain cross-entropy in nats, and accuracy, of logits [N, C] against class indices [N]."""
    if not len(targets):
        return float("nan"), float("nan")
    loss = F.cross_entropy(logits.double(), targets)
    correct = (logits.argmax(dim=1) == targets).double().mean()
    return float(loss), float(correct)


def probabilities(logits: Tensor) -> Tensor:
    """Softmax of logits [N, C], computed in float64 and returned as float32."""
    return torch.softmax(logits.double(), dim=1).float()
