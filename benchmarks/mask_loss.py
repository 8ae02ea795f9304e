"""Cross-entropy of masks, by two layouts in memory: ``python -m benchmarks.mask_loss``.

Forth and back, from logits at stride 8 to the loss of every pixel: as the engine has it (channels
first, which torch's kernels take a vector at a time), and with the pixels as rows of few numbers,
as CUDA's deterministic kernel wants them. By turns, one thread, native kernels; prints milliseconds
and the ratio of each pair. Writes nothing.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sftcore.foundations.runtime import set_up
from sftcore.models.dense.pixel_loss import cross_entropy_rows
from sftcore.models.dense.resampling import upsample

_STRIDE = 8


def channels_first(coarse: Tensor, labels: Tensor) -> Tensor:
    """As the engine has it."""
    size = (labels.shape[1], labels.shape[2])
    return cross_entropy_rows(upsample(coarse, size), labels).sum()


def pixels_as_rows(coarse: Tensor, labels: Tensor) -> Tensor:
    """The same loss with classes last, from the upsampling on."""
    size = (labels.shape[1], labels.shape[2])
    one = torch.eye(coarse.shape[2])[None, None]  # what upsampling does to rows and to columns
    matrix = upsample(one, (size[0], coarse.shape[2]))[0, 0]
    inner = matrix @ coarse.permute(0, 2, 3, 1)
    rows = (matrix @ inner.flatten(2)).view(-1, coarse.shape[1])
    return F.cross_entropy(rows, labels.flatten(), reduction="sum")


def milliseconds(loss: Callable[[Tensor, Tensor], Tensor], coarse: Tensor, labels: Tensor) -> float:
    """Of one pass forth and back."""
    logits = coarse.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    began = time.perf_counter()
    loss(logits, labels).backward()
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    set_up("cpu", 1)
    print(
        "| side | classes | channels first, ms | pixels as rows, ms | ratio |\n" + "|---" * 5 + "|"
    )
    for side, num_classes in ((128, 9), (256, 9), (256, 21), (256, 81)):
        places = side // _STRIDE
        stream = torch.Generator().manual_seed(0)
        coarse = torch.randn(options.batch, num_classes, places, places, generator=stream)
        coarse = coarse.contiguous(memory_format=torch.channels_last)
        labels = torch.randint(num_classes, (options.batch, side, side), generator=stream)
        torch.testing.assert_close(channels_first(coarse, labels), pixels_as_rows(coarse, labels))
        pairs = [
            (
                milliseconds(channels_first, coarse, labels),
                milliseconds(pixels_as_rows, coarse, labels),
            )
            for _ in range(options.pairs)
        ]
        ratios = sorted(own / other for own, other in pairs)
        own, other = (statistics.median(pair[k] for pair in pairs) for k in (0, 1))
        print(
            f"| {side} | {num_classes} | {own:.1f} | {other:.1f} | {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
        )


if __name__ == "__main__":
    main()
