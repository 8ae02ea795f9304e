"""What the pretrained parameters are worth: ``python -m benchmarks.starting_points``.

Trains the recipe of params.yaml from the pretrained parameters, and logistic regression on the same
features, each with several seeds, and measures both on the test split. With ``--scratch`` also from
random parameters, as such a network wants it: every block and the batch norms trained, three times
as long, at the rate that validation likes best of three; this takes half an hour on two cores.
Nothing is chosen by the test split. Prints a Markdown table; writes nothing.
"""

import argparse

import numpy as np

from benchmarks.training import difference, listing, train_and_test
from sftcore.ablation.plan import PROBE
from sftcore.data.portions import Portion
from sftcore.data.store import open_store
from sftcore.foundations.runtime import set_up
from sftcore.pipeline.paths import PREPARED
from sftcore.settings.grids import Changes
from sftcore.settings.tree import load_params, override
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache

SEARCH_SEED = 1000
FIRST, PROBED, SCRATCH = "params.yaml", "logistic regression on its features", "from scratch"
FROM_SCRATCH: Changes = {
    "model.weights": "none",
    "model.trainable_blocks": "all",
    "train.batch_norm": "train",
    "train.head.method": "descend",
    "train.head.epochs": 0,
    "train.epochs": 60,
}
RATES = (0.01, 0.03, 0.1)


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scratch", action="store_true")
    options = parser.parse_args()
    params = load_params()
    device = set_up(params.runtime.device, params.runtime.num_threads)
    store = open_store(PREPARED, ("train", "val", "test"))
    cache = FeatureCache(FEATURE_BUDGET_BYTES)
    rows: dict[str, Changes] = {FIRST: {}, PROBED: PROBE}
    if options.scratch:
        losses = {}
        for rate in RATES:
            changed = override(params, {**FROM_SCRATCH, "train.learning_rate": rate}, "row")
            found = train_and_test(changed, store, SEARCH_SEED, device, cache, Portion()).result
            losses[rate] = found.candidates[found.chosen].val_loss
            print(f"from scratch, rate {rate:g}: validation loss {losses[rate]:.3f}", flush=True)
        best = min(losses, key=lambda rate: losses[rate])
        rows[f"{SCRATCH}, rate {best:g}"] = {**FROM_SCRATCH, "train.learning_rate": best}
    scores: dict[str, list[float]] = {}
    for name, changes in rows.items():
        changed = override(params, changes, "row")
        scores[name] = [
            train_and_test(changed, store, seed, device, cache, Portion()).accuracy
            for seed in range(options.seeds)
        ]
    print(f"\n{len(store.split('test'))} test pictures, seeds 0 to {options.seeds - 1}\n")
    print("| start | test accuracy by seed | mean | minus params.yaml, 95 % interval |")
    print("|---|---|---|---|")
    for name, values in scores.items():
        against = difference(values, scores[FIRST])
        print(f"| {name} | {listing(values)} | {np.mean(values):.3f} | {against} |")


if __name__ == "__main__":
    main()
