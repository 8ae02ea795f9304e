"""Weights' gradients of depthwise convolutions: torch's own against ours, one after the other.

``python -m benchmarks.depthwise``: milliseconds of a whole update of EfficientNet-Lite0's blocks 5
and 6, and their ratio, with the kernels that every CPU has and one thread, as a study's cells.
"""

import copy
import statistics
import time
from typing import Any

from sftcore.foundations.instruction_set import choose_instruction_set

_SHAPE, _NUM_BLOCKS = (32, 112, 8, 8), 2  # what they take of 32 pictures of 128 pixels
_NUM_ROUNDS = 15


def last_blocks() -> tuple[Any, Any]:
    """The blocks with torch's own convolutions, in training mode, and what they take."""
    import timm
    import torch
    from torch import nn

    torch.manual_seed(0)
    network: Any = timm.create_model("tf_efficientnet_lite0")
    layers = [*network.blocks[-_NUM_BLOCKS:], network.conv_head, network.bn2]
    return nn.Sequential(*layers).train(), torch.randn(_SHAPE)


def update(module: Any, x: Any) -> None:
    """Forward and backward."""
    module(x).square().mean().backward()


def main() -> None:
    """Measure in turns, so that a busy machine slows both."""
    choose_instruction_set("portable")
    import torch

    from sftcore.models.depthwise import speed_up_depthwise

    torch.set_num_threads(1)
    plain, x = last_blocks()
    faster = copy.deepcopy(plain)
    speed_up_depthwise(faster)
    pairs = [(_milliseconds(plain, x), _milliseconds(faster, x)) for _ in range(_NUM_ROUNDS)]
    before, after = (statistics.median(each) for each in zip(*pairs[1:], strict=True))
    ratios = sorted(ours / theirs for theirs, ours in pairs[1:])
    low, middle, high = ratios[0], statistics.median(ratios), ratios[-1]
    print(f"an update, {len(ratios)} pairs: {before:.0f} ms with torch's, {after:.0f} ms with ours")
    print(f"ratio {middle:.2f}, from {low:.2f} to {high:.2f}")


def _milliseconds(module: Any, x: Any) -> float:
    begun = time.perf_counter()
    update(module, x)
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    main()
