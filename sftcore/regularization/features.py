"""Penalties on what the network computes: distance from the source's maps, small singular values.

Source here means the pretrained network as it was before fine-tuning.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sftcore.foundations.settings import Coefficient, Settings, setting


class FeatureSettings(Settings):
    """Penalties on what the network computes; 0 is off."""

    delta: Coefficient = setting(
        0.0, "lambda on the distance of feature maps from the pretrained ones"
    )
    bss: Coefficient = setting(
        0.0, "lambda on the smallest squared singular value of a batch's features"
    )
    co_tuning: Coefficient = setting(
        0.0, "lambda on the loss of the pretrained classifier (Co-Tuning)"
    )


def delta_penalty(maps: Sequence[Tensor], source_maps: Sequence[Tensor]) -> Tensor:
    """How far the feature maps have moved from those of the source, for the same pictures.

    ``Σ_j mean((FM_j(θ, x) − FM_j(θ₀, x))²)`` over the outputs j of the trained blocks (Li et al.,
    2019, DELTA: deep learning transfer using feature map with attention, eq. 4, with equal weights
    for all channels). Means instead of sums make one coefficient fit maps of every size.

    Args:
        maps: of the network, each [B, ...].
        source_maps: of the source, of the same shapes; no gradient flows into them.

    Returns:
        A scalar; zero for no maps.
    """
    pairs = zip(maps, source_maps, strict=True)
    terms = [(ours - theirs.detach()).square().mean() for ours, theirs in pairs]
    return torch.stack(terms).sum() if terms else torch.zeros(())


def bss_penalty(features: Tensor, num_values: int = 1) -> Tensor:
    """Sum of squares of the smallest singular values of a batch of features: ``Σ_{i≤k} σ₋ᵢ²``.

    Batch spectral shrinkage suppresses directions that carry nothing of the task (Chen et al.,
    2019, Catastrophic forgetting meets negative transfer, eq. 5; k = 1 and λ = 0.001 there).

    Args:
        features: before the head, [B, D].
        num_values: k.
    """
    return torch.linalg.svdvals(features)[-num_values:].square().sum()
