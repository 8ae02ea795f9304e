"""What batch norm does while the network is fine-tuned.

``train`` normalises by the batch and moves the running statistics. ``freeze_statistics``
normalises by the pretrained statistics and still trains scale and shift. ``freeze_all`` freezes
these too. Layers are found by type; layer and group norms are left alone.
"""

from torch import nn

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
