"""What the random numbers of a batch cost: ``python -m benchmarks.draws``.

Draws all that a batch of 32 can need (augmentation, erasing, mixing) from stores of several sizes,
with one thread, and prints a Markdown table; writes nothing. The time must not grow with the store.
"""

import statistics
import time

import numpy as np

from sftcore.data.pictures.augment import draw_erasing, epoch_uniforms
from sftcore.foundations.randomness import numpy_stream
from sftcore.regularization.mixing import draw_mixing

BATCH_SIZE = 32
SIDE = 224
NUM_ROWS = (1_000, 10_000, 100_000)
NUM_REPETITIONS = 200


def main() -> None:
    """Time, print."""
    print("| rows of the store | ms per batch, median | quartiles |\n|---|---|---|")
    for num_rows in NUM_ROWS:
        rows = np.arange(num_rows)
        batch = numpy_stream(0, "benchmark").permutation(rows)[:BATCH_SIZE]
        draw(batch, rows)  # warms up
        times = [seconds(batch, rows) * 1e3 for _ in range(NUM_REPETITIONS)]
        low, middle, high = statistics.quantiles(times, n=4)
        print(f"| {num_rows} | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)


def seconds(batch: np.ndarray, rows: np.ndarray) -> float:
    """Time of one batch."""
    began = time.perf_counter()
    draw(batch, rows)
    return time.perf_counter() - began


def draw(batch: np.ndarray, rows: np.ndarray) -> None:
    """All draws of one batch."""
    epoch_uniforms(batch, 0, 0)
    draw_erasing(batch, SIDE, 0.5, 0, 0)
    draw_mixing(batch, rows, SIDE, mixup_alpha=0.2, cutmix_alpha=1.0, seed=0, epoch=0)


if __name__ == "__main__":
    main()
