"""What a picture's pixel probabilities are worth, and the pixels that a temperature is fitted on.

Only sums are kept of a picture. :func:`sftcore.metrics.calibration.fit_temperature` takes rows of
logits, so it serves pixels too, and a sample of them is enough for its single parameter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from sftcore.foundations.masks import IGNORED
from sftcore.foundations.randomness import row_uniforms
from sftcore.metrics.binned_calibration import confidence_histograms
from sftcore.metrics.segmentation import judged


@dataclass(frozen=True)
class PixelCalibration:
    """Of each picture.

    Attributes:
        histogram: of the pixels' confidences [N, B, 3], see
            :func:`sftcore.metrics.binned_calibration.binned_calibration`.
        nll_sum: negative log-likelihood of all judged pixels together, in nats, [N].
        num_pixels: judged pixels, int64 [N].
    """

    histogram: np.ndarray
    nll_sum: np.ndarray
    num_pixels: np.ndarray


def pixel_calibration(
    logits: Sequence[np.ndarray], truths: Sequence[np.ndarray], num_bins: int
) -> PixelCalibration:
    """The record of each picture; join those of batches by :func:`sftcore.metrics.records.joined`.

    Args:
        logits: [K, H, W] for each picture, already divided by a temperature if there is one;
            log-probabilities will do.
        truths: a mask [H, W] of class indices for each picture; 255 is ignored.
        num_bins: of confidence.

    Raises:
        ValueError: shapes differ, a class is none of K, or a logit is NaN.
    """
    histograms, nll, count = [np.zeros((0, num_bins, 3))], [], []
    for of_picture, truth in zip(logits, truths, strict=True):
        rows, labels = _judged_rows(of_picture, truth)
        log_p = log_softmax(rows.astype(float), axis=1)
        first, is_right = np.zeros(len(labels), dtype=np.int64), log_p.argmax(axis=1) == labels
        confidence = np.exp(log_p.max(axis=1))
        histograms.append(confidence_histograms(first, confidence, is_right, 1, num_bins))
        nll.append(-log_p[np.arange(len(labels)), labels].sum())
        count.append(len(labels))
    return PixelCalibration(
        np.concatenate(histograms), np.array(nll, dtype=float), np.array(count, dtype=np.int64)
    )


def pixel_nll(record: PixelCalibration, weights: np.ndarray) -> np.ndarray:
    """Mean negative log-likelihood of a judged pixel, in nats, [W]; NaN without one.

    Args:
        record: of the pictures.
        weights: picture counts [W, N].
    """
    total = weights @ record.num_pixels
    return np.divide(
        weights @ record.nll_sum, total, out=np.full(len(weights), np.nan), where=total > 0
    )


def pixel_sample(
    logits: np.ndarray, truth: np.ndarray, num_pixels: int, *, seed: int, row: int
) -> tuple[np.ndarray, np.ndarray]:
    """Logits and classes of some judged pixels of a picture, drawn without replacement.

    Args:
        logits: [K, H, W].
        truth: mask [H, W]; 255 is ignored.
        num_pixels: how many, or all where there are fewer.
        seed: of the run.
        row: number of the picture; the draw is a function of (seed, row).

    Returns:
        [n, K] and int64 [n], in the order of the pixels.

    Raises:
        ValueError: shapes differ, a class is none of K, or a logit is NaN.
    """
    rows, labels = _judged_rows(logits, truth)
    luck = row_uniforms(seed, "pixel sample", rows=np.array([row]), num=len(labels))[0]
    drawn = np.sort(np.argsort(luck, kind="stable")[:num_pixels])
    return rows[drawn], labels[drawn]


def _judged_rows(logits: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits [P, K] and classes [P] of the pixels that are not ignored."""
    if logits.ndim != 3 or logits.shape[1:] != truth.shape:
        raise ValueError(f"logits are {logits.shape}, not [K, H, W] of the mask {truth.shape}")
    if np.isnan(logits).any():
        raise ValueError("a logit is not a number: such a network predicts nothing")
    labels, _ = judged(truth, np.zeros_like(truth), len(logits))
    return logits[:, truth != IGNORED].T, labels
