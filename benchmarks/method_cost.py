"""What each method costs in time: ``python -m benchmarks.method_cost``.

Trains two epochs of the screen's base with and without each row of the full grid (the first of its
settings), by turns, with one thread, and prints the ratios. The features of frozen blocks are
computed anew for every training, as a first one does. Prints a Markdown table; writes nothing.
"""

import argparse
import statistics
import time

from sftcore.data.store import open_store
from sftcore.foundations.runtime import set_up
from sftcore.pipeline.paths import PREPARED
from sftcore.settings.grids import BASELINE_ROW
from sftcore.settings.studies import settings_of, with_study
from sftcore.settings.tree import Params, load_params, override
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.recipe import train

NUM_EPOCHS = 2


def main() -> None:
    """Time, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    num_repetitions = parser.parse_args().repetitions
    params = with_study(load_params(), name="full")
    screen = params.ablation.chosen.screen
    base = override(params, {**screen.base, "train.epochs": NUM_EPOCHS}, "screen.base")
    seconds(base)  # warms up
    print("| method | setting | time, by pair | median |\n|---|---|---|---|")
    for name, row in screen.rows.items():
        if name == BASELINE_ROW:
            continue
        changes = settings_of(row)[0]
        if "train.epochs" in changes:
            continue  # its length is the row
        changed = override(base, changes, name)
        ratios = []
        for _ in range(num_repetitions):
            without = seconds(base)
            ratios.append(seconds(changed) / without)
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        setting = ", ".join(f"{key} {value}" for key, value in changes.items())
        print(f"| {name} | {setting} | {shown} | {statistics.median(ratios):.2f} |", flush=True)


def seconds(params: Params) -> float:
    """Time of one training, its features and averages included."""
    store = open_store(PREPARED, ("train", "val"))
    device = set_up(params.runtime.device, 1)
    began = time.perf_counter()
    train(
        store, params.model, params.train, task=params.task, seed=0, device=device,
        cache=FeatureCache(FEATURE_BUDGET_BYTES), on_epoch=lambda record: None,
    )  # fmt: skip
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
