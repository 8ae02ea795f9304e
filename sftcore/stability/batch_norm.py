"""What batch norm does while the network is fine-tuned.

| policy | normalises by | scale and shift |
|---|---|---|
| ``train`` | the batch; running statistics follow and are used in evaluation | trained |
| ``recalibrate`` | the batch; every evaluation uses statistics of the training set | trained |
| ``freeze_statistics`` | the pretrained statistics | trained |
| ``freeze_all`` | the pretrained statistics | frozen |

Layers are found by type; layer and group norms are left alone.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from sftcore.models.network import Network
from sftcore.models.values import Values

BatchNormPolicy = Literal["train", "recalibrate", "freeze_statistics", "freeze_all"]
MOVING = ("train", "recalibrate")  # policies under which the running statistics move
_BatchNorm = nn.modules.batchnorm._BatchNorm


def set_training_mode(network: Network, *, batch_norm: str, first_block: int) -> None:
    """Put the network into training mode, except where its statistics must not move.

    The exceptions hold: a later ``network.train()`` leaves them in evaluation mode.

    Args:
        network: changed in place.
        batch_norm: a policy of this module.
        first_block: blocks before this position are frozen, so they stay in evaluation mode
            whatever the policy: their output is a fixed function of the picture.
    """
    resting = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and batch_norm not in MOVING
    ]
    network.hold_in_evaluation([*network.frozen_modules(first_block), *resting])
    network.train()


def moving_norms(network: Network) -> list[_BatchNorm]:
    """Batch norms whose running statistics move in training mode."""
    held = {id(module) for module in network.held}
    return [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats and id(module) not in held
    ]


def running_statistics(network: Network) -> dict[str, Tensor]:
    """The buffers of all batch norms by name; those tensors, no copies."""
    return {
        f"{place}.{name}": buffer
        for place, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        for name, buffer in module.named_buffers(recurse=False)
    }


@contextmanager
def normalized_by_batch(network: Network) -> Iterator[None]:
    """For a while, normalise by the batch where training does; all else is in evaluation mode.

    Running statistics stay as they are.
    """
    norms = moving_norms(network)
    network.eval()
    with statistics_at_rest(network):
        for norm in norms:
            norm.train()
        try:
            yield
        finally:
            network.eval()


@contextmanager
def statistics_at_rest(network: Network) -> Iterator[None]:
    """Let no forward pass move the running statistics for a while."""
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked for norm in norms]
    kept = [None if count is None else count.clone() for count in counts]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, kept, strict=True):
            norm.momentum = momentum
            if count is not None and norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(count)


def keep_statistics(network: Network) -> Callable[[], None]:
    """Copy the running statistics that move; calling the result puts them back.

    A forward pass moves them before anyone can see that its batch was bad.
    """
    buffers = [buffer for norm in moving_norms(network) for buffer in norm.buffers()]
    kept = [buffer.clone() for buffer in buffers]

    def put_back() -> None:
        for buffer, value in zip(buffers, kept, strict=True):
            buffer.copy_(value)

    return put_back


@torch.no_grad()
def recalibrate(network: Network, inputs: Iterable[Values], first_block: int) -> None:
    """Give batch norms the mean and variance of these inputs over all batches together.

    (Wu and Johnson, 2021, Rethinking "batch" in batchnorm, section 3: precise statistics.) Layers
    before one normalise by the batch, as in training. The variance is the unbiased one that running
    statistics hold.

    Args:
        network: its batch norms from ``first_block`` on are changed; left in evaluation mode.
        inputs: what block ``first_block`` takes, batch by batch.
        first_block: blocks before it keep their statistics.
    """
    network.eval()
    norms = [
        module
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        and module.track_running_stats
        and network.block_of(name) >= first_block
    ]
    moments = {norm: _Moments() for norm in norms}
    hooks = [
        norm.register_forward_pre_hook(lambda module, args: moments[module].add(args[0]))
        for norm in norms
    ]
    try:
        with statistics_at_rest(network):
            for norm in norms:
                norm.train()
            for batch in inputs:
                network(batch, first_block)
    finally:
        for hook in hooks:
            hook.remove()
        network.eval()
    for norm, seen in moments.items():
        if seen.count > 1 and norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.copy_(seen.mean)
            norm.running_var.copy_(seen.variance)


class _Moments:
    """Count, sum and sum of squares by channel, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0

    def add(self, features: Tensor) -> None:
        """Take in features [B, C, ...]."""
        values = features.double().transpose(0, 1).flatten(1)  # [C, B·...]
        self.count += values.shape[1]
        self._sum = self._sum + values.sum(dim=1)
        self._squares = self._squares + values.square().sum(dim=1)

    @property
    def mean(self) -> Tensor:
        """By channel [C]."""
        return torch.as_tensor(self._sum) / self.count

    @property
    def variance(self) -> Tensor:
        """Unbiased, by channel [C]."""
        centred = torch.as_tensor(self._squares) - self.count * self.mean.square()
        return centred.clamp(min=0) / (self.count - 1)
