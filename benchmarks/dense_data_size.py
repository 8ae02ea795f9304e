"""Pretraining against scratch by the number of pictures: ``python -m benchmarks.dense_data_size``.

He, Girshick and Dollár (2019, Rethinking ImageNet pre-training, section 5.2) train detectors from
pretrained and from random parameters on ever fewer pictures of COCO. With 10,000 they come to an
average precision of 26.0 and 25.9, with 1,000 to 9.9 and 3.5, and even there training from scratch
brings the training loss as far down: what it lacks is data, not optimisation.

Expected here, with 30 to 198 pictures: pretraining is ahead everywhere; its lead shrinks as
pictures are added (which it did not, see docs/evidence.md), and does not vanish; from scratch the
training loss ends at the same level or below. If it ends above, the training was too short, and the
table says nothing of data.

- pretrained: ``examples/<task>/params.yaml``.
- from scratch: every block trained with its batch norm, from the first update on, at the rate that
  validation likes best of three with all pictures of a replicate that is not measured, and for
  ``--epochs``, which are more than four times as many.

A start takes about as many updates whatever the pictures: with half of them, twice the epochs. All
end with the last epoch, so validation decides nothing but that rate, and a few pictures stand for
it beyond. Losses are plain and in evaluation mode, of training pictures: per pixel, or per
foreground point. Splits and intervals: :mod:`benchmarks.scenes`; the subsets of a replicate are
nested and hold whole pools, so fewer pictures show fewer drawings, too. Prints Markdown; writes
nothing outside of a temporary folder.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.dense_peers import FEW, SEARCH_REPLICATE
from benchmarks.scenes import (
    SCORES,
    TASKS,
    Outcome,
    by_this_engine,
    difference,
    recipe_of,
    replicate_of,
    scenes,
    shown,
)
from sftcore.data.store import Store
from sftcore.foundations.randomness import numpy_stream
from sftcore.foundations.runtime import set_up
from sftcore.settings.grids import Changes
from sftcore.settings.tree import Params, override

FRACTIONS = (0.15, 0.5, 1.0)
RATES = (3e-4, 1e-3, 3e-3)
LAST_EPOCH: Changes = {"train.selection.margin": 1e3}
FROM_SCRATCH: Changes = {
    "model.weights": "none",
    "model.trainable_blocks": "all",
    "train.batch_norm": "train",
    "train.head.epochs": 0,
}
STARTS = ("pretrained", "scratch")


@dataclass(frozen=True)
class Grown:
    """A training with a part of the pictures.

    Attributes:
        outcome: its scores.
        loss: on training pictures at the end.
        num_updates: that it took.
        num_train: pictures.
    """

    outcome: Outcome
    loss: float
    num_updates: int
    num_train: int


def grown(store: Store, params: Params, fraction: float, seed: int) -> Grown:
    """Train with a part of the pictures, for about as many updates as with all."""
    samples, whole = store.samples, len(store.split("train"))
    is_train = samples["split"] == "train"
    pools = np.unique(samples["group"][is_train].to_numpy(dtype=str))
    order = numpy_stream(seed, "pools").permutation(pools)
    is_kept = samples["group"].isin(order[: max(1, round(fraction * len(pools)))])
    part = replace(store, samples=samples[~is_train | is_kept].reset_index(drop=True))
    num_train = len(part.split("train"))
    lengths = {"train.epochs": params.train.epochs, "train.head.epochs": params.train.head.epochs}
    longer = {name: round(length * whole / num_train) for name, length in lengths.items()}
    outcome, trained = by_this_engine(part, override(params, longer, "part"), seed)
    result = trained.result
    return Grown(outcome, result.history[-1].train_loss, len(result.updates), num_train)


def best_rate(store: Store, params: Params) -> float:
    """The rate with the best validation score from scratch."""
    found = {}
    for rate in RATES:
        changed = override(params, {"train.learning_rate": rate}, "rate")
        outcome, trained = by_this_engine(store, changed, SEARCH_REPLICATE)
        found[rate] = outcome.val
        loss = trained.result.history[-1].train_loss
        print(
            f"- from scratch at {rate:g}: {outcome.val:.3f} on validation, training loss "
            f"{loss:.3f}, {outcome.seconds:.0f} s",
            flush=True,
        )
    return max(found, key=found.__getitem__)


def compare(
    store: Store,
    recipes: Mapping[str, Params],
    fraction: float,
    seeds: int,
    most: Mapping[str, int],
) -> None:
    """Print a line for each start."""
    found: dict[str, list[Grown]] = {name: [] for name in recipes}
    for seed in range(seeds):
        drawn = replicate_of(store, seed, most)
        for name, params in recipes.items():
            found[name].append(grown(drawn, params, fraction, seed))
    tests = [[each.outcome.test for each in found[name]] for name in STARTS]
    gaps = [one - other for one, other in zip(*tests, strict=True)]
    lead = shown(difference(replicate_of(store, 0), gaps))
    for name, each in found.items():
        cells = [f"{statistics.mean(one.num_train for one in each):.0f}", name]
        cells.append(f"{statistics.mean(one.num_updates for one in each):.0f}")
        cells.append(_spread([one.loss for one in each]))
        cells.append(_spread([one.outcome.train for one in each]))
        cells.append(_spread([one.outcome.test for one in each]))
        cells.append(lead if name == STARTS[0] else "")
        cells.append(f"{statistics.mean(one.outcome.seconds for one in each):.0f}")
        print(f"| {' | '.join(cells)} |", flush=True)


def _spread(values: Sequence[float]) -> str:
    """Mean and standard deviation; NaN of a single value."""
    deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.3f} ± {deviation:.3f}"


def recipes_of(
    store: Store, task: str, options: argparse.Namespace, most: Mapping[str, int]
) -> dict[str, Params]:
    """The recipe of each start; prints how the rate from scratch was found."""
    short: Changes = {"train.head.epochs": 1, "train.epochs": 1} if options.quick else {}
    pretrained = override(recipe_of(task), {**LAST_EPOCH, **short}, "pretrained")
    epochs = 1 if options.quick else options.epochs
    scratch = override(pretrained, {**FROM_SCRATCH, "train.epochs": epochs}, "scratch")
    rate = options.rate or best_rate(replicate_of(store, SEARCH_REPLICATE, most), scratch)
    print(f"\nFrom scratch at {rate:g}; {options.seeds} replicates, mean ± standard deviation\n")
    return {
        "pretrained": pretrained,
        "scratch": override(scratch, {"train.learning_rate": rate}, "rate"),
    }


def main() -> None:
    """Print a table for each task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="*", choices=[*TASKS, []], default=[])
    parser.add_argument("--seeds", type=int, default=3, help="replicates")
    parser.add_argument("--epochs", type=int, default=60, help="from scratch, with all pictures")
    parser.add_argument("--rate", type=float, help="from scratch; without it three are tried")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="whether it runs at all")
    options = parser.parse_args()
    set_up("cpu", options.threads)
    most = FEW if options.quick else {}
    for task in options.tasks or TASKS[:1]:
        with scenes(recipe_of(task)) as store:
            print(f"\n## {task}\n", flush=True)
            recipes = recipes_of(store, task, options, most)
            print(
                f"| pictures | start | updates | training loss | {SCORES[task]} on training "
                "pictures | on pictures without a say | lead of pretraining | seconds |"
            )
            print("|---" * 8 + "|", flush=True)
            for fraction in FRACTIONS:
                compare(store, recipes, fraction, options.seeds, {"val": FEW["val"], **most})


if __name__ == "__main__":
    main()
