"""Calibration from histograms of confidence, for many weightings of the pictures at once.

Where a picture holds many answers (pixels, boxes), it is kept as a histogram: for each bin of
confidence how many answers, how many of them right, and the sum of their confidences. Errors and
curves follow from weighted sums of these.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sftcore.foundations.randomness import numpy_stream
from sftcore.metrics.calibration import PerfectCalibration
from sftcore.metrics.classification import confidence_bins
from sftcore.metrics.weighted import ratio

COLUMNS = ("count", "num_right", "confidence_sum")
_CHUNK_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class BinnedCalibration:
    """Values per weighting.

    Attributes:
        ece: ``Σ_b |B_b|/n · |right(B_b) − confidence(B_b)|``, [W]; NaN without any answer.
        frequency: part of the bin's answers that are right, [W, B]; 0 in an empty bin.
        confidence: mean of the bin, [W, B]; 0 in an empty bin.
        is_filled: whether the bin has an answer, [W, B].
    """

    ece: np.ndarray
    frequency: np.ndarray
    confidence: np.ndarray
    is_filled: np.ndarray


def confidence_histograms(
    picture: np.ndarray,
    confidence: np.ndarray,
    is_right: np.ndarray,
    num_pictures: int,
    num_bins: int,
) -> np.ndarray:
    """The histogram of each picture.

    Args:
        picture: number of each answer's picture [M], below N.
        confidence: [M], in [0, 1].
        is_right: bool [M].
        num_pictures: N.
        num_bins: B, of equal width (low, high]; see
            :func:`sftcore.metrics.classification.confidence_bins`.

    Returns:
        float64 [N, B, 3]: count, number right, sum of the confidences.
    """
    place = picture * num_bins + confidence_bins(confidence, num_bins)
    size = num_pictures * num_bins
    # Sums in float64, whatever the network's numbers are.
    of_answers = np.ones(len(place)), is_right.astype(float), confidence.astype(float)
    sums = [np.bincount(place, values, size) for values in of_answers]
    return np.stack(sums, axis=-1).reshape(num_pictures, num_bins, 3)


def binned_calibration(histograms: np.ndarray, weights: np.ndarray) -> BinnedCalibration:
    """Calibration error and curve for every weighting of the pictures.

    (Guo et al., 2017, On calibration of modern neural networks, eq. 3.)

    Args:
        histograms: of each picture [N, B, 3], see :func:`confidence_histograms`.
        weights: picture counts [W, N].
    """
    count, num_right, confidence = np.moveaxis(np.einsum("wn,nbc->wbc", weights, histograms), -1, 0)
    total, gap = count.sum(axis=1), np.abs(num_right - confidence).sum(axis=1)
    return BinnedCalibration(
        ece=np.divide(gap, total, out=np.full(len(weights), np.nan), where=total > 0),
        frequency=ratio(num_right, count),
        confidence=ratio(confidence, count),
        is_filled=count > 0,
    )


def reliability_curve(histograms: np.ndarray) -> pd.DataFrame:
    """How often answers are right against their confidence, over all pictures.

    Args:
        histograms: of each picture [N, B, 3].

    Returns:
        Columns low, high, count, confidence (mean) and frequency; a row for each filled bin.
    """
    num_bins = histograms.shape[1]
    found = binned_calibration(histograms, np.ones((1, len(histograms))))
    number = np.arange(num_bins)
    table = pd.DataFrame(
        {
            "low": number / num_bins,
            "high": (number + 1) / num_bins,
            "count": histograms[..., 0].sum(axis=0).astype(np.int64),
            "confidence": found.confidence[0],
            "frequency": found.frequency[0],
        }
    )
    return table[found.is_filled[0]].reset_index(drop=True)


def perfect_binned_calibration(
    histograms: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    num_resamples: int,
    confidence: float,
    seed: int,
    purpose: str,
) -> PerfectCalibration:
    """The calibration error if answers were right as often as their confidences say.

    Answers of one picture are right or wrong together, so their number says little of luck. What a
    group of pictures has too many right in each bin, ``right − confidence``, has the mean 0 if the
    model is perfectly calibrated, and its own size says how much luck there is in it: each group's
    excess is taken with a random sign (the wild bootstrap with the null imposed, by clusters:
    Cameron, Gelbach and Miller, 2008, Bootstrap-based improvements for inference with clustered
    errors, section III.C). Excesses of a model that is not calibrated are larger than luck, so the
    bound is too high for it rather than too low.

    Args:
        histograms: of each picture [N, B, 3].
        groups: name of each picture's group [N].
        num_resamples: sets of signs drawn.
        confidence: of the upper bound.
        seed: of the run.
        purpose: names the stream.

    Returns:
        Both NaN without any answer.
    """
    numbers, names = pd.factorize(np.asarray(groups))
    count, num_right, claimed = np.moveaxis(histograms, -1, 0)
    excess = np.zeros((len(names), histograms.shape[1]))
    np.add.at(excess, numbers, num_right - claimed)
    total = count.sum()
    if not total:
        return PerfectCalibration(float("nan"), float("nan"))
    stream = numpy_stream(seed, "consistency", purpose)
    at_once, errors = max(1, _CHUNK_ELEMENTS // len(names)), []
    for start in range(0, num_resamples, at_once):
        size = (min(at_once, num_resamples - start), len(names))
        signs = 2.0 * stream.integers(0, 2, size=size) - 1
        errors.append(np.abs(signs @ excess).sum(axis=1) / total)
    drawn = np.concatenate(errors)
    return PerfectCalibration(float(drawn.mean()), float(np.quantile(drawn, confidence)))
