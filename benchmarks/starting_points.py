"""What the pretrained parameters are worth: ``python -m benchmarks.starting_points``.

Trains the recipe of params.yaml from the pretrained parameters, from scratch (the same recipe, and
one with every block and the batch norms trained), and as a linear probe on the same features, each
with several seeds, and measures all of them on the test split. Nothing is chosen by these numbers.
Prints a Markdown table; writes nothing.
"""

import argparse
import time

import numpy as np
import torch

from sftcore.data.store import Store, open_store
from sftcore.evaluation.predict import predict_probabilities
from sftcore.metrics.intervals import paired_interval
from sftcore.params import load_params, override
from sftcore.pipeline.paths import PREPARED
from sftcore.recipe import train
from sftcore.runtime import set_up
from sftcore.sections import Scalar
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache

CONFIDENCE = 0.95
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
    scores = {
        name: [accuracy(changes, store, seed, device, cache) for seed in range(num_seeds)]
        for name, changes in ROWS.items()
    }
    print(f"\n{len(store.split('test'))} test pictures, seeds 0 to {num_seeds - 1}\n")
    print("| start | test accuracy by seed | mean | minus params.yaml, 95 % interval |")
    print("|---|---|---|---|")
    for name, values in scores.items():
        differences = np.array(values) - np.array(scores["params.yaml"])
        found = paired_interval(differences.tolist(), CONFIDENCE)
        by_seed = ", ".join(f"{value:.3f}" for value in values)
        print(f"| {name} | {by_seed} | {np.mean(values):.3f} "
              f"| {found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}] |")  # fmt: skip


def accuracy(
    changes: dict[str, Scalar],
    store: Store,
    seed: int,
    device: torch.device,
    cache: FeatureCache,
) -> float:
    """Test accuracy of one training, at the epoch that validation chose."""
    params = override(load_params(), changes, "row")
    began = time.perf_counter()
    trained = train(store, params.model, params.train, seed=seed, device=device, cache=cache,
                    on_epoch=lambda record: None)  # fmt: skip
    network, record = trained.start.network, trained.start.record
    network.load_state_dict(trained.result.chosen_state)
    test = store.split("test")
    probability = predict_probabilities(
        network.eval(), store.images[test], mean=record.mean, std=record.std, device=str(device)
    )
    right = float((probability.argmax(axis=1) == store.labels[test]).mean())
    print(f"{changes} seed {seed}: {right:.3f} in {time.perf_counter() - began:.0f} s", flush=True)
    return right


if __name__ == "__main__":
    main()
