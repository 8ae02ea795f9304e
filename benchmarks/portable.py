"""What ``runtime.mode: portable`` costs: ``python -m benchmarks.portable``.

Trains EfficientNet-Lite0 at 128 pixels in fresh processes, native and portable by turns, and prints
the seconds of one update and their ratio. Prints a Markdown table; writes nothing.
"""

import argparse
import statistics
import subprocess
import sys
import time

from sftcore.foundations.instruction_set import choose_instruction_set

BATCH, SIZE = 32, 128


def seconds_per_update(mode: str, first_block: int, num_updates: int) -> float:
    """Median time of an update of the blocks from ``first_block`` on, with one thread."""
    choose_instruction_set(mode)
    import torch

    from sftcore.foundations.runtime import set_up
    from sftcore.models.start import build_start
    from sftcore.tasks.classification.loss import classification_loss

    start = build_start(
        backbone="timm/tf_efficientnet_lite0", weights="none", num_classes=18, image_size=SIZE,
        dropout=0.0, seed=0, device=set_up("cpu", 1),
    )  # fmt: skip
    network = start.network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    with torch.no_grad():
        pictures = torch.rand(BATCH, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
        inputs = network.run_blocks(pictures, 0, first_block)
    targets = torch.arange(BATCH) % 18
    times = []
    for _ in range(num_updates + 2):  # the first two warm up
        began = time.perf_counter()
        optimizer.zero_grad()
        classification_loss(network(inputs, first_block), targets, 0.1).backward()
        optimizer.step()
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])


def main() -> None:
    """Print the table, or with ``--mode`` one time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=("portable", "native"))
    parser.add_argument("--first-block", type=int, default=0)
    parser.add_argument("--updates", type=int, default=8)
    parser.add_argument("--repetitions", type=int, default=4)
    options = parser.parse_args()
    if options.mode:
        print(seconds_per_update(options.mode, options.first_block, options.updates))
        return
    print("| trained | native, s | portable, s | ratio by pair | median |\n|---|---|---|---|---|")
    for name, first_block in (("all blocks", 0), ("last blocks, from block 5 on", 5)):
        pairs = [
            [elsewhere(mode, first_block, options.updates) for mode in ("native", "portable")]
            for _ in range(options.repetitions)
        ]
        ratios = [portable / native for native, portable in pairs]
        native, portable = (statistics.median(column) for column in zip(*pairs, strict=True))
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| {name} | {native:.3f} | {portable:.3f} | {shown} "
              f"| {statistics.median(ratios):.2f} |", flush=True)  # fmt: skip


def elsewhere(mode: str, first_block: int, num_updates: int) -> float:
    """:func:`seconds_per_update` in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.portable", "--mode", mode, "--first-block",
               str(first_block), "--updates", str(num_updates)]  # fmt: skip
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
