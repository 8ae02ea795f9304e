"""The recipe against logistic regression on its own features: ``python -m benchmarks.recipe DATA``.

DATA are folders of prepared pictures. Both are trained on the same replicates of the train and
validation pictures, and judged by pictures that had no say; differences with the corrected
resampled t. With ``--test`` both are trained once more on the data's own split, and the test split
is read once, at the very end; the interval is the bootstrap over groups of near-duplicates. Prints
a Markdown row per data set; writes nothing.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.training import CONFIDENCE, train_and_test
from sftcore.ablation.effects import LEAST_SPREAD_NATS
from sftcore.ablation.plan import PROBE
from sftcore.data.portions import Portion, take_portion
from sftcore.data.store import Store, open_store
from sftcore.foundations.randomness import numpy_stream
from sftcore.foundations.runtime import set_up
from sftcore.metrics.classification import resolution, scores
from sftcore.metrics.intervals import (
    grouped_bootstrap_weights,
    percentile_interval,
    resampled_interval,
)
from sftcore.settings.tree import Params, load_params, override
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.recipe import train

FIRST_REPLICATE = 5000  # that no study draws
NUM_RESAMPLES = 2000
METRICS = ("loss", "accuracy")
HEAD = (
    "| data | train, judge | probe: loss, accuracy | recipe minus probe: loss | accuracy | "
    "better in loss | seconds a training, recipe and probe | test: probe's accuracy | "
    "recipe minus probe on test: loss | accuracy |\n" + "|---" * 10 + "|"
)


@dataclass(frozen=True)
class Compared:
    """Two trainings by replicate.

    Attributes:
        recipe: loss and accuracy of the recipe [K, 2].
        probe: of logistic regression [K, 2].
        seconds: of a training by replicate [K, 2], recipe and probe; each without the features of
            the frozen blocks, which are computed once.
        num_train: pictures.
        num_judge: pictures.
    """

    recipe: np.ndarray
    probe: np.ndarray
    seconds: np.ndarray
    num_train: float
    num_judge: float

    def difference(self, place: int) -> str:
        """Mean difference of a metric with its interval."""
        metric = METRICS[place]
        found = resampled_interval(
            (self.recipe - self.probe)[:, place].tolist(),
            self.num_judge / self.num_train,
            CONFIDENCE,
            max(
                resolution(metric, round(self.num_judge)),
                LEAST_SPREAD_NATS if metric == "loss" else 0.0,
            ),
        )
        return _signed(found.mean, found.low, found.high)


def keep_per_class(store: Store, num: int) -> Store:
    """A store whose pool has about so many pictures a class, by whole groups; test is whole.

    Args:
        store: opened with the train and val splits, or all three.
        num: pictures of a class in train and val together.
    """
    samples = store.samples
    is_test = (samples["split"] == "test").to_numpy(dtype=bool)
    names = np.unique(samples["group"][~is_test].to_numpy())
    order = numpy_stream(0, "per_class").permutation(len(names))
    place = samples["group"].map(dict(zip(names, order, strict=True))).to_numpy()
    kept = is_test.copy()
    for label in samples["label"].unique():
        own = (samples["label"] == label).to_numpy(dtype=bool) & ~is_test
        last = np.sort(place[own])[min(num, own.sum()) - 1]
        kept |= own & (place <= last)
    return replace(
        store, samples=samples[kept].reset_index(drop=True), digest=f"{store.digest} {num}"
    )


def compare(params: Params, store: Store, num: int, device: torch.device) -> Compared:
    """Both on the same replicates.

    Args:
        params: whose recipe it is.
        store: opened with the train and val splits.
        num: K, of replicates.
        device: where to compute.
    """
    both = params, override(params, PROBE, "probe")
    cache, ablation = FeatureCache(FEATURE_BUDGET_BYTES), params.ablation
    values, seconds, sizes = np.zeros((num, 2, 2)), np.zeros((num, 2)), []
    for number in range(num):
        portion = Portion(
            FIRST_REPLICATE + number, ablation.judge_fraction, ablation.choose_fraction
        )
        seed = params.seed + portion.replicate
        parts = take_portion(store.samples, portion, seed)
        sizes.append((len(parts.train), len(parts.judge)))
        for place, each in enumerate(both):
            began = time.perf_counter()
            result = train(
                store, each.model, each.train, task="classification", seed=seed,
                device=device, cache=cache, on_epoch=lambda record: None, portion=portion,
            ).result  # fmt: skip
            seconds[number, place] = time.perf_counter() - began
            assert result.judge_logits is not None
            logits = result.judge_logits.double().cpu().numpy()
            found = scores(logits, store.labels[parts.judge])
            values[number, place] = [found[metric] for metric in METRICS]
    num_train, num_judge = np.mean(sizes, axis=0).tolist()
    return Compared(values[:, 0], values[:, 1], seconds, num_train, num_judge)


def read_test(params: Params, store: Store, device: torch.device) -> list[str]:
    """Both on the data's own split, where validation chooses; then the test split, once."""
    rows = store.split("test")
    labels, cache = store.labels[rows], FeatureCache(FEATURE_BUDGET_BYTES)
    outcomes = []
    for each in (params, override(params, PROBE, "probe")):
        found = train_and_test(each, store, params.seed, device, cache, Portion())
        chance = found.probability[np.arange(len(rows)), labels].astype(float)
        right = found.probability.argmax(axis=1) == labels
        outcomes.append(np.stack([-np.log(chance.clip(1e-12)), right.astype(float)]))
    groups = store.samples.set_index("row").loc[rows, "group"].to_numpy()
    difference = outcomes[0] - outcomes[1]
    resampled = np.concatenate([
        weights @ difference.T / weights.sum(axis=1, keepdims=True)
        for weights in grouped_bootstrap_weights(groups, NUM_RESAMPLES, params.seed, "recipe")
    ])  # fmt: skip
    low, high = percentile_interval(resampled, CONFIDENCE)
    means = difference.mean(axis=1)
    return [
        f"{outcomes[1][1].mean():.3f} of {len(rows)}",
        *(_signed(means[i], low[i], high[i]) for i in range(len(METRICS))),
    ]


