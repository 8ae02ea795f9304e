"""Rows to beat of boxes: what the frozen maps say without any fine-tuning.

As in :mod:`sftcore.tasks.classification.baselines`: trained on the training rows, chosen on the
validation rows; boxes of the test rows are not even arguments here.
"""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sftcore.metrics.rows_to_beat import Baseline, nearest_rows
from sftcore.models.dense.maps import Maps
from sftcore.models.dense.settings import DecodingSettings
from sftcore.tasks.detection.boxes import NO_BOX, learnt_boxes
from sftcore.tasks.detection.linear_detector import fit_detector
from sftcore.tasks.report_contract import Known, Shown

NEAREST_PICTURE = "nearest_picture"
LINEAR_HEAD = "linear_head"


def rows_to_beat(
    train: Known, val: Known, test: Shown, num_classes: int, decoding: DecodingSettings
) -> list[Baseline]:
    """The boxes of the nearest picture, a linear detector.

    Args:
        train: pictures with their targets [N, M, 6] and maps.
        val: likewise [V, M, 6].
        test: pictures with their maps.
        num_classes: K.
        decoding: which boxes are given.
    """
    return [
        nearest_picture(train.pair, val.features, test.features),
        linear_head(train, val, test, num_classes, decoding),
    ]


def nearest_picture(train: tuple[Tensor, Tensor], val: Tensor, test: Tensor) -> Baseline:
    """The boxes of the most similar training picture, where they are in that picture.

    The score of all of them is the cosine of the two pictures' features, at least 0. Crowds are
    not given.

    Args:
        train: features [N, C] and targets [N, M, 6].
        val: features [V, C].
        test: features [T, C].
    """
    return Baseline(NEAREST_PICTURE, {}, *(_boxes_of_nearest(*train, of) for of in (val, test)))


def linear_head(
    train: Known, val: Known, test: Shown, num_classes: int, decoding: DecodingSettings
) -> Baseline:
    """The best detector that is linear in the frozen maps at each point.

    See :mod:`sftcore.tasks.detection.linear_detector`. Its probabilities are those of classes that
    are rare at a point, so no score is too low for it: of each picture the surest boxes are given.

    Args:
        train: pictures with their targets [N, M, 6] and maps.
        val: likewise.
        test: pictures with their maps.
        num_classes: K.
        decoding: which boxes are given, but for the least score.
    """
    own, other = ((_maps(of), learnt_boxes(of.targets)) for of in (train, val))
    detector = fit_detector(own, other, num_classes)
    height, width = train.read().shape[1:3]
    all_scores = decoding.model_copy(update={"score_threshold": 0.0})
    given = [
        detector.answers(maps, (height, width), all_scores).numpy()
        for maps in (other[0], _maps(test))
    ]
    return Baseline(LINEAR_HEAD, detector.settings, *given)


def _boxes_of_nearest(known: Tensor, targets: Tensor, features: Tensor) -> np.ndarray:
    nearest = nearest_rows(known, features, 1)[:, 0]
    cosine = F.cosine_similarity(features, known[nearest]).clamp(0, 1)
    boxes = learnt_boxes(targets[nearest])
    answers = boxes.new_zeros(*boxes.shape[:2], 6)
    answers[..., :4], answers[..., 4] = boxes[..., :4], cosine[:, None]
    answers[..., 5] = boxes[..., 4]
    answers[answers[..., 5] < 0] = answers.new_tensor([0, 0, 0, 0, 0, NO_BOX])
    return answers.cpu().numpy()


def _maps(of: Shown) -> Maps:
    if of.maps is None:
        raise ValueError("boxes are found on maps, of which there are none")
    return of.maps()
