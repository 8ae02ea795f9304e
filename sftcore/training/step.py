"""One update of gradient descent, whole, in the order in which it happens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sftcore.models.network import Network
from sftcore.models.values import Values, take
from sftcore.optimization.clipping import clip_gradients
from sftcore.optimization.optimizers import set_learning_rate
from sftcore.regularization.penalties import proximal_step
from sftcore.regularization.sharpness import moved_uphill
from sftcore.stability.batch_norm import keep_statistics, statistics_at_rest
from sftcore.stability.guard import CLIP
from sftcore.stability.precision import HALF, LossScale, computed_in, products_rounded
from sftcore.training.guarding import Ruling
from sftcore.training.objective import Draws, Objective
from sftcore.training.settings import UpdateSettings

OVERFLOW = "overflow"  # of fp16: the loss scale was too large, which is no incident


@dataclass(frozen=True)
class StepReport:
    """What one update saw.

    Attributes:
        loss: as trained on, before the update.
        gradient_norm: before clipping.
        followed_norm: after the guard's clipping, before any other.
        is_clipped: whether the gradient was shrunk.
        answer: of the guard, or :data:`OVERFLOW`; empty where all was well.
        is_made: whether the parameters were changed.
    """

    loss: float
    gradient_norm: float
    followed_norm: float = 0.0
    is_clipped: bool = False
    answer: str = ""
    is_made: bool = True


def train_step(
    network: Network,
    inputs: Values,
    targets: Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    objective: Objective,
    learning_rate: float,
    trained: Sequence[nn.Parameter],
    update: UpdateSettings,
    precision: str,
    draws: Draws,
    loss_scale: LossScale,
    seed_draws: Callable[[], None],
    judge: Callable[[float, float], Ruling],
) -> StepReport:
    """Change the trained parameters once, or not at all.

    Args:
        network: in training mode.
        inputs: what block ``objective.first_block`` takes, [B, ...].
        targets: of the task [B, ...].
        optimizer: over ``trained``.
        objective: the loss.
        learning_rate: of this update.
        trained: parameters that change.
        update: penalties' form, SAM, clipping, parts of the batch.
        precision: see :func:`sftcore.stability.precision.computed_in`.
        draws: of the batch.
        loss_scale: of fp16; changed.
        seed_draws: makes the network's random draws (dropout, stochastic depth) those of this step.
        judge: says of loss and gradient norm what is to be done.

    Raises:
        DivergedError: ``judge`` gives up; the parameters are unchanged.
    """
    is_half = precision == HALF
    scale = loss_scale.value if is_half else 1.0

    def descend() -> tuple[Tensor, Tensor]:
        """Loss and norm of its gradient, which is left in the parameters."""
        seed_draws()
        optimizer.zero_grad(set_to_none=True)
        loss, weight = torch.zeros((), device=inputs.device), objective.weight_of(targets)
        for share, part in _parts(len(inputs), update.micro_batch_size):
            with products_rounded(precision, inputs.device):
                with computed_in(precision, inputs.device):
                    part_loss = objective.loss(
                        network, take(inputs, part), targets[part], weight,
                        share=share, draws=draws.of(part),
                    )  # fmt: skip
                (part_loss * scale).backward()
            loss = loss + part_loss.detach()
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        if is_half:
            torch._foreach_mul_(gradients, 1 / scale)
        return loss, nn.utils.get_total_norm(gradients)

    put_statistics_back = keep_statistics(network)
    loss, gradient_norm = descend()
    if update.sharpness.rho > 0 and draws.step % update.sharpness.every == 0:
        with (
            moved_uphill(trained, update.sharpness.rho, gradient_norm),
            statistics_at_rest(network),
        ):
            _, gradient_norm = descend()
    seen = float(loss), float(gradient_norm)
    is_overflow = is_half and bool(torch.isfinite(loss) and not torch.isfinite(gradient_norm))
    if is_overflow and loss_scale.overflow():
        put_statistics_back()
        return StepReport(*seen, answer=OVERFLOW, is_made=False)
    ruling = judge(*seen)
    if ruling.answer not in ("", CLIP):
        put_statistics_back()
        return StepReport(*seen, answer=ruling.answer, is_made=False)
    is_shrunk = ruling.answer == CLIP and bool(gradient_norm > ruling.norm_limit)
    if is_shrunk:
        nn.utils.clip_grads_with_norm_(trained, ruling.norm_limit, gradient_norm)
        gradient_norm = gradient_norm.clamp(max=ruling.norm_limit)
    is_clipped = clip_gradients(
        trained, list(network.head.parameters()), update.clipping, gradient_norm
    )
    set_learning_rate(optimizer, learning_rate)
    optimizer.step()
    if update.penalties.are_on and update.penalties.form == "proximal":
        proximal_step(objective.penalized, update.penalties, learning_rate)
    if is_half:
        loss_scale.succeed()
    return StepReport(
        *seen,
        followed_norm=min(seen[1], ruling.norm_limit),
        is_clipped=is_clipped or is_shrunk,
        answer=ruling.answer,
    )


def _parts(num_rows: int, micro_batch_size: int) -> list[tuple[float, slice]]:
    """Parts of the batch with their shares of the rows; a last part of one row joins the other."""
    if micro_batch_size == 0 or micro_batch_size >= num_rows:
        return [(1.0, slice(None))]
    starts = list(range(0, num_rows, micro_batch_size))
    if num_rows - starts[-1] == 1:
        starts.pop()
    return [
        ((end - start) / num_rows, slice(start, end))
        for start, end in zip(starts, [*starts[1:], num_rows], strict=True)
    ]
