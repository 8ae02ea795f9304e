"""What is kept of each picture: counts of its pixels, taken from its logits one after the other.

Neither masks nor probabilities of all pictures are ever held together: a picture's logits are
upsampled to its pixels, measured, and let go.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sftcore.metrics.binned_calibration import binned_calibration
from sftcore.metrics.boundary import boundary_counts, boundary_metrics
from sftcore.metrics.calibration import fit_temperature
from sftcore.metrics.pixel_calibration import (
    PixelCalibration,
    pixel_calibration,
    pixel_nll,
    pixel_sample,
)
from sftcore.metrics.records import joined
from sftcore.metrics.segmentation import (
    SegmentationMetrics,
    class_totals,
    confusion_counts,
    metrics_of_totals,
)
from sftcore.models.dense.resampling import upsample

Pictures = np.ndarray | Sequence[np.ndarray]  # an array for each picture
_SAMPLED_PIXELS = 100_000  # that the temperature is fitted on, all pictures together
_MOST_OF_A_PICTURE = 1000  # of those, as neighbours say the same


@dataclass(frozen=True)
class PictureRecords:
    """Of each picture, and the confusion of all of them.

    Attributes:
        totals: [N, 3, K], see :func:`sftcore.metrics.segmentation.class_totals`.
        boundary: [N, K, 4], see :func:`sftcore.metrics.boundary.boundary_counts`.
        calibration: of the pixels, N pictures.
        confusion: labelled pixels of all pictures by true and predicted class [K, K].
    """

    totals: np.ndarray
    boundary: np.ndarray
    calibration: PixelCalibration
    confusion: np.ndarray


@dataclass(frozen=True)
class PixelMetrics(SegmentationMetrics):
    """Values per weighting of the pictures.

    Attributes:
        nll: mean negative log-likelihood of a labelled pixel in nats, [W]; NaN without one.
        boundary_f1: mean over the classes that have a boundary, [W]; NaN where none has.
        class_boundary_f1: of each class, [W, K]; 0 where both precision and recall are.
        has_boundary: whether the class has one in truth or prediction, [W, K].
    """

    nll: np.ndarray
    boundary_f1: np.ndarray
    class_boundary_f1: np.ndarray
    has_boundary: np.ndarray


def pixel_logits(answer: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A picture's logits at its pixels.

    Args:
        answer: logits [K, h, w], of any stride.
        size: height and width of the picture.

    Returns:
        Float32 [K, H, W].
    """
    whole = torch.from_numpy(np.ascontiguousarray(answer, dtype=np.float32))[None]
    return upsample(whole, (size[0], size[1]))[0].numpy()


def predicted_mask(answer: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The most likely class of each pixel, the first of equals: uint8 [H, W]; see above."""
    return pixel_logits(answer, size).argmax(axis=0).astype(np.uint8)


def measure_pictures(answers: np.ndarray, masks: np.ndarray, num_bins: int) -> PictureRecords:
    """The records of pictures.

    Args:
        answers: logits [N, K, h, w], N of at least one.
        masks: true classes [N, S, S], uint8; 255 is ignored.
        num_bins: of the calibration error.
    """
    num_classes = answers.shape[1]
    totals, boundary, calibration = [], [], []
    confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
    for answer, mask in zip(answers, masks, strict=True):
        logits = pixel_logits(answer, mask.shape)
        found = logits.argmax(axis=0).astype(np.uint8)
        counts = confusion_counts([mask], [found], num_classes)
        confusion += counts[0]
        totals.append(class_totals(counts))
        boundary.append(boundary_counts([mask], [found], num_classes))
        calibration.append(pixel_calibration([logits], [mask], num_bins))
    return PictureRecords(
        np.concatenate(totals), np.concatenate(boundary), joined(calibration), confusion
    )


def calibration_at(
    answers: Pictures, masks: Pictures, temperature: float, num_bins: int
) -> PixelCalibration:
    """The records of pictures whose logits are divided by a temperature.

    Args:
        answers: logits [N, K, h, w].
        masks: true classes [N, S, S]; 255 is ignored.
        temperature: above 0.
        num_bins: of the calibration error.
    """
    return joined(
        [
            pixel_calibration([logits / np.float32(temperature)], [mask], num_bins)
            for logits, mask in _pictures(answers, masks)
        ]
    )


def pixel_temperature(answers: Pictures, masks: Pictures) -> tuple[float, int]:
    """The temperature with the least loss on a sample of pixels, and how many there are in it.

    The same number is drawn of each picture, and the same pixels in every run: all pictures
    together give about 100,000, and none more than 1,000. Without a labelled pixel it is 1.

    Args:
        answers: logits [N, K, h, w] of pictures that were not trained on, at least one.
        masks: true classes [N, S, S]; 255 is ignored.
    """
    of_each = int(np.clip(_SAMPLED_PIXELS // len(masks), 1, _MOST_OF_A_PICTURE))
    sampled = [
        pixel_sample(logits, mask, of_each, seed=0, row=row)
        for row, (logits, mask) in enumerate(_pictures(answers, masks))
    ]
    logits, labels = (np.concatenate(of) for of in zip(*sampled, strict=True))
    return (fit_temperature(logits, labels), len(labels)) if len(labels) else (1.0, 0)


def pixel_metrics(records: PictureRecords, weights: np.ndarray) -> PixelMetrics:
    """Every metric for every weighting of the pictures.

    Args:
        records: of N pictures.
        weights: picture counts [W, N].
    """
    boundary = boundary_metrics(records.boundary, weights)
    return PixelMetrics(
        **vars(metrics_of_totals(records.totals, weights)),
        nll=pixel_nll(records.calibration, weights),
        boundary_f1=boundary.mean_f1,
        class_boundary_f1=boundary.f1,
        has_boundary=boundary.occurs,
    )


def calibration_error(record: PixelCalibration) -> float:
    """Of all pixels together; NaN without any."""
    unit = np.ones((1, len(record.num_pixels)))
    return float(binned_calibration(record.histogram, unit).ece[0])


def own_metrics(records: PictureRecords) -> SegmentationMetrics:
    """Of each picture by itself: N weightings, of one picture each."""
    parts = [metrics_of_totals(of[None], np.ones((1, 1))) for of in records.totals]
    return joined(parts)


def _pictures(answers: Pictures, masks: Pictures) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Logits at the pixels and mask of each picture, one after the other."""
    for answer, mask in zip(answers, masks, strict=True):
        yield pixel_logits(answer, mask.shape), mask
