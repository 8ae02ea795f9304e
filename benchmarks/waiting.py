"""Waiting threads that soon sleep against such that spin: ``python -m benchmarks.waiting``.

Updates of EfficientNet-Lite0's blocks 5 and 6 with two threads, by turns in processes of their
own, on the machine as it is and beside one busy process a core. Spinning is what libgomp does where
nothing is set: 300,000 rounds, as its manual says of GOMP_SPINCOUNT.
"""

import contextlib
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.depthwise import last_blocks, update
from sftcore.foundations.instruction_set import choose_instruction_set

_SECONDS, _NUM_ROUNDS, _NUM_THREADS = 6.0, 5, 2
_POLICIES = {"spinning": {"GOMP_SPINCOUNT": "300000"}, "sleeping": {}}
_CHILD = "child"


def measured() -> float:
    """Updates a second of this process."""
    choose_instruction_set("portable")
    import torch

    torch.set_num_threads(_NUM_THREADS)
    module, x = last_blocks()
    update(module, x)
    began, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < _SECONDS:
        update(module, x)
        count += 1
    return count / passed


def in_a_process(policy: str) -> float:
    """Updates a second of another process under a policy."""
    command = [sys.executable, "-m", "benchmarks.waiting", _CHILD]
    environment = {**os.environ, **_POLICIES[policy]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _work() -> None:
    while True:
        pass


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    others = [multiprocessing.Process(target=_work, daemon=True) for _ in range(count)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.kill()


def main() -> None:
    """Print a line for each number of busy processes."""
    if sys.argv[1:] == [_CHILD]:
        print(measured())
        return
    for count in (0, os.cpu_count() or 1):
        with busy(count):
            rounds = [[in_a_process(policy) for policy in _POLICIES] for _ in range(_NUM_ROUNDS)]
        spinning, sleeping = (statistics.median(of) for of in zip(*rounds, strict=True))
        ratios = sorted(b / a for a, b in rounds)
        print(
            f"beside {count} busy processes: {spinning:.2f} updates a second spinning, "
            f"{sleeping:.2f} sleeping; ratio {statistics.median(ratios):.2f}, from "
            f"{ratios[0]:.2f} to {ratios[-1]:.2f} ({_NUM_ROUNDS} pairs)",
            flush=True,
        )


if __name__ == "__main__":
    main()
