"""One update of gradient descent, whole, in the order in which it happens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sftcore.errors import DivergedError
from sftcore.models.network import Network
from sftcore.optimization.optimizers import set_learning_rate
from sftcore.regularization.penalties import proximal_step
from sftcore.regularization.sharpness import moved_uphill
from sftcore.stability.batch_norm import statistics_at_rest
from sftcore.training.objective import Objective
from sftcore.training.settings import Update


@dataclass(frozen=True)
class StepReport:
    """What one update saw: the loss with its penalties, and the gradient's norm before clipping."""

    loss: float
    gradient_norm: float


def train_step(
    network: Network,
    inputs: Tensor,
    targets: Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    objective: Objective,
    learning_rate: float,
    trained: Sequence[nn.Parameter],
    update: Update,
    step: int,
    seed_draws: Callable[[], None],
) -> StepReport:
    """Change the trained parameters once.

    Args:
        network: in training mode.
        inputs: what block ``objective.first_block`` takes, [B, ...].
        targets: class indices [B], or probabilities [B, C].
        optimizer: over ``trained``.
        objective: the loss.
        learning_rate: of this update.
        trained: parameters that change.
        update: penalties' form, SAM and clipping.
        step: counted from 0 over the phase.
        seed_draws: makes the network's random draws (dropout, stochastic depth) those of this step.

    Raises:
        DivergedError: the loss or the gradient is not finite; the parameters are unchanged.
    """

    def descend() -> tuple[Tensor, Tensor]:
        """Loss and norm of its gradient, which is left in the parameters."""
        seed_draws()
        optimizer.zero_grad(set_to_none=True)
        loss = objective.loss(network, inputs, targets)
        loss.backward()
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise DivergedError(
                f"the loss is {float(loss.detach()):g} and the gradient's norm {float(norm):g}"
                f" at update {step} with learning rate {learning_rate:g}",
                step,
            )
        return loss.detach(), norm

    loss, gradient_norm = descend()
    if update.sam_rho > 0 and step % update.sam_every == 0:
        with (
            moved_uphill(trained, update.sam_rho, gradient_norm),
            statistics_at_rest(network),
        ):
            _, gradient_norm = descend()
    if update.clip_norm > 0:
        nn.utils.clip_grads_with_norm_(trained, update.clip_norm, gradient_norm)
    set_learning_rate(optimizer, learning_rate)
    optimizer.step()
    if update.penalties.are_on and update.penalty_form == "proximal":
        proximal_step(objective.penalized, update.penalties, learning_rate)
    return StepReport(float(loss), float(gradient_norm))
