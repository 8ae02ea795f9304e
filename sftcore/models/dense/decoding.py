"""What a detector's outputs mean: the boxes of each picture, the most certain first."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sftcore.models.dense.box_loss import boxes_at
from sftcore.models.dense.settings import DecodingSettings


@dataclass(frozen=True)
class Detections:
    """The boxes of a picture, the most certain first.

    Attributes:
        boxes: left, upper, right and lower side in pixels, float32 [N, 4].
        scores: probability of the class times centre-ness, float32 [N].
        classes: int64 [N].
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor


@torch.no_grad()
def decode(
    output: Tensor, points: Tensor, size: tuple[int, int], settings: DecodingSettings
) -> list[Detections]:
    """The boxes of each picture (Tian et al., 2019, FCOS, section 3.3).

    Of boxes with equal scores that of the finer level comes first, then that of the earlier point,
    then that of the lower class.

    Args:
        output: [B, P, K + 5]; see :class:`sftcore.models.dense.detection.DetectionHead`.
        points: x, y and stride [P, 3], the finest level first.
        size: height and width of the pictures in pixels, which boxes are clipped to.
        settings: which boxes are given.
    """
    return [_decode_one(rows, points, size, settings) for rows in output.double()]


def _decode_one(
    rows: Tensor, points: Tensor, size: tuple[int, int], settings: DecodingSettings
) -> Detections:
    from torchvision.ops import batched_nms, clip_boxes_to_image

    probabilities = rows[:, :-5].sigmoid()
    scores = (probabilities * rows[:, -1:].sigmoid()).flatten()
    chosen = _candidates(probabilities, scores, points[:, 2], settings)
    place = chosen // probabilities.shape[1]
    boxes = clip_boxes_to_image(boxes_at(points[place].double(), rows[place, -5:-1]), size)
    is_seen = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)  # cells may lie beyond the border
    chosen, boxes = chosen[is_seen], boxes[is_seen]
    classes = chosen % probabilities.shape[1]
    # By rank and in double precision: no two are equal, and classes are moved apart exactly.
    ranks = -torch.arange(len(chosen), device=rows.device, dtype=torch.float64)
    kept = batched_nms(boxes, ranks, classes, settings.nms_iou)[: settings.max_detections]
    return Detections(boxes[kept].float(), scores[chosen[kept]].float(), classes[kept])


def _candidates(
    probabilities: Tensor, scores: Tensor, strides: Tensor, settings: DecodingSettings
) -> Tensor:
    """Places among [P·K] of the best boxes of each level, the best first."""
    is_candidate = probabilities > settings.score_threshold
    best = []
    for stride in strides.unique():
        level = (is_candidate & (strides == stride)[:, None]).flatten().nonzero()[:, 0]
        best.append(level[_by_score(scores[level])][: settings.num_candidates])
    places = torch.cat(best)
    return places[_by_score(scores[places])]


def _by_score(scores: Tensor) -> Tensor:
    return scores.sort(descending=True, stable=True).indices
