"""Losses of pixels: cross-entropy and Dice, as sums, in float32.

Labels are classes [B, H, W] of any integer type; :data:`IGNORED` marks a pixel that has none. The
weight of a batch, which its loss is divided by, is :func:`num_labelled`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sftcore.foundations.masks import IGNORED
from sftcore.models.dense.resampling import upsample
from sftcore.models.dense.settings import PixelLossSettings


def num_labelled(labels: Tensor) -> float:
    """Pixels that have a class, at least one: what the loss of a batch is divided by."""
    return max(1.0, float((labels != IGNORED).sum()))


def cross_entropy_rows(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy against smoothed labels, summed over each picture's pixels.

    With smoothing ε the target t of class k is ``(1 - ε)·[k = y] + ε/K`` (Szegedy et al., 2016,
    Rethinking the Inception architecture, section 7), and a pixel costs ``−Σ_k w_k t_k log p_k``.

    Args:
        logits: [B, K, H, W].
        labels: [B, H, W].
        class_weights: w [K]; all one without them.
        label_smoothing: ε in [0, 1).

    Returns:
        [B] in nats.
    """
    pixels, labels = logits.float(), labels.long()
    if logits.is_cuda:  # its kernel for maps is not deterministic
        pixels, labels = pixels.permute(0, 2, 3, 1).flatten(0, 2), labels.flatten()
    costs = F.cross_entropy(
        pixels,
        labels,
        class_weights,
        ignore_index=IGNORED,
        reduction="none",
        label_smoothing=label_smoothing,
    )
    return costs.view(len(logits), -1).sum(dim=1)


def dice_rows(logits: Tensor, labels: Tensor) -> Tensor:
    """``1 − D`` of each picture, D the mean over the classes that its labels have.

    ``D_k = 2 Σ p g / (Σ p² + Σ g²)`` over the pixels that have a label, p the probability of class
    k and g whether it is the label (Milletari et al., 2016, V-Net, section 3). A class that no
    pixel has would have D 0 whatever is predicted, so it is left out.

    Args:
        logits: [B, K, H, W].
        labels: [B, H, W].

    Returns:
        [B], in [0, 1]; 0 for a picture without labels.
    """
    classes = torch.arange(logits.shape[1], device=logits.device)
    is_labelled = (labels != IGNORED)[:, None]
    wanted = ((labels[:, None] == classes[:, None, None]) & is_labelled).float()
    p = logits.float().softmax(dim=1) * is_labelled
    overlap = (p * wanted).sum(dim=(2, 3))
    num_pixels = wanted.sum(dim=(2, 3))
    dice = 2 * overlap / ((p * p).sum(dim=(2, 3)) + num_pixels).clamp(min=1)
    is_there = num_pixels > 0
    missing = torch.where(is_there, 1 - dice, 0.0)
    return missing.sum(dim=1) / is_there.sum(dim=1).clamp(min=1)


def pixel_loss_rows(
    logits: Tensor,
    labels: Tensor,
    settings: PixelLossSettings,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """What each picture costs: cross-entropy, and Dice where it is asked for.

    A picture's Dice counts as often as the picture has labelled pixels. So both are divided by the
    same weight, parts of a batch add up to the batch, and for pictures that are labelled
    everywhere the result is ``mean cross-entropy + factor · mean (1 − D)``.

    Args:
        logits: [B, K, h, w]; they are upsampled to the labels.
        labels: [B, H, W].
        settings: of the loss.
        class_weights: of the cross-entropy [K].
        label_smoothing: of the cross-entropy.

    Returns:
        [B].
    """
    logits = upsample(logits.float(), (labels.shape[1], labels.shape[2]))
    rows = cross_entropy_rows(logits, labels, class_weights, label_smoothing)
    if settings.dice > 0:
        num_pixels = (labels != IGNORED).sum(dim=(1, 2))
        rows = rows + settings.dice * (num_pixels * dice_rows(logits, labels))
    return rows


def pixel_loss_sum(
    logits: Tensor,
    labels: Tensor,
    settings: PixelLossSettings,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """The same over all pictures, a scalar; see :func:`pixel_loss_rows`."""
    return pixel_loss_rows(logits, labels, settings, class_weights, label_smoothing).sum()
