"""What the pretrained parameters are worth: ``python -m benchmarks.starting_points``.

Trains the recipe of params.yaml from the pretrained parameters, from scratch (the same recipe, and
one with every block and the batch norms trained), and as a linear probe on the same features, each
with several seeds, and measures all of them on the test split. Nothing is chosen by these numbers.
Prints a Markdown table; writes nothing.
"""

import argparse

import numpy as np

from benchmarks.training import difference, listing, train_and_test
from sftcore.data.portions import Portion
from sftcore.data.store import open_store
from sftcore.parameter_types import Scalar
from sftcore.params import load_params, override
from sftcore.pipeline.paths import PREPARED
from sftcore.runtime import set_up
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache

ROWS: dict[str, dict[str, Scalar]] = {
    "params.yaml": {},
    "linear probe": {"model.trainable_blocks": 0, "train.head_epochs": 20, "train.epochs": 0},
    "from scratch, same recipe": {"model.weights": "none", "model.trainable_blocks": "all"},
    "from scratch, batch norm trained": {
        "model.weights": "none",
        "model.trainable_blocks": "all",
        "train.batch_norm": "train",
        "train.head_epochs": 0,
        "train.learning_rate": 0.03,
    },
}


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    num_seeds = parser.parse_args().seeds
    params = load_params()
    device = set_up(params.runtime.device, params.runtime.num_threads)
    store = open_store(PREPARED, ("train", "val", "test"))
    cache = FeatureCache(FEATURE_BUDGET_BYTES)
    scores: dict[str, list[float]] = {}
    for name, changes in ROWS.items():
        changed = override(params, changes, "row")
        scores[name] = [
            train_and_test(changed, store, seed, device, cache, Portion()).accuracy
            for seed in range(num_seeds)
        ]
        print(f"{name}: {listing(scores[name])}", flush=True)
    print(f"\n{len(store.split('test'))} test pictures, seeds 0 to {num_seeds - 1}\n")
    print("| start | test accuracy by seed | mean | minus params.yaml, 95 % interval |")
    print("|---|---|---|---|")
    for name, values in scores.items():
        against = difference(values, scores["params.yaml"])
        print(f"| {name} | {listing(values)} | {np.mean(values):.3f} | {against} |")


if __name__ == "__main__":
    main()
