"""What is kept of a picture for measuring: sums over its pixels, one row of numbers.

Columns: the confusion counts [K, K] of true × predicted class, a histogram of confidence
[B, 3] (:mod:`sftcore.metrics.binned_calibration`), the cross-entropy in nats, labelled pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sftcore.foundations.masks import IGNORED
from sftcore.metrics.binned_calibration import binned_calibration
from sftcore.metrics.segmentation import segmentation_scores
from sftcore.models.dense.resampling import upsample

NUM_BINS = 15
_AT_ONCE = 8  # pictures of which whole maps of probabilities are held


@dataclass(frozen=True)
class PixelSums:
    """Sums over the pixels of each picture.

    Attributes:
        confusion: true × predicted class [N, K, K].
        histogram: count, number right and sum of confidence by bin [N, B, 3].
        loss: cross-entropy in nats [N].
        num_pixels: that have a class [N].
    """

    confusion: np.ndarray
    histogram: np.ndarray
    loss: np.ndarray
    num_pixels: np.ndarray

    @property
    def mean_loss(self) -> float:
        """Nats per labelled pixel of all pictures; NaN without one."""
        total = self.num_pixels.sum()
        return float(self.loss.sum() / total) if total else float("nan")

    def scores(self) -> dict[str, float]:
        """Of all pictures; see :func:`sftcore.metrics.segmentation.segmentation_scores`."""
        return segmentation_scores(self.confusion)

    def calibration_error(self) -> float:
        """Expected calibration error of the pixels."""
        return float(binned_calibration(self.histogram, np.ones((1, len(self.loss)))).ece[0])


@torch.no_grad()
def pixel_rows(logits: Tensor, masks: Tensor) -> Tensor:
    """The row of each picture, float64 [B, K² + 3·B + 2].

    Args:
        logits: [B, K, h, w]; they are upsampled to the masks.
        masks: [B, S, S]; 255 is ignored.
    """
    parts = zip(logits.split(_AT_ONCE), masks.split(_AT_ONCE), strict=True)
    return torch.cat([_rows(*part) for part in parts])


def _rows(logits: Tensor, masks: Tensor) -> Tensor:
    log_p = upsample(logits.float(), (masks.shape[1], masks.shape[2])).log_softmax(dim=1)
    count, num_classes = log_p.shape[:2]
    is_known = masks != IGNORED
    own = log_p.gather(1, masks.masked_fill(~is_known, 0)[:, None].long())[:, 0]
    loss = -(own.double() * is_known).sum(dim=(1, 2))
    confidence, found = log_p.max(dim=1)
    confidence = confidence.exp()
    picture = torch.arange(count, device=masks.device)[:, None, None].expand_as(masks)[is_known]
    true, found, confidence = masks[is_known].long(), found[is_known], confidence[is_known].double()
    size = num_classes**2
    place = picture * size + true * num_classes + found
    confusion = torch.bincount(place, minlength=count * size).view(count, size)
    bins = (torch.ceil(confidence * NUM_BINS).long() - 1).clamp(0, NUM_BINS - 1)
    place = picture * NUM_BINS + bins
    empty = torch.zeros(count * NUM_BINS, dtype=torch.float64, device=masks.device)
    sums = [  # weighted counts would do, but CUDA has no deterministic ones
        empty.index_add(0, place, values)
        for values in (torch.ones_like(confidence), (true == found).double(), confidence)
    ]
    histogram = torch.stack(sums, dim=1).view(count, NUM_BINS * 3)  # bin by bin
    num_pixels = is_known.sum(dim=(1, 2))
    ends = torch.stack([loss, num_pixels.double()], dim=1)
    return torch.cat([confusion.double(), histogram, ends], dim=1)


def read_rows(rows: np.ndarray, num_classes: int) -> PixelSums:
    """The sums of rows.

    Args:
        rows: of :func:`pixel_rows` [N, ...].
        num_classes: K.
    """
    confusion, histogram, ends = np.split(rows, [num_classes**2, rows.shape[1] - 2], axis=1)
    return PixelSums(
        confusion.reshape(-1, num_classes, num_classes).astype(np.int64),
        histogram.reshape(-1, NUM_BINS, 3),
        ends[:, 0],
        ends[:, 1].astype(np.int64),
    )


def constant_rows(masks: np.ndarray, frequencies: np.ndarray, wanted: int) -> np.ndarray:
    """The rows of an answer that is the same at every pixel.

    Args:
        masks: [N, S, S].
        frequencies: probabilities that are given [K].
        wanted: class that is named.
    """
    num_classes = len(frequencies)
    counts = np.stack([np.bincount(of[of != IGNORED], minlength=num_classes) for of in masks])
    confusion = np.zeros((len(masks), num_classes, num_classes))
    confusion[:, :, wanted] = counts
    total, confidence = counts.sum(axis=1), float(frequencies[wanted])
    histogram = np.zeros((len(masks), NUM_BINS, 3))
    place = int(np.clip(np.ceil(confidence * NUM_BINS) - 1, 0, NUM_BINS - 1))
    histogram[:, place] = np.stack([total, counts[:, wanted], confidence * total], axis=1)
    loss = -(counts * np.log(frequencies)).sum(axis=1)
    flat = [of.reshape(len(masks), -1) for of in (confusion, histogram)]
    return np.concatenate([*flat, loss[:, None], total[:, None]], axis=1)
