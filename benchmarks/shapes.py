"""Published shapes of over-fitting, on the prepared data: ``python -m benchmarks.shapes``.

``sizes``: what the best regularizer gains at 15, 30, 50 and 100 % of the training pictures, every
method with equally many settings, chosen by validation loss on seeds that are not reported.
``l2_sp``: L2 towards the start against L2 towards zero, and weight decay, with equal searches.
``lp_ft``: the head first, against plain fine-tuning and the head alone.
``wise_ft``: the line between the trained head and the fine-tuned network.
``temperature``: likelihood, calibration and accuracy before and after it.

Everything is measured on the test split, and nothing is chosen by it. Prints Markdown tables;
writes nothing. Another data set: prepare it in a clone, and run this there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.training import Measured, difference, listing, run_checks, train_and_test
from sftcore.ablation.plan import PROBE
from sftcore.data.portions import Portion
from sftcore.data.store import Store, open_store
from sftcore.foundations.runtime import set_up
from sftcore.foundations.settings import Scalar
from sftcore.metrics.calibration import fit_temperature, scale_probabilities
from sftcore.metrics.classification import classification_metrics
from sftcore.pipeline.paths import PREPARED
from sftcore.settings.studies import with_study
from sftcore.settings.tree import Params, load_params, override
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache

SEARCH_SEED = 1000
FRACTIONS = (0.15, 0.3, 0.5, 1.0)
METHODS: dict[str, tuple[dict[str, Scalar], ...]] = {
    "weight_decay": ({"train.weight_decay": 0.01}, {"train.weight_decay": 0.1}),
    "l2_sp": ({"train.penalties.l2_sp": 0.01}, {"train.penalties.l2_sp": 0.1}),
    "dropout": ({"model.dropout": 0.3}, {"model.dropout": 0.6}),
    "label_smoothing": ({"train.label_smoothing": 0.1}, {"train.label_smoothing": 0.2}),
    "mixup": ({"train.augmentation.mixup": 0.2}, {"train.augmentation.mixup": 0.8}),
    "augmentation": ({"train.augmentation.strength": 0.3}, {"train.augmentation.strength": 0.7}),
    "delta": ({"train.features.delta": 1.0}, {"train.features.delta": 10.0}),
}
DECAYS: dict[str, tuple[dict[str, Scalar], ...]] = {
    name: tuple({f"train.{name}": value} for value in values)
    for name, values in {
        "l2_sp": (0.003, 0.01, 0.03, 0.1),
        "l2": (0.003, 0.01, 0.03, 0.1),
        "weight_decay": (0.006, 0.02, 0.06, 0.2),
    }.items()
}
STARTS: dict[str, dict[str, Scalar]] = {
    "solved head, then all (LP-FT)": {},
    "descended head, then all": {"train.head.method": "descend"},
    "plain fine-tuning": {"train.head.method": "descend", "train.head.epochs": 0},
    "head alone": PROBE,
}


@dataclass(frozen=True)
class Bench:
    """What every check needs.

    Attributes:
        params: of params.yaml.
        base: the same with the base of the full grid's screen.
        store: with the test split.
        device: where to compute.
        cache: of features.
        num_seeds: reported.
    """

    params: Params
    base: Params
    store: Store
    device: torch.device
    cache: FeatureCache
    num_seeds: int

    def run(
        self, base: Params, changes: Mapping[str, Scalar], seed: int, fraction: float = 1.0
    ) -> Measured:
        """One training."""
        params = override(base, changes, "row")
        return train_and_test(
            params, self.store, seed, self.device, self.cache, Portion(fraction=fraction)
        )

    def scores(self, changes: Mapping[str, Scalar], fraction: float = 1.0) -> list[float]:
        """Test accuracy by reported seed, from the screen's base."""
        return [
            self.run(self.base, changes, seed, fraction).accuracy for seed in range(self.num_seeds)
        ]

    def search(
        self, settings: Sequence[dict[str, Scalar]], fraction: float, num_seeds: int = 1
    ) -> tuple[float, dict[str, Scalar]]:
        """The setting with the least mean validation loss, and that loss."""
        losses = []
        for changes in settings:
            seeds = range(SEARCH_SEED, SEARCH_SEED + num_seeds)
            results = [self.run(self.base, changes, seed, fraction).result for seed in seeds]
            losses.append(float(np.mean([r.candidates[r.chosen].val_loss for r in results])))
        best = int(np.argmin(losses))
        return losses[best], settings[best]