def _signed(mean: float, low: float, high: float) -> str:
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def row_of(name: str, found: Compared, test: Sequence[str]) -> str:
    """One line of :data:`HEAD`."""
    better = int((found.recipe < found.probe)[:, 0].sum())
    times = np.median(found.seconds, axis=0)
    cells = [
        name,
        f"{found.num_train:.0f}, {found.num_judge:.0f}",
        ", ".join(f"{value:.3f}" for value in found.probe.mean(axis=0)),
        *(found.difference(place) for place in range(len(METRICS))),
        f"{better} of {len(found.recipe)}",
        f"{times[0]:.1f}, {times[1]:.1f}",
        *(test or [""] * 3),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--replicates", type=int, default=10)
    parser.add_argument("--per-class", type=int, help="pictures of a class in train and val")
    parser.add_argument("--test", action="store_true", help="read the test split at the end")
    options = parser.parse_args()
    params = override(load_params(), {"train.range_test.enabled": False}, "recipe")
    device = set_up(params.runtime.device, params.runtime.num_threads)
    print(HEAD)
    for folder in options.data:
        name = folder.parent.name if folder.name == "prepared" else folder.name
        store = open_store(folder, ("train", "val"))
        if options.per_class:
            name, store = (
                f"{name}, {options.per_class} a class",
                keep_per_class(store, options.per_class),
            )
        found = compare(params, store, options.replicates, device)
        test: list[str] = []
        if options.test:
            whole = open_store(folder, ("train", "val", "test"))
            whole = keep_per_class(whole, options.per_class) if options.per_class else whole
            test = read_test(params, whole, device)
        print(row_of(name, found, test), flush=True)


if __name__ == "__main__":
    main()
