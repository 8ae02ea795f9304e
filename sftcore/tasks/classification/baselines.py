"""Rows to beat: what the frozen pretrained features say without any fine-tuning.

A fine-tuned model is worth its training only where it beats them on the same pictures (Kornblith et
al., 2019, Do better ImageNet models transfer better?, section 4, of logistic regression; Wang et
al., 2019, SimpleShot, of nearest neighbours). All are trained on the training pictures and chosen
on the validation pictures; labels of the test pictures are not even arguments here.
"""

from functools import partial

import torch
from torch import Tensor

from sftcore.metrics.rows_to_beat import NEIGHBOURS, Baseline, nearest_rows
from sftcore.optimization.linear_head import choose_head
from sftcore.tasks.classification.loss import (
    classification_loss,
    measure,
    probabilities,
)

NEAREST_NEIGHBOURS, MOST_FREQUENT = "nearest_neighbours", "most_frequent"
LOGISTIC_REGRESSION = "logistic_regression"


def rows_to_beat(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], test: Tensor, num_classes: int
) -> list[Baseline]:
    """Most frequent class, nearest neighbours, logistic regression.

    Args:
        train: float32 features [N, D] of the frozen backbone and class indices [N].
        val: likewise [V, D] and [V].
        test: features [T, D].
        num_classes: C.
    """
    return [
        most_frequent(train[1], len(val[1]), len(test), num_classes),
        nearest_neighbours(train, val, test, num_classes),
        logistic_regression(train, val, test, num_classes),
    ]


def most_frequent(labels: Tensor, num_val: int, num_test: int, num_classes: int) -> Baseline:
    """The part of each class in training, whatever the picture: all of them are neighbours.

    Args:
        labels: class indices of the training pictures [N].
        num_val: V.
        num_test: T.
        num_classes: C.
    """
    row = votes(labels[None], num_classes).cpu().numpy()
    return Baseline(MOST_FREQUENT, {}, row.repeat(num_val, axis=0), row.repeat(num_test, axis=0))


def nearest_neighbours(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], test: Tensor, num_classes: int
) -> Baseline:
    """Votes of the nearest training pictures; validation loss chooses how many, fewer of equals.

    Args:
        train: features [N, D] and class indices [N].
        val: features [V, D] and class indices [V].
        test: features [T, D].
        num_classes: C.
    """
    counts = [k for k in NEIGHBOURS if k <= len(train[1])]
    of_val, of_test = (
        train[1][nearest_rows(train[0], features, counts[-1])] for features in (val[0], test)
    )
    chosen = min(counts, key=lambda k: _nll(votes(of_val[:, :k], num_classes), val[1]))
    of_both = [votes(of[:, :chosen], num_classes).cpu().numpy() for of in (of_val, of_test)]
    return Baseline(NEAREST_NEIGHBOURS, {"num_neighbours": chosen}, *of_both)


def votes(labels: Tensor, num_classes: int) -> Tensor:
    """Probabilities ``(count + 1/C)/(k + 1)`` of k votes: one vote more, spread over all classes.

    Without it a class that no neighbour has would cost an infinite loss.

    Args:
        labels: class indices of the votes [M, k].
        num_classes: C.

    Returns:
        Float64 [M, C]; each row sums to 1.
    """
    counts = torch.stack([(labels == k).sum(dim=1) for k in range(num_classes)], dim=1)
    return (counts.double() + 1 / num_classes) / (labels.shape[1] + 1)


def logistic_regression(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], test: Tensor, num_classes: int
) -> Baseline:
    """A linear head at its optimum; validation loss chooses its strength, the strongest of equals.

    Args:
        train: features [N, D] and class indices [N].
        val: features [V, D] and class indices [V].
        test: features [T, D].
        num_classes: C.
    """
    loss_of = partial(classification_loss, targets=train[1], label_smoothing=0.0)
    chosen = choose_head(
        train[0], loss_of, lambda head: measure(head.logits(val[0]), val[1])[0], num_classes
    )
    of_both = [probabilities(chosen.logits(of)).cpu().numpy() for of in (val[0], test)]
    return Baseline(LOGISTIC_REGRESSION, {"strength": chosen.strength}, *of_both)


def _nll(probability: Tensor, labels: Tensor) -> float:
    return float(-probability[torch.arange(len(labels)), labels].log().mean())
