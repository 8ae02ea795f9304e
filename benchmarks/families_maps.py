"""Every family with a head on its maps, run once: ``python -m benchmarks.families_maps``.

The networks of :mod:`benchmarks.families`, random, with the default head of masks, on noise of at
least 64 pixels. Prints a Markdown table: at how many places the network can be entered (one that is
run whole only at its beginning and end), maps by stride and channels, how many tensors have no part
in the result although they are kept; or why it was refused. Writes nothing.
"""

import argparse

import torch

from benchmarks.families import FAMILIES
from sftcore.foundations.errors import SFTError
from sftcore.foundations.runtime import set_up
from sftcore.models.dense.maps import Maps
from sftcore.models.dense.settings import SegmentationHeadSettings
from sftcore.models.start import build_start

_SIDE = 64  # least side of the pictures, in pixels; a multiple of 32
IN_PARTS, WHOLE, REFUSED, FAILED = "in parts", "whole", "refused", "failed"


def try_maps(name: str, size: int) -> tuple[str, str]:
    """Build one, run it once, and say what came of it.

    Returns:
        The kind of outcome, and words.
    """
    side = max(_SIDE, -(-size // 32) * 32)
    network = build_start(
        backbone=name, weights="none", num_classes=3, image_size=side, dropout=0.0, seed=0,
        device=torch.device("cpu"), dense=SegmentationHeadSettings(width=8),
    ).network  # fmt: skip
    picture = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    maps = network.train().features(picture)
    assert isinstance(maps, Maps)
    network.head(maps).square().sum().backward()
    entries = {network.entry(block) for block in range(len(network.blocks) + 1)}
    channels = ", ".join(f"{stride}: {each.shape[1]}" for stride, each in maps.items())
    idle = sum(each.grad is None for each in network.parameters())
    words = f"{len(entries)} | {channels} | {idle}"
    return (WHOLE if len(network.segments) == 1 else IN_PARTS), words


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="backbones; all if none")
    options = parser.parse_args()
    set_up("cpu", 1)
    counts = dict.fromkeys((IN_PARTS, WHOLE, REFUSED, FAILED), 0)
    print("| backbone | run | entries | channels by stride | idle tensors |\n|---|---|---|---|---|")
    for name in options.names or FAMILIES:
        try:
            outcome, words = try_maps(name, FAMILIES[name])
        except SFTError as error:
            outcome, words = REFUSED, f"| {error} |"
        except Exception as error:  # a benchmark goes on to the next family
            outcome, words = FAILED, f"| {error!r} |"
        counts[outcome] += 1
        print(f"| {name} | {outcome} | {words} |", flush=True)
    print(f"\n{counts}")


if __name__ == "__main__":
    main()
