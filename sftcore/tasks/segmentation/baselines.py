"""Rows to beat of masks: what the frozen maps say without any fine-tuning.

As in :mod:`sftcore.tasks.classification.baselines`: trained on the training pictures, chosen on the
validation pictures; masks of the test pictures are not even arguments here. Answers are logits
[n, K, h, w] that are upsampled to the pixels, as those of the network are.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sftcore.foundations.errors import DataError
from sftcore.foundations.masks import IGNORED
from sftcore.metrics.rows_to_beat import Baseline
from sftcore.models.dense.maps import Maps
from sftcore.optimization.linear_head import STRENGTHS, LinearHead, choose_head
from sftcore.tasks.segmentation.places import class_counts, drawn_places, stacked_maps

MOST_FREQUENT = "most_frequent_class"
LINEAR_HEAD = "linear_head"

# Of the training pictures, and of the validation pictures: 432 numbers of each and nine classes
# take 20 seconds of one core. On data/scenes half as many places cost 0.006 of mean IoU.
_MOST_PLACES = 30_000
_MOST_NUMBERS = 1 << 24  # of those places together: 128 MiB in float64
_STRENGTHS = STRENGTHS[:-2]  # to 1e-5: each weaker one takes as long as all before it


def rows_to_beat(
    train: tuple[Maps, Tensor], val: tuple[Maps, Tensor], test: Maps, num_classes: int
) -> list[Baseline]:
    """The most frequent class, and a linear head on the frozen maps.

    Args:
        train: maps of the training pictures and their masks [N, S, S]; 255 is ignored.
        val: likewise, of V pictures.
        test: maps of T pictures.
        num_classes: K.

    Raises:
        DataError: no pixel of a training or of a validation picture is labelled.
    """
    return [
        most_frequent_class(train[1], num_classes, len(val[1]), len(test)),
        linear_head(train, val, test, num_classes),
    ]


def most_frequent_class(masks: Tensor, num_classes: int, num_val: int, num_test: int) -> Baseline:
    """Log-frequencies of the classes among the labelled training pixels, at every pixel.

    Half a pixel more of each class (Krichevsky and Trofimov, 1981, The performance of universal
    encoding) keeps the loss finite for a class that no training picture shows.

    Args:
        masks: of the training pictures [N, S, S]; 255 is ignored.
        num_classes: K.
        num_val: V.
        num_test: T.
    """
    pixels = masks.cpu().numpy().ravel()
    counts = np.bincount(pixels[pixels != IGNORED], minlength=num_classes) + 0.5
    row = np.log(counts / counts.sum()).astype(np.float32)[None, :, None, None]
    return Baseline(MOST_FREQUENT, {}, row.repeat(num_val, axis=0), row.repeat(num_test, axis=0))


def linear_head(
    train: tuple[Maps, Tensor], val: tuple[Maps, Tensor], test: Maps, num_classes: int
) -> Baseline:
    """Multinomial logistic regression on what the frozen maps say of each place.

    A place of the map of stride 16 has the numbers of this map and, upsampled, those of the coarser
    ones. Its target is the share of each class among its labelled pixels, and it weighs as many
    pixels as are labelled: the loss is the mean cross-entropy of a labelled pixel whose logits are
    its place's. Validation loss chooses the strength. Of more than 30,000 places so many are drawn,
    fewer where each has many numbers, see
    :func:`sftcore.tasks.segmentation.places.drawn_places`.

    Args:
        train: maps of the training pictures and their masks [N, S, S]; 255 is ignored.
        val: likewise, of V pictures.
        test: maps of T pictures.
        num_classes: K.

    Returns:
        Logits at stride 16.

    Raises:
        DataError: no pixel of a training or of a validation picture is labelled.
    """
    learnt = _places(*train, num_classes, "train")
    judging = _places(*val, num_classes, "val")
    chosen = choose_head(
        learnt.features,
        learnt.loss,
        lambda head: float(judging.loss(head.logits(judging.features))),
        num_classes,
        _STRENGTHS,
    )
    of_both = [_logits(chosen, of) for of in (val[0], test)]
    return Baseline(LINEAR_HEAD, {"strength": chosen.strength}, *of_both)


@dataclass(frozen=True)
class _Places:
    """Places with labelled pixels.

    Attributes:
        features: [P, D].
        weights: of each class, [P, K]; they sum to one over all.
    """

    features: Tensor
    weights: Tensor

    def loss(self, logits: Tensor) -> Tensor:
        """Mean cross-entropy of a labelled pixel, of the places' logits [P, K]."""
        return -(self.weights * logits.log_softmax(dim=1)).sum()


def _places(maps: Maps, masks: Tensor, num_classes: int, split: str) -> _Places:
    features = stacked_maps(maps)
    _, depth, height, width = features.shape
    counts = class_counts(masks.cpu().numpy(), (height, width), num_classes).reshape(
        -1, num_classes
    )
    labelled = np.flatnonzero(counts.sum(axis=1))
    if not len(labelled):
        raise DataError(
            f"no pixel of the {split} pictures is labelled, so there is nothing to learn from: "
            "look at data/prepared/annotations.csv"
        )
    chosen = labelled[drawn_places(len(labelled), min(_MOST_PLACES, _MOST_NUMBERS // depth))]
    rows = torch.from_numpy(chosen).to(features.device)
    weights = torch.from_numpy(counts[chosen] / counts[chosen].sum()).to(features.device)
    picture, place = rows // (height * width), rows % (height * width)
    return _Places(features[picture, :, place // width, place % width], weights)


def _logits(head: LinearHead, maps: Maps) -> np.ndarray:
    """Float32 [n, K, h, w], picture by picture."""
    of_places = stacked_maps(maps)
    found = [head.logits(of.flatten(1).T).T.unflatten(1, of.shape[1:]) for of in of_places]
    return torch.stack(found).float().cpu().numpy()
