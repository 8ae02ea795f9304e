"""What a simple model says of each example that it has not learnt from.

The model is logistic regression on the frozen pretrained features. Each fold is judged by a model
of the other folds, and near-duplicates share a fold: otherwise a wrong label would be confirmed by
its own twin.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor

from sftcore.foundations.progress import show_progress
from sftcore.optimization.linear_head import STRENGTHS, LinearHead, solve_path
from sftcore.tasks.classification.loss import classification_loss, measure, probabilities

NUM_FOLDS = 5
_STRENGTHS = STRENGTHS[::2]  # decades: half of them would move a probability little


@dataclass(frozen=True)
class OutOfFold:
    """Probabilities of examples by models that have not seen them.

    Attributes:
        probability: float64 [N, C]; each row sums to 1.
        is_judged: whether the class of the example was among those that its model learnt, [N].
        strength: of the L2 penalty, as a part of the features' variance.
    """

    probability: np.ndarray
    is_judged: np.ndarray
    strength: float


def grouped_folds(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """A fold for every example: groups whole, classes spread as evenly as that allows.

    Args:
        labels: class indices [N].
        groups: names of the groups of near-duplicates [N]; at least as many as folds.

    Returns:
        Numbers from 0 to :data:`NUM_FOLDS` - 1, [N].
    """
    folds = np.empty(len(labels), dtype=np.int64)
    splitter = StratifiedGroupKFold(NUM_FOLDS)
    with warnings.catch_warnings():
        # Classes of fewer examples than folds are expected: they are missing in some folds.
        warnings.filterwarnings("ignore", message="The least populated class")
        for number, (_, held_out) in enumerate(splitter.split(labels, labels, groups)):
            folds[held_out] = number
    return folds


def out_of_fold(features: Tensor, labels: Tensor, folds: np.ndarray, num_classes: int) -> OutOfFold:
    """Judge every example by logistic regression that was fitted to the other folds.

    One strength serves all folds: that of the least loss over all held-out examples. A fold's path
    from strong to weak ends where its own held-out loss rises.

    Args:
        features: [N, D], of the frozen backbone.
        labels: class indices [N], on the same device.
        folds: of the examples [N].
        num_classes: C.
    """
    numbers = np.unique(folds).tolist()
    paths, losses = [], []
    with show_progress("labels", len(numbers), "folds") as progress:
        for number in numbers:
            rows = torch.from_numpy(folds == number).to(features.device)
            path, loss = _fit((features[~rows], labels[~rows]), (features[rows], labels[rows]),
                              num_classes)  # fmt: skip
            paths.append(path)
            losses.append(loss)
            progress.advance()
    shortest = min(len(path) for path in paths)
    sizes = np.array([(folds == number).sum() for number in numbers])
    total = (np.array([loss[:shortest] for loss in losses]) * sizes[:, None]).sum(axis=0)
    best = int(total.argmin())
    probability = np.empty((len(folds), num_classes))
    is_judged = np.empty(len(folds), dtype=bool)
    known = labels.cpu().numpy()
    for number, path in zip(numbers, paths, strict=True):
        rows_here = folds == number
        held_out = features[torch.from_numpy(rows_here).to(features.device)]
        probability[rows_here] = probabilities(path[best].logits(held_out)).cpu().numpy()
        is_judged[rows_here] = np.isin(known[rows_here], known[~rows_here])
    probability /= probability.sum(axis=1, keepdims=True)  # they were float32
    return OutOfFold(probability, is_judged, _STRENGTHS[best])


def _fit(
    train: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], num_classes: int
) -> tuple[list[LinearHead], list[float]]:
    """Optima from strong to weak penalties, and the loss of each on what is held out."""
    losses: list[float] = []

    def has_risen(head: LinearHead) -> bool:
        losses.append(measure(head.logits(held_out[0]), held_out[1])[0])
        return len(losses) > 1 and losses[-2] < losses[-1]

    loss_of = partial(classification_loss, targets=train[1], label_smoothing=0.0)
    path = solve_path(train[0], loss_of, num_classes, _STRENGTHS, has_risen)
    return path, losses