def sizes(bench: Bench) -> None:
    """The gain of the best regularizer by size of the training data."""
    print("| part | best on validation | baseline, test accuracy by seed | with it | gain |")
    print("|---|---|---|---|---|")
    for fraction in FRACTIONS:
        found = {name: bench.search(rows, fraction, 2) for name, rows in METHODS.items()}
        best = min(found, key=lambda name: found[name][0])
        changes = found[best][1]
        baseline, better = bench.scores({}, fraction), bench.scores(changes, fraction)
        named = ", ".join(f"{key} {value}" for key, value in changes.items())
        print(f"| {fraction:.0%} | {named} | {listing(baseline)} | {listing(better)} "
              f"| {difference(better, baseline)} |", flush=True)  # fmt: skip


def l2_sp(bench: Bench) -> None:
    """A pull towards the start against pulls towards zero."""
    baseline = bench.scores({})
    print("| penalty | chosen of four | test accuracy by seed | minus none |\n|---|---|---|---|")
    print(f"| none | | {listing(baseline)} | |", flush=True)
    for name, settings in DECAYS.items():
        _, changes = bench.search(settings, 1.0, 2)
        values = bench.scores(changes)
        print(f"| {name} | {next(iter(changes.values()))} | {listing(values)} "
              f"| {difference(values, baseline)} |", flush=True)  # fmt: skip


def lp_ft(bench: Bench) -> None:
    """The order in which head and network are trained, with the recipe of params.yaml."""
    scores: dict[str, list[float]] = {}
    print("| order | test accuracy by seed | mean | minus LP-FT |\n|---|---|---|---|")
    for name, changes in STARTS.items():
        scores[name] = [
            bench.run(bench.params, changes, seed).accuracy for seed in range(bench.num_seeds)
        ]
        against = difference(scores[name], next(iter(scores.values())))
        print(f"| {name} | {listing(scores[name])} | {np.mean(scores[name]):.3f} | {against} |",
              flush=True)  # fmt: skip


def wise_ft(bench: Bench) -> None:
    """Validation along the line, and what its choice does to the test accuracy."""
    lines, chosen, plain = [], [], []
    for seed in range(bench.num_seeds):
        measured = bench.run(bench.params, {"train.averaging.wise_ft": True}, seed)
        lines.append([c for c in measured.result.candidates if c.name == "wise_ft"])
        chosen.append(measured.accuracy)
        plain.append(bench.run(bench.params, {}, seed).accuracy)
    print("| α | validation loss | validation accuracy |\n|---|---|---|")
    for place, candidate in enumerate(lines[0]):
        loss = np.mean([line[place].val_loss for line in lines])
        accuracy = np.mean([line[place].scores["val_accuracy"] for line in lines])
        print(f"| {candidate.alpha:.1f} | {loss:.3f} | {accuracy:.3f} |")
    print(f"\ntest accuracy: fine-tuned {listing(plain)}; at the chosen α {listing(chosen)}; "
          f"difference {difference(chosen, plain)}")  # fmt: skip


def temperature(bench: Bench) -> None:
    """One number fitted on validation, measured on test."""
    labels = bench.store.labels[bench.store.split("test")]
    own = bench.store.labels[bench.store.split("val")]
    ones = np.ones((1, len(labels)))
    print("| seed | T | NLL before | after | ECE before | after | accuracy before | after |")
    print("|---|---|---|---|---|---|---|---|")
    for seed in range(bench.num_seeds):
        measured = bench.run(bench.params, {}, seed)
        logits = measured.result.val_logits
        assert logits is not None
        fitted = fit_temperature(logits.double().cpu().numpy(), own)
        before = classification_metrics(labels, measured.probability.astype(float), ones, 15)
        scaled = scale_probabilities(measured.probability.astype(float), fitted)
        after = classification_metrics(labels, scaled, ones, 15)
        pairs = [
            f"{getattr(metrics, name)[0]:.3f}"
            for name in ("nll", "ece", "accuracy")
            for metrics in (before, after)
        ]
        print(f"| {seed} | {fitted:.2f} | {' | '.join(pairs)} |", flush=True)


CHECKS: dict[str, Callable[[Bench], None]] = {
    check.__name__: check for check in (sizes, l2_sp, lp_ft, wise_ft, temperature)
}


def make_bench(num_seeds: int) -> Bench:
    """What the checks need."""
    params = with_study(load_params(), name="full")
    return Bench(
        params=params,
        base=override(params, params.ablation.chosen.screen.base, "screen.base"),
        store=open_store(PREPARED, ("train", "val", "test")),
        device=set_up(params.runtime.device, params.runtime.num_threads),
        cache=FeatureCache(FEATURE_BUDGET_BYTES),
        num_seeds=num_seeds,
    )


if __name__ == "__main__":
    run_checks(__doc__, CHECKS, make_bench)
