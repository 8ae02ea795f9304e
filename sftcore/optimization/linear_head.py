"""The head alone is a convex problem: its optimum, found and not approached.

``min over W, b of loss(f Wᵀ + b) + (λ/2)‖W‖²`` over fixed features f. For cross-entropy this is
multinomial logistic regression; the optimum is unique for λ > 0, so it depends on no seed, no
learning rate and no number of epochs. LP-FT (Kumar et al., 2022, Fine-tuning can distort pretrained
features, section 4) begins there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Strengths that are tried, as parts of the features' mean squared distance from their mean, which
# makes them mean the same for every backbone. Half decades, from strong to weak.
STRENGTHS = tuple(10 ** (-exponent / 2) for exponent in range(2, 13))  # 0.1 to 1e-6
TOLERANCE = 1e-6  # of the gradient's largest entry, in nats per standardised unit
_MAX_ITERATIONS = 1000
_MEMORY = 10  # pairs of steps and gradients that L-BFGS keeps


@dataclass(frozen=True)
class LinearHead:
    """A solved head.

    Attributes:
        strength: λ as a part of the features' mean squared distance from their mean.
        weight: W [C, D], float64.
        bias: b [C], float64.
        gradient: largest entry of the objective's gradient where the search ended, in the numbers
            of :func:`compact`.
        num_iterations: of L-BFGS.
    """

    strength: float
    weight: Tensor
    bias: Tensor
    gradient: float
    num_iterations: int

    @property
    def has_converged(self) -> bool:
        """Whether it is the optimum to the stated tolerance."""
        return self.gradient <= TOLERANCE

    def logits(self, features: Tensor) -> Tensor:
        """Float64 logits [N, C] of features [N, D]."""
        return features.double() @ self.weight.T + self.bias


def solve_path(
    features: Tensor,
    loss_of: Callable[[Tensor], Tensor],
    num_classes: int,
    strengths: Sequence[float] = STRENGTHS,
    is_enough: Callable[[LinearHead], bool] = lambda head: False,
) -> list[LinearHead]:
    """The optimum at each strength, each search begun at the optimum before.

    L-BFGS with a line search (Nocedal and Wright, 2006, algorithm 7.5, as torch has it), in float64
    on centred features of mean squared length one, in which the problem is far better conditioned,
    and in no more numbers than there are examples (:func:`compact`); the result is given for the
    features as they came.

    Args:
        features: f [N, D].
        loss_of: scalar loss of float64 logits [N, C]; convex in them.
        num_classes: C.
        strengths: from strong to weak.
        is_enough: told each optimum; ends the path where it says so.
    """
    plain = features.double()
    mean = plain.mean(dim=0)
    scale = float((plain - mean).square().sum(dim=1).mean().sqrt().clamp(min=1e-12))
    compacted, directions = compact((plain - mean) / scale)
    weight = plain.new_zeros(num_classes, compacted.shape[1])
    bias = plain.new_zeros(num_classes)
    solved = []
    for strength in strengths:
        weight, bias, gradient, count = _solve(compacted, loss_of, strength, weight, bias)
        outer = (weight if directions is None else weight @ directions.T) / scale
        solved.append(LinearHead(strength, outer, bias - outer @ mean, gradient, count))
        if is_enough(solved[-1]):
            break
    return solved


def compact(features: Tensor) -> tuple[Tensor, Tensor | None]:
    """The same features in fewer numbers, where there are fewer examples than numbers.

    N examples span N directions at most. In these directions every inner product stays what it was,
    and a penalised optimum has no part in others (Schölkopf et al., 2001, A generalized representer
    theorem); a search costs about N/D of the time.

    Args:
        features: float64 [N, D].

    Returns:
        The features, [N, min(N, D)], and the orthonormal directions that they are counted along,
        [D, N]: ``features = compacted @ directions.T``. None where they are as they came.
    """
    if len(features) >= features.shape[1]:
        return features, None
    directions, triangle = torch.linalg.qr(features.T)
    return triangle.T.contiguous(), directions


def choose_head(
    features: Tensor,
    loss_of: Callable[[Tensor], Tensor],
    val_loss_of: Callable[[LinearHead], float],
    num_classes: int,
    strengths: Sequence[float] = STRENGTHS,
) -> LinearHead:
    """The optimum at the strength that validation chooses, the strongest of equals.

    The path ends where the validation loss has risen twice in a row: weaker heads fit the training
    pictures only closer.

    Args:
        features: f [N, D], of the training pictures.
        loss_of: see :func:`solve_path`.
        val_loss_of: validation loss of a head.
        num_classes: C.
        strengths: from strong to weak.
    """
    losses: list[float] = []

    def has_risen_twice(head: LinearHead) -> bool:
        losses.append(val_loss_of(head))
        return len(losses) > 2 and losses[-3] < losses[-2] < losses[-1]

    path = solve_path(features, loss_of, num_classes, strengths, has_risen_twice)
    return path[min(range(len(path)), key=lambda place: losses[place])]


def _solve(
    features: Tensor,
    loss_of: Callable[[Tensor], Tensor],
    strength: float,
    weight: Tensor,
    bias: Tensor,
) -> tuple[Tensor, Tensor, float, int]:
    parameters = [weight.clone().requires_grad_(), bias.clone().requires_grad_()]
    search = torch.optim.LBFGS(
        parameters,
        max_iter=_MAX_ITERATIONS,
        max_eval=2 * _MAX_ITERATIONS,
        tolerance_grad=TOLERANCE,
        tolerance_change=0.0,
        history_size=_MEMORY,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        search.zero_grad()
        with torch.enable_grad():
            whole = loss_of(features @ parameters[0].T + parameters[1])
            whole = whole + strength / 2 * parameters[0].square().sum()
            whole.backward()
        return whole.detach()

    search.step(objective)
    objective()
    gradient = max(float(p.grad.abs().max()) for p in parameters if p.grad is not None)
    count = int(search.state[parameters[0]]["n_iter"])
    return parameters[0].detach(), parameters[1].detach(), gradient, count
