"""A box and a class for every object on a picture, as a task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sftcore.metrics.detection import detection_scores
from sftcore.models.dense.box_loss import boxes_at, fcos_sum, giou_costs, num_foreground
from sftcore.models.dense.heads import level_sizes
from sftcore.models.dense.points import Assigned, assign, grid_points
from sftcore.models.dense.settings import BoxLossSettings
from sftcore.models.network import Network
from sftcore.models.settings import ModelSettings
from sftcore.tasks.contract import Criterion, Known, LossSettings, Task
from sftcore.tasks.detection.headline import HEADLINE
from sftcore.tasks.detection.records import (
    NO_DETECTION,
    box_rows,
    learnt_boxes,
    loss_per_point,
    matches_of,
)
from sftcore.tasks.names import BOXES
from sftcore.tasks.refusals import OF_ANNOTATED

NOTHING = "no_box"
_SCORES = {"average_precision": "average_precision", "average_precision_50": "ap50"}


@dataclass(frozen=True)
class BoxLoss:
    """The training loss of FCOS.

    Attributes:
        points: x, y and stride [P, 3].
        settings: of the terms.
    """

    points: Tensor
    settings: BoxLossSettings

    def __call__(self, output: Tensor, targets: Tensor, weight: float) -> Tensor:
        """See :class:`sftcore.tasks.contract.Criterion`."""
        return fcos_sum(output, learnt_boxes(targets), self.points, self.settings) / weight


class DetectionTask(Task):
    """Targets are boxes, float32 [N, M, 6]; see :mod:`sftcore.data.pictures.annotated`."""

    name = BOXES
    outputs = "classes"
    scores = ("average_precision", "average_precision_50")
    headline = HEADLINE
    words: ClassVar[Mapping[str, str]] = {
        "loss": "loss",
        "average_precision": "average precision",
        "average_precision_50": "average precision at IoU .5",
    }
    loss_unit = "per foreground point"
    loss_words = "plain focal, GIoU and centre-ness loss per foreground point"
    remainder = "1 minus average precision"
    simpler_rows = (NOTHING,)
    simpler_words = "no box at all"
    probe_words = "the head alone"
    solves_head = False
    most_measured = 128
    refuses: ClassVar[Mapping[str, str]] = OF_ANNOTATED | {
        "model.segmentation": "it is of masks",
        "train.pixel_loss": "it is of masks",
        "train.augmentation.copy_paste": "a box alone holds what is behind its object too, so the "
        "object cannot be laid elsewhere",
        "train.label_smoothing": "each class is a decision of its own, weighed by focal loss",
        "train.imbalance": "each class is a decision of its own at each point, weighed by focal "
        "loss; see train.box_loss",
    }

    def meet(
        self, network: Network, model: ModelSettings, loss: LossSettings, image_size: int
    ) -> None:
        """Take the points where the network's outputs are."""
        picture = torch.zeros(1, 3, image_size, image_size, device=self.device)
        with torch.no_grad():
            maps = network.eval().features(picture)
        self._side, self._decoding = image_size, model.detection.decoding
        self._loss = loss.box_loss
        self._sizes = level_sizes(network.head, maps)
        self._points = grid_points(self._sizes, self.device)

    def record(self) -> dict[str, Any]:
        """How outputs become boxes."""
        facts = {
            "names": list(self.names),
            "levels": {str(stride): list(size) for stride, size in self._sizes.items()},
            "decoding": self._decoding.model_dump(),
            "side": self._side,
        }
        return {"task": self.name, "facts": facts}

    def weight(self, targets: Tensor) -> float:
        """The foreground points."""
        return num_foreground(learnt_boxes(targets), self._points, self._loss)

    def criterion(self, settings: LossSettings) -> Criterion:
        """Focal loss, GIoU and centre-ness."""
        return BoxLoss(self._points, settings.box_loss)

    def kept(self, head: Callable[[Tensor], Tensor], features: Tensor, targets: Tensor) -> Tensor:
        """Detections and sums of the loss; see :mod:`sftcore.tasks.detection.records`."""
        return box_rows(
            head(features), targets, self._points, self._side, self._decoding, self._loss
        )

    def measure(self, output: Tensor, targets: Tensor) -> dict[str, float]:
        """The loss per foreground point, and COCO's average precision."""
        return self._measured(output.cpu().numpy(), targets.cpu().numpy())

    def row_values(self, output: Tensor, targets: Tensor, metric: str) -> Tensor:
        """Minus the picture's own loss; or F1 of its boxes at IoU .5, for every score.

        Boxes count from a score of .3 on; a picture without any, of truth and answer, is right.
        """
        if metric == "loss":
            last = output[:, -1].cpu()
            return -(last[:, :3].sum(dim=1) / last[:, 3].clamp(min=1))
        found = output[:, :-1].cpu().numpy()
        boxes = targets.cpu().numpy()
        shown = np.where((found[:, :, 4:5] >= _SHOWN_FROM), found, np.array(NO_DETECTION))
        matches = matches_of(shown, boxes, self.num_outputs)
        right = np.bincount(matches.picture, matches.outcome[:, 0, 0] == 1, minlength=len(found))
        given = np.bincount(matches.picture, matches.outcome[:, 0, 0] >= 0, minlength=len(found))
        total = given + matches.num_truths[:, :, 0].sum(axis=1)
        return torch.from_numpy(np.where(total > 0, 2 * right / np.maximum(total, 1), 1.0))

    def guessing_loss(self) -> float:
        """Of each class as likely as at a training point, the usual box, centre-ness of one half.

        The usual box of a level has the median distances of its foreground points.
        """
        targets = learnt_boxes(self.of(self.train_rows))
        assigned = assign(self._points, targets, self._loss.center_radius)
        classes = assigned.classes
        num = max(1, int((classes >= 0).sum()))
        total = _usual_boxes_cost(self._points, assigned)
        alpha, gamma = self._loss.focal_alpha, self._loss.focal_gamma
        for k in range(self.num_outputs):
            here = float((classes == k).sum())
            away = classes.numel() - here
            total += _least_focal(here, away, alpha, gamma)
        return total / num + float(np.log(2))

    def judged(
        self, output: np.ndarray, rows: np.ndarray, chosen: tuple[np.ndarray, np.ndarray] | None
    ) -> dict[str, float]:
        """The loss and the scores."""
        return self._measured(output, self.of(rows).cpu().numpy())

    def simpler(
        self, train: Known, val: Known, features: Tensor, rows: np.ndarray
    ) -> dict[str, dict[str, float]]:
        """No box: an average precision of 0, at the loss of guessing."""
        nothing = dict.fromkeys(self.scores, 0.0)
        return {NOTHING: {"loss": self.guessing_loss(), **nothing}}

    def _measured(self, output: np.ndarray, boxes: np.ndarray) -> dict[str, float]:
        found = detection_scores(matches_of(output[:, :-1], boxes, self.num_outputs))
        scores = {name: found[own] for name, own in _SCORES.items()}
        return {"loss": loss_per_point(output), **scores}


_SHOWN_FROM = 0.3
_GRID = np.linspace(1e-6, 1 - 1e-6, 20_001)


def _usual_boxes_cost(points: Tensor, assigned: Assigned) -> float:
    """The GIoU cost of one box for all foreground points of a level, summed over the levels."""
    mask = assigned.is_foreground
    own_points, boxes = points.expand(len(mask), -1, -1)[mask], assigned.boxes[mask]
    places = own_points[:, :2]
    sides = torch.cat([places - boxes[:, :2], boxes[:, 2:] - places], dim=1)
    total = 0.0
    for stride in own_points[:, 2].unique():
        of = own_points[:, 2] == stride
        usual = sides[of].median(dim=0).values.expand(int(of.sum()), 4)
        total += float(giou_costs(boxes_at(own_points[of], usual), boxes[of]).sum())
    return total


def _least_focal(here: float, away: float, alpha: float, gamma: float) -> float:
    """The least focal loss of one probability for all points, in nats."""
    costs = -alpha * here * (1 - _GRID) ** gamma * np.log(_GRID)
    costs -= (1 - alpha) * away * _GRID**gamma * np.log1p(-_GRID)
    return float(costs.min())
