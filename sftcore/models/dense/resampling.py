"""Bilinear upsampling whose gradient CUDA can compute deterministically.

torch's own refuses there where determinism is asked for, or takes a slow way around. Nearest
upsampling is not concerned: each number of its gradient is one thread's sum.
"""

import torch
from torch import Tensor


def upsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """What ``interpolate(x, size, mode="bilinear", align_corners=False)`` gives, to the last bits.

    A matrix product for each direction: places are the centres of pixels, and beyond the outermost
    centres the map goes on as it is there. A map is never made smaller.

    Args:
        x: [B, C, h, w].
        size: height and width of the result, at least h and w.

    Returns:
        [B, C, H, W], of the type of ``x``; ``x`` itself if it has this size already.
    """
    height, width = x.shape[2:]
    if (height, width) == size:
        return x
    with torch.autocast(x.device.type, enabled=False):  # weights are no products to be rounded
        rows, columns = _weights(height, size[0], x), _weights(width, size[1], x)
        return rows @ (x.contiguous() @ columns.T)


def _weights(length: int, longer: int, like: Tensor) -> Tensor:
    """What each of the new places takes of each old one, [longer, length]; rows sum to one.

    Raises:
        ValueError: fewer places are asked for.
    """
    if longer < length:
        raise ValueError(f"a map is not made smaller, from {length} to {longer}")
    new = torch.arange(longer, device=like.device, dtype=torch.float64)
    old = torch.arange(length, device=like.device, dtype=torch.float64)
    place = ((new + 0.5) * (length / longer) - 0.5).clamp(0, length - 1)
    return (1 - (place[:, None] - old).abs()).clamp(min=0).to(like.dtype)
