"""A batch in parts has the gradient of the whole, whatever its rows weigh."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sftcore.regularization.error_loss import ErrorSettings
from sftcore.tasks.multilabel.loss import loss_sum as multilabel_loss
from sftcore.tasks.regression.loss import loss_sum as regression_loss

B, D, K = 8, 10, 3
WEIGHTS = torch.tensor([1.0, 7.0, 0.25, 2.0, 1.0, 0.0, 30.0, 3.0])


def smoothed_and_weighed(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    decisions = torch.tensor([[0.5, 1.0, 2.0], [4.0, 1.0, 0.5]])
    return multilabel_loss(logits, torch.sigmoid(targets), weights, 0.1, decisions)


def of_numbers(kind: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda prediction, targets, weights: regression_loss(
        prediction, targets, weights, ErrorSettings(kind=kind, delta=0.7)
    )


def gradient(part_size: int, loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Linear(D, 16), nn.Tanh(), nn.Linear(16, K))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) / 3)
    inputs, targets = (torch.randn(B, n, generator=draws) for n in (D, K))
    for start in range(0, B, part_size):
        part = slice(start, start + part_size)
        (loss(network(inputs[part]), targets[part], WEIGHTS[part]) / WEIGHTS.sum()).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


@pytest.mark.parametrize("part_size", [1, 2, 4])
@pytest.mark.parametrize(
    "loss",
    [smoothed_and_weighed, of_numbers("squared"), of_numbers("absolute"), of_numbers("huber")],
    ids=["multilabel", "squared", "absolute", "huber"],
)
def test_parts_of_a_batch_have_its_gradient(
    part_size: int, loss: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> None:
    whole, parts = gradient(B, loss), gradient(part_size, loss)
    assert float((parts - whole).norm() / whole.norm()) < 1e-5

    def by_rows(output: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """What shares by the number of rows would do."""
        return loss(output, targets, weights) / weights.sum() * WEIGHTS.sum() * len(output) / B

    wrong = gradient(4, by_rows)
    assert float((wrong - whole).norm() / whole.norm()) > 1e-2
