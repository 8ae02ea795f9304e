"""Rows to beat of predicted numbers: what the frozen features say without any fine-tuning.

As in :mod:`sftcore.tasks.classification.baselines`: trained on the training rows, chosen on the
validation rows; targets of the test rows are not even arguments here. All predictions are in the
targets' units; losses are computed in standard deviations.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from sftcore.metrics.rows_to_beat import NEIGHBOURS, Baseline, nearest_rows
from sftcore.optimization.linear_head import LinearHead
from sftcore.regularization.error_loss import SQUARED, ErrorSettings
from sftcore.tasks.regression.loss import row_losses
from sftcore.tasks.regression.targets import TargetScale

MEAN, MEDIAN = "mean", "median"
NEAREST_NEIGHBOURS = "nearest_neighbours"
RIDGE_REGRESSION = "ridge_regression"

# As parts of the features' mean squared distance from their mean. Half decades, from strong, where
# next to nothing but the mean is left, to weak.
STRENGTHS = tuple(10 ** (-exponent / 2) for exponent in range(-2, 13))  # 10 to 1e-6


def rows_to_beat(
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    test: Tensor,
    scale: TargetScale,
    loss: ErrorSettings,
) -> list[Baseline]:
    """The best constant, nearest neighbours, ridge regression.

    Args:
        train: float32 features [N, D] of the frozen backbone and targets [N, K] in their units.
        val: likewise [V, D] and [V, K].
        test: features [T, D].
        scale: of the training targets.
        loss: that validation chooses by, and that says which constant is best.
    """
    return [
        constant(train[1], len(val[1]), len(test), loss),
        nearest_neighbours(train, val, test, scale, loss),
        ridge_regression(train, val, test, scale, loss),
    ]


def constant(targets: Tensor, num_val: int, num_test: int, loss: ErrorSettings) -> Baseline:
    """The mean of the training targets for every row, or their median where that costs less.

    Args:
        targets: of the training rows [N, K].
        num_val: V.
        num_test: T.
        loss: see :meth:`sftcore.regularization.error_loss.ErrorSettings.best_constant`.
    """
    row = loss.best_constant(targets)[None].cpu().numpy()
    name = MEAN if loss.kind == SQUARED else MEDIAN
    return Baseline(name, {}, row.repeat(num_val, axis=0), row.repeat(num_test, axis=0))


def nearest_neighbours(
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    test: Tensor,
    scale: TargetScale,
    loss: ErrorSettings,
) -> Baseline:
    """Mean target of the nearest training rows; validation chooses how many, fewer of equals.

    Args:
        train: features [N, D] and targets [N, K].
        val: features [V, D] and targets [V, K].
        test: features [T, D].
        scale: of the training targets.
        loss: that validation chooses by.
    """
    counts = [k for k in NEIGHBOURS if k <= len(train[1])]
    of_val, of_test = (
        train[1].double()[nearest_rows(train[0], features, counts[-1])]
        for features in (val[0], test)
    )
    means = {k: of_val[:, :k].mean(dim=1).cpu().numpy() for k in counts}
    cost = _cost_of(val[1], scale, loss)
    chosen = min(counts, key=lambda k: cost(means[k]))
    on_test = of_test[:, :chosen].mean(dim=1).cpu().numpy()
    return Baseline(NEAREST_NEIGHBOURS, {"num_neighbours": chosen}, means[chosen], on_test)


def ridge_regression(
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    test: Tensor,
    scale: TargetScale,
    loss: ErrorSettings,
) -> Baseline:
    """Least squares with a penalty; validation chooses its strength, the strongest of equals.

    Args:
        train: features [N, D] and targets [N, K].
        val: features [V, D] and targets [V, K].
        test: features [T, D].
        scale: of the training targets.
        loss: that validation chooses by; what is fitted is the squared error in any case.
    """
    standard = torch.from_numpy(scale.to_standard(train[1].cpu().numpy())).to(train[0].device)
    path = ridge_path(train[0], standard, STRENGTHS)
    on_val = [scale.from_standard(head.logits(val[0]).cpu().numpy()) for head in path]
    cost = _cost_of(val[1], scale, loss)
    place = min(range(len(path)), key=lambda number: cost(on_val[number]))
    on_test = scale.from_standard(path[place].logits(test).cpu().numpy())
    return Baseline(RIDGE_REGRESSION, {"strength": path[place].strength}, on_val[place], on_test)


def ridge_path(features: Tensor, targets: Tensor, strengths: Sequence[float]) -> list[LinearHead]:
    """``min (1/N) Σ‖y − f Wᵀ − b‖² + (λ/2)‖W‖²`` in closed form, for features of mean square one.

    By one singular value decomposition for all strengths (Hastie et al., 2009, The elements of
    statistical learning, eq. 3.47); :func:`sftcore.optimization.linear_head.solve_path` finds the
    same heads step by step.

    Args:
        features: f [N, D].
        targets: y [N, K].
        strengths: λ, as parts of the features' mean squared distance from their mean.

    Returns:
        A head for each strength, for the features as they came.
    """
    plain, wanted = features.double(), targets.double()
    mean, level = plain.mean(dim=0), wanted.mean(dim=0)
    spread = float((plain - mean).square().sum(dim=1).mean().sqrt().clamp(min=1e-12))
    left, singular, right = torch.linalg.svd((plain - mean) / spread, full_matrices=False)
    along = left.T @ (wanted - level)  # [R, K]
    heads = []
    for strength in strengths:
        shrunk = singular / (singular.square() + len(plain) * strength / 2)
        weight = (right.T @ (shrunk[:, None] * along)).T / spread
        heads.append(LinearHead(strength, weight, level - weight @ mean, 0.0, 0))
    return heads


def _cost_of(
    targets: Tensor, scale: TargetScale, loss: ErrorSettings
) -> Callable[[np.ndarray], float]:
    wanted = torch.from_numpy(scale.to_standard(targets.cpu().numpy()))

    def cost(prediction: np.ndarray) -> float:
        standard = torch.from_numpy(scale.to_standard(prediction))
        return float(row_losses(standard, wanted, loss).mean())

    return cost
