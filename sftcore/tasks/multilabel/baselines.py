"""Rows to beat of multilabel rows: what the frozen features say without any fine-tuning.

As in :mod:`sftcore.tasks.classification.baselines`: trained on the training rows, chosen on the
validation rows; labels of the test rows are not even arguments here.
"""

import numpy as np
import torch
from torch import Tensor

from sftcore.metrics.rows_to_beat import NEIGHBOURS, Baseline, nearest_rows
from sftcore.optimization.linear_head import choose_head
from sftcore.tasks.multilabel.loss import loss_sum, probabilities, row_losses
from sftcore.tasks.multilabel.targets import count_labels

LABEL_FREQUENCIES = "label_frequencies"
NEAREST_NEIGHBOURS = "nearest_neighbours"
LOGISTIC_REGRESSION = "logistic_regression"


def rows_to_beat(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], test: Tensor
) -> list[Baseline]:
    """Label frequencies, nearest neighbours, logistic regression.

    Args:
        train: float32 features [N, D] of the frozen backbone and labels, 0 or 1, [N, K].
        val: likewise [V, D] and [V, K].
        test: features [T, D].
    """
    return [
        label_frequencies(train[1], len(val[1]), len(test)),
        nearest_neighbours(train, val, test),
        logistic_regression(train, val, test),
    ]


def label_frequencies(labels: Tensor, num_val: int, num_test: int) -> Baseline:
    """The part of the training rows that each label is present in, whatever the row.

    Args:
        labels: 0 or 1, of the training rows [N, K].
        num_val: V.
        num_test: T.
    """
    row = _frequencies(labels)[None].numpy()
    return Baseline(
        LABEL_FREQUENCIES, {}, row.repeat(num_val, axis=0), row.repeat(num_test, axis=0)
    )


def nearest_neighbours(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], test: Tensor
) -> Baseline:
    """Votes of the nearest training rows; validation loss chooses how many, fewer of equals.

    Args:
        train: features [N, D] and labels [N, K].
        val: features [V, D] and labels [V, K].
        test: features [T, D].
    """
    counts = [k for k in NEIGHBOURS if k <= len(train[1])]
    prior = _frequencies(train[1])
    of_val, of_test = (
        train[1][nearest_rows(train[0], features, counts[-1])] for features in (val[0], test)
    )
    losses = {k: _mean_loss(votes(of_val[:, :k], prior), val[1]) for k in counts}
    chosen = min(counts, key=losses.__getitem__)
    of_both = [votes(of[:, :chosen], prior).cpu().numpy() for of in (of_val, of_test)]
    return Baseline(NEAREST_NEIGHBOURS, {"num_neighbours": chosen}, *of_both)


def votes(labels: Tensor, prior: Tensor) -> Tensor:
    """Probabilities ``(count + π)/(k + 1)`` of k votes: one vote more, by the label's frequency.

    (The m-estimate with m = 1: Cestnik, 1990, Estimating probabilities: a crucial task in machine
    learning.) Without it a label that no neighbour has would cost an infinite loss.

    Args:
        labels: 0 or 1, of the votes [M, k, K].
        prior: π [K].

    Returns:
        Float64 [M, K].
    """
    return (labels.double().sum(dim=1) + prior.to(labels.device)) / (labels.shape[1] + 1)


def logistic_regression(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], test: Tensor
) -> Baseline:
    """One logistic regression for each label, all of the strength that validation loss chooses.

    The loss is the sum over the labels, which makes each label's problem its own: the strength
    means the same for any number of them.

    Args:
        train: features [N, D] and labels [N, K].
        val: features [V, D] and labels [V, K].
        test: features [T, D].
    """
    num_rows, num_labels = train[1].shape
    ones = torch.ones(num_rows, dtype=torch.float64, device=train[1].device)

    def loss_of(logits: Tensor) -> Tensor:
        return loss_sum(logits, train[1], ones) * (num_labels / num_rows)

    chosen = choose_head(
        train[0],
        loss_of,
        lambda head: float(row_losses(head.logits(val[0]), val[1]).mean()),
        num_labels,
    )
    of_both = [probabilities(chosen.logits(of)).cpu().numpy() for of in (val[0], test)]
    return Baseline(LOGISTIC_REGRESSION, {"strength": chosen.strength}, *of_both)


def _frequencies(labels: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(count_labels(labels.cpu().numpy()).frequencies))


def _mean_loss(probability: Tensor, labels: Tensor) -> float:
    return float(row_losses(torch.logit(probability), labels).mean())
