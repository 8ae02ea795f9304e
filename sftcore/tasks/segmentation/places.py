"""The places of a map: what is known of each, and how many pixels of each class it has.

A map of ``h × w`` places parts a picture evenly: pixel y of H lies in the row ``⌊y · h / H⌋``. So
lie the centres that :func:`sftcore.models.dense.resampling.upsample` starts from.
"""

import numpy as np
import torch
from torch import Tensor

from sftcore.foundations.masks import IGNORED
from sftcore.foundations.randomness import row_uniforms
from sftcore.models.dense.maps import Maps
from sftcore.models.dense.resampling import upsample

_FINEST_STRIDE = 16


def stacked_maps(maps: Maps) -> Tensor:
    """The maps from stride 16 on as one, the coarser ones upsampled to the finest of them.

    Args:
        maps: of N pictures; where all are finer than stride 16, the coarsest of them is taken.

    Returns:
        Float32 [N, D, h, w].
    """
    of = [tensor for stride, tensor in maps.items() if stride >= _FINEST_STRIDE]
    of = of or [maps.tensors[-1]]
    size = (of[0].shape[2], of[0].shape[3])
    return torch.cat([upsample(tensor.float(), size) for tensor in of], dim=1)


def class_counts(masks: np.ndarray, size: tuple[int, int], num_classes: int) -> np.ndarray:
    """Labelled pixels of each class in each place of a map.

    Args:
        masks: classes of the pixels [N, H, W], uint8; 255 is ignored.
        size: height and width of the map, at most H and W.
        num_classes: K.

    Returns:
        Float64 [N, h, w, K].
    """
    height, width = size
    row = np.arange(masks.shape[1]) * height // masks.shape[1]
    column = np.arange(masks.shape[2]) * width // masks.shape[2]
    place = row[:, None] * width + column
    counts = np.empty((len(masks), height * width * num_classes))
    for number, mask in enumerate(masks):
        is_labelled = mask != IGNORED
        cell = place[is_labelled] * num_classes + mask[is_labelled]
        counts[number] = np.bincount(cell, minlength=counts.shape[1])
    return counts.reshape(len(masks), height, width, num_classes)


def drawn_places(count: int, most: int) -> np.ndarray:
    """Numbers of some of so many places, drawn without replacement, ascending.

    The draw is that of every run: those with the smallest of random numbers that are a function of
    the place's number alone. Every k-th place would be the same columns of each map.

    Args:
        count: of the places.
        most: how many are taken; all, where there are no more.
    """
    if count <= most:
        return np.arange(count)
    luck = row_uniforms(0, "places", rows=np.arange(count), num=1)[:, 0]
    return np.sort(np.argsort(luck, kind="stable")[:most])
