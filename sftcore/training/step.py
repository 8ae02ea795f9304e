"""One update of gradient descent, whole, in the order in which it happens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sftcore.errors import DivergedError
from sftcore.models.network import Network
from sftcore.optimization.optimizers import set_learning_rate
from sftcore.regularization.penalties import l1_penalty, l2_penalty
from sftcore.tasks.classification import classification_loss
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
    first_block: int,
    learning_rate: float,
    trained: Sequence[nn.Parameter],
    penalized: Sequence[nn.Parameter],
    update: Update,
    step: int,
) -> StepReport:
    """Change the trained parameters once.

    Args:
        network: in training mode.
        inputs: what block ``first_block`` takes, [B, ...].
        targets: class indices [B].
        optimizer: over ``trained``.
        first_block: position at which ``inputs`` enter.
        learning_rate: of this update.
        trained: parameters that change.
        penalized: parameters that L1 and L2 apply to.
        update: smoothing, penalties and clipping.
        step: counted from 0 over the phase, for messages.

    Raises:
        DivergedError: the loss or the gradient is not finite; the parameters are unchanged.
    """
    optimizer.zero_grad(set_to_none=True)
    logits = network(inputs, first_block)
    loss = classification_loss(logits, targets, update.label_smoothing)
    if update.l1 > 0:
        loss = loss + update.l1 * l1_penalty(penalized)
    if update.l2 > 0:
        loss = loss + update.l2 * l2_penalty(penalized)
    loss.backward()
    gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
    gradient_norm = nn.utils.get_total_norm(gradients)
    if not (torch.isfinite(loss) and torch.isfinite(gradient_norm)):
        raise DivergedError(
            f"the loss is {float(loss.detach()):g} and the gradient's norm {float(gradient_norm):g}"
            f" at update {step} with learning rate {learning_rate:g}",
            step,
        )
    if update.clip_norm > 0:
        nn.utils.clip_grads_with_norm_(trained, update.clip_norm, gradient_norm)
    set_learning_rate(optimizer, learning_rate)
    optimizer.step()
    return StepReport(float(loss.detach()), float(gradient_norm))
