"""A detector that is linear in the maps of a frozen network, found and not approached.

The points and what they stand for are those of :mod:`sftcore.models.dense.points`, with centres
within 1.5 strides. Each level has its own weights:

- *classes*: a logistic regression for each class against all else, from the map at the point. Its
  loss is divided by the points that stand for a box, as that of FCOS is, and validation chooses one
  strength for all classes of the level.
- *sides*: the logarithms of the four distances, in strides, by ridge regression at the points that
  stand for a box; the error on validation chooses the strength.

There is no centre-ness. A level whose training points stand for no box gives none.

**Background.** Nearly all points are background, so part of it is enough: of the background points
of a level, in the order of pictures and points, number i is kept where the fractional part of
i·(√5 − 1)/2 is below the rate, and counts 1/rate times. The rate leaves about ten background points
for each that stands for a box. (Weights keep the intercepts right: King and Zeng, 2001, Logistic
regression in rare events data, section 4.2. The sequence spreads evenly and goes with no width of a
grid: Kuipers and Niederreiter, 1974, Uniform distribution of sequences, chapter 2, section 3.)
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sftcore.models.dense.decoding import Detections, decode
from sftcore.models.dense.maps import Maps, take
from sftcore.models.dense.points import Assigned, assign, grid_points
from sftcore.models.dense.settings import BoxLossSettings, DecodingSettings
from sftcore.optimization.linear_head import LinearHead, choose_head
from sftcore.tasks.detection.boxes import padded
from sftcore.tasks.regression.baselines import STRENGTHS, ridge_path

_CENTER_RADIUS = BoxLossSettings().center_radius
_BACKGROUND_POINTS = 10  # for each point that stands for a box
_CERTAIN = 50.0  # a logit whose probability is 1 in double precision
_PICTURES_AT_ONCE = 32
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Level:
    """The weights of one level.

    Attributes:
        classes: K logits of a point.
        sides: logarithms of the four distances in strides.
    """

    classes: LinearHead
    sides: LinearHead


@dataclass(frozen=True)
class LinearDetector:
    """Fitted weights.

    Attributes:
        levels: by stride, of those levels that have any.
        num_classes: K.
    """

    levels: Mapping[int, Level]
    num_classes: int

    @property
    def settings(self) -> dict[str, float]:
        """The strengths that validation chose."""
        chosen = {}
        for stride, level in self.levels.items():
            chosen[f"class_strength_{stride}"] = level.classes.strength
            chosen[f"side_strength_{stride}"] = level.sides.strength
        return chosen

    def outputs(self, maps: Maps) -> Tensor:
        """At the points of the fitted levels K logits, four distances in pixels, certainty.

        Args:
            maps: of B pictures.

        Returns:
            float64 [B, P, K + 5], as :func:`sftcore.models.dense.decoding.decode` takes it.
        """
        found = []
        for stride, level in self.levels.items():
            features = _by_point(maps[stride])
            logits = level.classes.logits(features)
            sides = stride * level.sides.logits(features).exp()
            certain = torch.full_like(logits[..., :1], _CERTAIN)
            found.append(torch.cat([logits, sides, certain], dim=2))
        return torch.cat(found, dim=1)

    def answers(self, maps: Maps, size: tuple[int, int], decoding: DecodingSettings) -> Tensor:
        """The boxes of pictures, float32 [N, D, 6].

        Args:
            maps: of the pictures.
            size: height and width of the pictures in pixels.
            decoding: which boxes are given.
        """
        if not self.levels:
            return padded([_nothing()] * len(maps), decoding.max_detections)
        sizes = {stride: maps.sizes[stride] for stride in self.levels}
        points, found = grid_points(sizes, maps.device), []
        for start in range(0, len(maps), _PICTURES_AT_ONCE):
            part = take(maps, slice(start, start + _PICTURES_AT_ONCE))
            found += decode(self.outputs(part), points, size, decoding)
        return padded(found, decoding.max_detections)


@dataclass(frozen=True)
class _Points:
    """Some points of a level.

    Attributes:
        features: of the map there [n, C].
        classes: one-hot [n, K]; zeros for background.
        weights: how many points each stands for [n].
        own: the features of those that stand for a box [f, C].
        sides: logarithms of their distances in strides [f, 4].
    """

    features: Tensor
    classes: Tensor
    weights: Tensor
    own: Tensor
    sides: Tensor


def fit_detector(
    train: tuple[Maps, Tensor], val: tuple[Maps, Tensor], num_classes: int
) -> LinearDetector:
    """The detector, with the strengths that validation chooses.

    Args:
        train: maps and boxes [N, M, 5] of the training pictures.
        val: likewise of the validation pictures.
        num_classes: K.
    """
    of_train, of_val = (_level_points(*of, num_classes) for of in (train, val))
    levels = {
        stride: Level(_fit_classes(own, of_val[stride]), _fit_sides(own, of_val[stride]))
        for stride, own in of_train.items()
        if len(own.own)
    }
    return LinearDetector(levels, num_classes)


def kept_background(num: int, rate: float) -> np.ndarray:
    """Whether each background point of a level is kept, bool [num].

    Args:
        num: of the points, in the order of pictures and points.
        rate: part of them that is kept, about.
    """
    return np.mod(np.arange(num) * _GOLDEN, 1.0) < rate


def _level_points(maps: Maps, boxes: Tensor, num_classes: int) -> dict[int, _Points]:
    points = grid_points(maps.sizes, maps.device)
    assigned, start, found = assign(points, boxes, _CENTER_RADIUS), 0, {}
    for stride, level in maps.items():
        end = start + level.shape[2] * level.shape[3]
        own = Assigned(assigned.classes[:, start:end], assigned.boxes[:, start:end])
        found[stride] = _chosen_points(level, points[start:end], own, num_classes)
        start = end
    return found


def _chosen_points(level: Tensor, points: Tensor, own: Assigned, num_classes: int) -> _Points:
    features, classes = _by_point(level).flatten(0, 1), own.classes.flatten()
    is_foreground = classes >= 0
    background = (~is_foreground).nonzero()[:, 0]
    foreground = is_foreground.nonzero()[:, 0]
    wanted = _BACKGROUND_POINTS * max(1, len(foreground))
    rate = min(1.0, wanted / max(1, len(background)))
    is_kept = torch.from_numpy(kept_background(len(background), rate)).to(background.device)
    rows = torch.cat([foreground, background[is_kept]])
    weights = torch.ones(len(rows), dtype=torch.float64, device=rows.device)
    weights[len(foreground) :] = 1 / rate
    numbers = torch.arange(num_classes, device=rows.device)
    place = points.repeat(len(own.classes), 1)[foreground].double()
    boxes = own.boxes.flatten(0, 1)[foreground].double()
    sides = torch.cat([place[:, :2] - boxes[:, :2], boxes[:, 2:] - place[:, :2]], dim=1)
    return _Points(
        features=features[rows],
        classes=(classes[rows][:, None] == numbers).double(),
        weights=weights,
        own=features[foreground],
        sides=(sides / place[:, 2:]).log(),
    )


def _fit_classes(own: _Points, val: _Points) -> LinearHead:
    def loss(logits: Tensor, of: _Points) -> Tensor:
        costs = F.binary_cross_entropy_with_logits(logits, of.classes, reduction="none")
        return (costs.sum(dim=1) * of.weights).sum() / max(1, len(of.own))

    return choose_head(
        own.features,
        lambda logits: loss(logits, own),
        lambda head: float(loss(head.logits(val.features), val)),
        own.classes.shape[1],
    )


def _fit_sides(own: _Points, val: _Points) -> LinearHead:
    path = ridge_path(own.own, own.sides, STRENGTHS)
    errors = [float((head.logits(val.own) - val.sides).square().sum()) for head in path]
    return path[min(range(len(path)), key=errors.__getitem__)]


def _nothing() -> Detections:
    return Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))


def _by_point(level: Tensor) -> Tensor:
    """[B, C, H, W] to [B, H·W, C]."""
    return level.flatten(2).transpose(1, 2)
