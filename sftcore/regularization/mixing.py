"""Mixup and CutMix: each picture is mixed with another, and so are their labels.

Who is mixed with whom, and how much of each is left, is a function of (seed, epoch, row), so that
neither the order of the batches nor a resumed run changes it, and a batch draws for its own rows
alone. The partner is drawn from the whole training split, as in the papers' definitions, and not
from the batch. Each row draws by itself: unlike in the papers' code, which mixes a batch with a
permutation of itself, a picture may be the partner of none or of several. Its chance of being its
own partner is the permutation's, one in the number of training pictures.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import betaincinv
from torch import Tensor

from sftcore.foundations.randomness import row_uniforms


@dataclass(frozen=True)
class MixingDraw:
    """With whom some rows are mixed in one epoch.

    Attributes:
        partners: row of the other picture [B].
        shares: of the label that stays the picture's own, λ [B], float32.
        boxes: top, bottom, left, right of what CutMix replaces, [B, 4] in pixels; empty where
            mixup blends the whole picture.
        is_cut: where CutMix and not mixup is used [B].
    """

    partners: np.ndarray
    shares: np.ndarray
    boxes: np.ndarray
    is_cut: np.ndarray


def draw_mixing(
    rows: np.ndarray,
    pool: np.ndarray,
    side: int,
    *,
    mixup_alpha: float,
    cutmix_alpha: float,
    seed: int,
    epoch: int,
) -> MixingDraw:
    """Draw the mixing of some rows; with both methods on, a fair coin decides for each picture.

    Mixup takes λ from Beta(α, α) (Zhang et al., 2018, mixup, section 2). CutMix takes λ likewise,
    cuts a box of ``√(1 − λ)`` of the side around a uniform centre, and lets λ be what is left
    after clipping at the border (Yun et al., 2019, CutMix, eq. 2).

    Args:
        rows: drawn rows [B], see :func:`sftcore.data.loader.count_occurrences`.
        pool: rows of the training split; each is as likely as any other to be a partner, also
            where sampling prefers some.
        side: of the pictures in pixels.
        mixup_alpha: of Beta; 0 is off.
        cutmix_alpha: of Beta; 0 is off.
        seed: of the training.
        epoch: counted from 0.
    """
    uniforms = row_uniforms(seed, "mixing", epoch, rows=rows, num=6)
    is_cut = uniforms[:, 1] < 0.5 if mixup_alpha > 0 else np.ones(len(rows), dtype=bool)
    is_cut &= cutmix_alpha > 0
    blend, keep = _beta(uniforms[:, 2], mixup_alpha), _beta(uniforms[:, 3], cutmix_alpha)
    centres = np.floor(uniforms[:, 4:] * side).astype(np.int64)
    half = np.rint(side * np.sqrt(1 - keep)).astype(np.int64)[:, None] // 2
    low, high = np.clip(centres - half, 0, side), np.clip(centres + half, 0, side)
    boxes = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1) * is_cut[:, None]
    left = 1 - (high - low).prod(axis=1) / side**2
    return MixingDraw(
        partners=pool[np.floor(uniforms[:, 0] * len(pool)).astype(np.int64)],
        shares=np.where(is_cut, left, blend).astype(np.float32),
        boxes=boxes,
        is_cut=is_cut,
    )


def _beta(uniforms: np.ndarray, alpha: float) -> np.ndarray:
    """Draws from Beta(α, α) by the inverse of its distribution function; 1 where α is 0."""
    return betaincinv(alpha, alpha, uniforms) if alpha > 0 else np.ones(len(uniforms))


def mix_pictures(images: Tensor, others: Tensor, draw: MixingDraw) -> Tensor:
    """``w·x + (1 − w)·x′`` with w = λ everywhere (mixup), or 0 in the box and 1 outside (CutMix).

    Args:
        images: the rows' own [B, 3, S, S].
        others: their partners' [B, 3, S, S].
        draw: of the rows.
    """
    side = torch.arange(images.shape[-1], device=images.device)
    boxes = torch.from_numpy(draw.boxes).to(images.device)
    top, bottom, left, right = boxes.T[:, :, None]
    vertical, horizontal = (side >= top) & (side < bottom), (side >= left) & (side < right)
    inside = (vertical[:, :, None] & horizontal[:, None, :])[:, None]  # [B, 1, S, S]
    share = torch.from_numpy(draw.shares).to(images.device)[:, None, None, None]
    is_cut = torch.from_numpy(draw.is_cut).to(images.device)[:, None, None, None]
    weight = torch.where(is_cut, (~inside).to(images.dtype), share.to(images.dtype))
    return weight * images + (1 - weight) * others


def mix_targets(labels: Tensor, draw: MixingDraw, rows: np.ndarray, num_classes: int) -> Tensor:
    """``λ·y + (1 − λ)·y′`` as probabilities [B, C].

    Args:
        labels: class index of every row of the store [N].
        draw: of the rows.
        rows: of the store [B].
        num_classes: C.
    """
    own = labels[torch.from_numpy(rows).to(labels.device)]
    other = labels[torch.from_numpy(draw.partners).to(labels.device)]
    share = torch.from_numpy(draw.shares).to(labels.device)[:, None]
    return share * F.one_hot(own, num_classes) + (1 - share) * F.one_hot(other, num_classes)
