"""What is kept of a picture for measuring: its detections, and sums of its loss.

A record is [D + 1, 6]: the detections (left, top, right, bottom, score, class; class -1 is none),
and in the last row the focal, GIoU and centre-ness sums and the foreground points.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sftcore.metrics.detection_matching import Matches, match_detections
from sftcore.models.dense.box_loss import fcos_terms
from sftcore.models.dense.decoding import decode
from sftcore.models.dense.points import assign
from sftcore.models.dense.settings import BoxLossSettings, DecodingSettings
from sftcore.tasks.detection.boxes import detections_of, learnt_boxes, padded, truths_of


@torch.no_grad()
def box_rows(
    output: Tensor,
    targets: Tensor,
    points: Tensor,
    side: int,
    decoding: DecodingSettings,
    loss: BoxLossSettings,
) -> Tensor:
    """The record of each picture, float64 [B, D + 1, 6].

    Args:
        output: of the head [B, P, K + 5].
        targets: boxes of the store [B, M, 6].
        points: x, y and stride [P, 3].
        side: S.
        decoding: which boxes are given.
        loss: of the terms.
    """
    learnt = learnt_boxes(targets)
    terms = fcos_terms(output, learnt, points, loss)
    num = assign(points, learnt, loss.center_radius).is_foreground.sum(dim=1)
    columns = [terms[name].double() for name in ("focal", "giou", "centerness")]
    zeros = torch.zeros_like(columns[0])
    last = torch.stack([*columns, num.double(), zeros, zeros], dim=1)
    decoded = decode(output, points, (side, side), decoding)
    found = padded(decoded, decoding.max_detections).double().to(output.device)
    return torch.cat([found, last[:, None]], dim=1)


def matches_of(found: np.ndarray, boxes: np.ndarray, num_classes: int) -> Matches:
    """COCO's matching of detections [N, D, 6] with a store's boxes [N, M, 6], of K classes."""
    return match_detections(detections_of(found), truths_of(boxes), len(found), num_classes)


def loss_per_point(rows: np.ndarray, columns: Sequence[int] = (0, 1, 2)) -> float:
    """The sums of the loss over all pictures, per foreground point; NaN of no picture.

    Args:
        rows: records [N, D + 1, 6].
        columns: terms that are summed.
    """
    if not len(rows):
        return float("nan")
    last = rows[:, -1]
    return float(last[:, list(columns)].sum() / max(1.0, last[:, 3].sum()))
