"""Weights' gradients of depthwise convolutions: torch's own against ours, one after the other.

``python -m benchmarks.depthwise``: milliseconds of a whole update of EfficientNet-Lite0's last two
blocks, and their ratio, with the kernels that every CPU has and one thread, as a study's cells.
"""

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

from sftcore.foundations.instruction_set import choose_instruction_set

_SHAPES = ((32, 112, 8, 8), 2)  # what the blocks take of pictures of 128 pixels, in a batch of 32
_NUM_ROUNDS = 15


def main() -> None:
    """Measure in turns, so that a busy machine slows both."""
    choose_instruction_set("portable")
    import timm
    import torch
    from torch import nn

    from sftcore.models.depthwise import speed_up_depthwise

    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape, num_blocks = _SHAPES
    network: Any = timm.create_model("tf_efficientnet_lite0")
    plain = nn.Sequential(*network.blocks[-num_blocks:], network.conv_head, network.bn2).train()
    faster = copy.deepcopy(plain)
    speed_up_depthwise(faster)
    x = torch.randn(shape)

    def update(of: nn.Module) -> Callable[[], None]:
        return lambda: of(x).square().mean().backward()

    pairs = [
        (_milliseconds(update(plain)), _milliseconds(update(faster))) for _ in range(_NUM_ROUNDS)
    ]
    before, after = (statistics.median(each) for each in zip(*pairs[1:], strict=True))
    ratios = sorted(ours / theirs for theirs, ours in pairs[1:])
    low, middle, high = ratios[0], statistics.median(ratios), ratios[-1]
    print(
        f"forward and backward, {_NUM_ROUNDS - 1} pairs: {before:.0f} ms torch, {after:.0f} ms ours"
    )
    print(f"ratio {middle:.2f}, from {low:.2f} to {high:.2f}")


def _milliseconds(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    main()
