"""What is kept of a picture for measuring: its detections, and sums of its loss.

A record is [D + 1, 6]: the detections (left, top, right, bottom, score, class; class -1 is none),
and in the last row the focal, GIoU and centre-ness sums and the foreground points.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sftcore.metrics.detection_matching import Matches, match_detections
from sftcore.metrics.detection_records import Detections, Truths, box_areas
from sftcore.models.dense.box_loss import fcos_terms
from sftcore.models.dense.decoding import Detections as Decoded
from sftcore.models.dense.decoding import decode
from sftcore.models.dense.points import assign
from sftcore.models.dense.settings import BoxLossSettings, DecodingSettings

NO_DETECTION = (0.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def learnt_boxes(boxes: Tensor) -> Tensor:
    """What a detector learns of a store's boxes: all but crowds.

    Args:
        boxes: [B, M, 6], see :mod:`sftcore.data.pictures.annotated`.

    Returns:
        [B, M, 5], see :mod:`sftcore.models.dense.points`.
    """
    classes = torch.where(boxes[:, :, 5] > 0, -1.0, boxes[:, :, 4])
    return torch.cat([boxes[:, :, :4], classes[:, :, None]], dim=2)


def decoded_rows(output: Tensor, points: Tensor, side: int, settings: DecodingSettings) -> Tensor:
    """The detections of each picture, float32 [B, D, 6]; see the module.

    Args:
        output: of :class:`sftcore.models.dense.detection.DetectionHead` [B, P, K + 5].
        points: x, y and stride [P, 3].
        side: S.
        settings: which boxes are given.
    """
    found = decode(output, points, (side, side), settings)
    rows = torch.tensor(NO_DETECTION).repeat(len(found), settings.max_detections, 1)
    for row, of in zip(rows, found, strict=True):
        row[: len(of.scores)] = _row_of(of).cpu()
    return rows.to(output.device)


def _row_of(found: Decoded) -> Tensor:
    ends = torch.stack([found.scores, found.classes.float()], dim=1)
    return torch.cat([found.boxes, ends], dim=1)


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
    found = decoded_rows(output, points, side, decoding).double()
    return torch.cat([found, last[:, None]], dim=1)


def matches_of(found: np.ndarray, boxes: np.ndarray, num_classes: int) -> Matches:
    """COCO's matching of detections [N, D, 6] with a store's boxes [N, M, 6], of K classes."""
    return match_detections(detections_of(found), truths_of(boxes), len(found), num_classes)


def detections_of(found: np.ndarray) -> Detections:
    """Detections [N, D, 6] as a table."""
    picture, place = np.nonzero(found[:, :, 5] >= 0)
    rows = found[picture, place]
    return Detections(picture, rows[:, 5].astype(np.int64), rows[:, :4], rows[:, 4])


def truths_of(boxes: np.ndarray) -> Truths:
    """Boxes of a store [N, M, 6] as a table, with the areas of the boxes."""
    picture, place = np.nonzero(boxes[:, :, 4] >= 0)
    rows = boxes[picture, place]
    is_crowd = rows[:, 5] > 0
    no = np.zeros(len(rows), dtype=bool)
    corners = rows[:, :4].astype(float)
    return Truths(picture, rows[:, 4].astype(np.int64), corners, box_areas(corners), is_crowd, no)


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
