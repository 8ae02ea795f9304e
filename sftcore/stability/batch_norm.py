"""What batch norm does while the network is fine-tuned.

``train`` normalises by the batch and moves the running statistics. ``freeze_statistics``
normalises by the pretrained statistics and still trains scale and shift. ``freeze_all`` freezes
these too. Layers are found by type; layer and group norms are left alone.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sftcore.models.network import Network


def set_training_mode(network: Network, *, batch_norm: str, first_block: int) -> None:
    """Put the network into training mode, except where its statistics must not move.

    Args:
        network: changed in place.
        batch_norm: ``train``, ``freeze_statistics`` or ``freeze_all``.
        first_block: blocks before this position are frozen, so they stay in evaluation mode
            whatever the policy: their output is a fixed function of the picture.
    """
    network.train()
    for name, module in network.named_modules():
        is_batch_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        if is_batch_norm and batch_norm != "train":
            module.eval()
        part, _, inner = name.partition(".")
        if part == "backbone" and any(block.owns(inner) for block in network.blocks[:first_block]):
            module.eval()


@contextmanager
def statistics_at_rest(network: Network) -> Iterator[None]:
    """Let no forward pass move the running statistics for a while."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
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


@torch.no_grad()
def recalibrate(network: Network, inputs: Iterable[Tensor], first_block: int) -> None:
    """Give batch norms the mean statistics of these batches, as averaged parameters need it.

    (Izmailov et al., 2018, Averaging weights leads to wider optima, section 3.2.)

    Args:
        network: its batch norms from ``first_block`` on are changed; left in evaluation mode.
        inputs: what block ``first_block`` takes, batch by batch.
        first_block: blocks before it keep their statistics.
    """
    network.eval()
    norms = [
        module
        for name, module in network.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and network.block_of(name) >= first_block
        and module.track_running_stats
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    for batch in inputs:
        network(batch, first_block)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
