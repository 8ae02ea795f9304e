"""Basic augmentation as a pure function of the pictures and uniform random numbers."""

import math
from typing import TYPE_CHECKING

import numpy as np

from sftcore.randomness import numpy_stream

if TYPE_CHECKING:
    import torch

NUM_UNIFORMS = 8  # flip, angle, scale, shift x, shift y, brightness, contrast, saturation
MAX_ANGLE_DEGREES = 20.0
MAX_SCALE_CHANGE = 0.25
MAX_SHIFT_FRACTION = 0.15
MAX_COLOUR_CHANGE = 0.4


def epoch_uniforms(num_samples: int, seed: int, epoch: int) -> np.ndarray:
    """The numbers that decide how each picture is changed in one epoch.

    Args:
        num_samples: rows of the store, so that a row's numbers do not depend on the batch order.
        seed: the run's seed.
        epoch: counted from 0.

    Returns:
        Uniform numbers in [0, 1), float32, [num_samples, NUM_UNIFORMS].
    """
    stream = numpy_stream(seed, "augmentation", epoch)
    return stream.random((num_samples, NUM_UNIFORMS), dtype=np.float32)


def augment(
    images: "torch.Tensor",
    uniforms: "torch.Tensor",
    strength: float,
    background: "torch.Tensor",
) -> "torch.Tensor":
    """Flip, turn, zoom, shift and recolour each picture by its own numbers.

    At ``strength`` s an angle is drawn from ±20°·s, a scale from 1 ± 0.25·s, a shift from
    ±0.15·s of the side, brightness, contrast and saturation factors from 1 ± 0.4·s; a mirror
    image is taken with probability s/2. At s = 0 the pictures are returned as they are.

    Args:
        images: [B, 3, S, S], float in [0, 1].
        uniforms: [B, NUM_UNIFORMS] in [0, 1).
        strength: one dial from 0 (off) to 1.
        background: [3], colour in [0, 1] that fills what turning and shifting uncover.

    Returns:
        [B, 3, S, S], float in [0, 1].
    """
    import torch
    import torch.nn.functional as F

    if strength == 0:
        return images
    centred = (2 * uniforms - 1) * strength  # [B, K] in ±strength
    mirror = torch.where(uniforms[:, 0] < strength / 2, -1.0, 1.0)
    angle = centred[:, 1] * math.radians(MAX_ANGLE_DEGREES)
    scale = 1 + centred[:, 2] * MAX_SCALE_CHANGE
    shift = 2 * centred[:, 3:5] * MAX_SHIFT_FRACTION  # in units of half a side
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    rows = [mirror * cos, -sin, shift[:, 0], mirror * sin, cos, shift[:, 1]]
    theta = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    # Sampling pads with zeros: shift the colours so that zero means background.
    offset = background.view(1, 3, 1, 1)
    turned = F.grid_sample(images - offset, grid, align_corners=False) + offset
    return _recolour(turned, 1 + centred[:, 5:8] * MAX_COLOUR_CHANGE)


def _recolour(images: "torch.Tensor", factors: "torch.Tensor") -> "torch.Tensor":
    """Scale brightness, contrast and saturation by ``factors`` [B, 3]."""
    brightness, contrast, saturation = factors.view(-1, 3, 1, 1, 1).unbind(dim=1)
    images = images * brightness
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean + (images - mean) * contrast
    grey = images.mean(dim=1, keepdim=True)
    return (grey + (images - grey) * saturation).clamp(0, 1)
