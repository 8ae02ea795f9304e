"""Mixup and CutMix: each picture is mixed with another, and so are their labels.

Who is mixed with whom, and how much of each is left, is a function of (seed, epoch, row), so that
neither the order of the batches nor a resumed run changes it. The partner is drawn from the whole
training split, as in the papers' definitions, and not from the batch alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sftcore.randomness import numpy_stream


@dataclass(frozen=True)
class MixingDraw:
    """Who is mixed with whom in one epoch; arrays over all rows of the store.

    Attributes:
        partners: row of the other picture [N].
        shares: of the label that stays the picture's own, λ [N], float32.
        boxes: top, bottom, left, right of what CutMix replaces, [N, 4] in pixels; empty where
            mixup blends the whole picture.
        is_cut: where CutMix and not mixup is used [N].
    """

    partners: np.ndarray
    shares: np.ndarray
    boxes: np.ndarray
    is_cut: np.ndarray


def draw_mixing(
    rows: np.ndarray,
    num_samples: int,
    side: int,
    *,
    mixup_alpha: float,
    cutmix_alpha: float,
    seed: int,
    epoch: int,
) -> MixingDraw:
    """Draw the mixing of one epoch; with both methods on, a fair coin decides for each picture.

    Mixup takes λ from Beta(α, α) (Zhang et al., 2018, mixup, section 2). CutMix takes λ likewise,
    cuts a box of ``√(1 − λ)`` of the side around a uniform centre, and lets λ be what is left
    after clipping at the border (Yun et al., 2019, CutMix, eq. 2).

    Args:
        rows: of the training split; each is the partner of exactly one.
        num_samples: rows of the store, N.
        side: of the pictures in pixels.
        mixup_alpha: of Beta; 0 is off.
        cutmix_alpha: of Beta; 0 is off.
        seed: of the training.
        epoch: counted from 0.
    """
    stream = numpy_stream(seed, "mixing", epoch)
    partners, shares = np.arange(num_samples), np.ones(num_samples, dtype=np.float32)
    boxes, is_cut = np.zeros((num_samples, 4), dtype=np.int64), np.zeros(num_samples, dtype=bool)
    count = len(rows)
    partners[rows] = stream.permutation(rows)
    coin = stream.random(count) < 0.5
    is_cut[rows] = coin if mixup_alpha > 0 and cutmix_alpha > 0 else cutmix_alpha > 0
    blend = stream.beta(mixup_alpha, mixup_alpha, count) if mixup_alpha > 0 else np.ones(count)
    keep = stream.beta(cutmix_alpha, cutmix_alpha, count) if cutmix_alpha > 0 else np.ones(count)
    centres = stream.integers(0, side, size=(count, 2))
    half = np.rint(side * np.sqrt(1 - keep)).astype(np.int64)[:, None] // 2
    low, high = np.clip(centres - half, 0, side), np.clip(centres + half, 0, side)
    cut = is_cut[rows]
    boxes[rows] = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1) * cut[:, None]
    left = 1 - (high - low).prod(axis=1) / side**2
    shares[rows] = np.where(cut, left, blend)
    return MixingDraw(partners, shares, boxes, is_cut)


def mix_pictures(images: Tensor, others: Tensor, draw: MixingDraw, rows: np.ndarray) -> Tensor:
    """``w·x + (1 − w)·x′`` with w = λ everywhere (mixup), or 0 in the box and 1 outside (CutMix).

    Args:
        images: the rows' own [B, 3, S, S].
        others: their partners' [B, 3, S, S].
        draw: of the epoch.
        rows: of the store [B].
    """
    side = torch.arange(images.shape[-1], device=images.device)
    boxes = torch.from_numpy(draw.boxes[rows]).to(images.device)
    top, bottom, left, right = boxes.T[:, :, None]
    vertical, horizontal = (side >= top) & (side < bottom), (side >= left) & (side < right)
    inside = (vertical[:, :, None] & horizontal[:, None, :])[:, None]  # [B, 1, S, S]
    share = torch.from_numpy(draw.shares[rows]).to(images.device)[:, None, None, None]
    is_cut = torch.from_numpy(draw.is_cut[rows]).to(images.device)[:, None, None, None]
    weight = torch.where(is_cut, (~inside).to(images.dtype), share.to(images.dtype))
    return weight * images + (1 - weight) * others


def mix_targets(labels: Tensor, draw: MixingDraw, rows: np.ndarray, num_classes: int) -> Tensor:
    """``λ·y + (1 − λ)·y′`` as probabilities [B, C].

    Args:
        labels: class index of every row of the store [N].
        draw: of the epoch.
        rows: of the store [B].
        num_classes: C.
    """
    own = labels[torch.from_numpy(rows).to(labels.device)]
    other = labels[torch.from_numpy(draw.partners[rows]).to(labels.device)]
    share = torch.from_numpy(draw.shares[rows]).to(labels.device)[:, None]
    return share * F.one_hot(own, num_classes) + (1 - share) * F.one_hot(other, num_classes)
