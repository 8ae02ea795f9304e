"""Boxes as the store and predictions have them, and as the metrics and the head have them.

Targets are rows [N, M, 6]: left, top, right, bottom in pixels of the square picture, class, and
whether it is a crowd. Answers are rows [N, D, 6]: the same four sides, score, class. A row whose
class is below zero is no box.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sftcore.metrics.detection_records import Detections, Truths, box_areas
from sftcore.models.dense.decoding import Detections as Decoded

NO_BOX = -1
CLASS_OF_TARGET, IS_CROWD = 4, 5
SCORE, CLASS_OF_ANSWER = 4, 5


def detections_of(answers: np.ndarray, least_score: float = 0.0) -> Detections:
    """The boxes that are given, in the order of pictures and rows.

    Args:
        answers: [N, D, 6].
        least_score: of the boxes that are kept.
    """
    exact = answers.astype(float)
    is_box = (exact[..., CLASS_OF_ANSWER] >= 0) & (exact[..., SCORE] >= least_score)
    picture, row = np.nonzero(is_box)
    found = exact[picture, row]
    label = found[:, CLASS_OF_ANSWER].astype(np.int64)
    return Detections(picture, label, found[:, :4], found[:, SCORE])


def truths_of(targets: np.ndarray) -> Truths:
    """The boxes that are there, in the order of pictures and rows, with the areas of the boxes.

    Args:
        targets: [N, M, 6].
    """
    exact = targets.astype(float)
    picture, row = np.nonzero(exact[..., CLASS_OF_TARGET] >= 0)
    found = exact[picture, row]
    label, is_crowd = found[:, CLASS_OF_TARGET].astype(np.int64), found[:, IS_CROWD] > 0
    box = found[:, :4]
    return Truths(picture, label, box, box_areas(box), is_crowd, np.zeros_like(is_crowd))


def learnt_boxes(targets: Tensor) -> Tensor:
    """Boxes as :mod:`sftcore.models.dense.points` has them, without crowds, which nothing learns.

    Args:
        targets: [N, M, 6].

    Returns:
        [N, M, 5].
    """
    is_learnt = targets[..., IS_CROWD] <= 0
    classes = torch.where(is_learnt, targets[..., CLASS_OF_TARGET], NO_BOX)
    return torch.cat([targets[..., :4], classes[..., None]], dim=2)


def padded(found: Sequence[Decoded], most: int) -> Tensor:
    """Decoded boxes as answers.

    Args:
        found: of each picture, at most so many.
        most: D.

    Returns:
        float32 [N, D, 6].
    """
    answers = torch.zeros(len(found), most, 6)
    answers[..., CLASS_OF_ANSWER] = NO_BOX
    for rows, of in zip(answers, found, strict=True):
        count = len(of.boxes)
        rows[:count, :4], rows[:count, SCORE] = of.boxes.cpu(), of.scores.cpu()
        rows[:count, CLASS_OF_ANSWER] = of.classes.cpu().float()
    return answers
