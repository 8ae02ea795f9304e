"""Widely used trainers of masks and boxes beside this engine: ``python -m benchmarks.dense_peers``.

Both start from the same weights of EfficientNet-Lite0 (compared at the start) and learn from the
same squares of the same scenes in the same order, without augmentation, in batches of the same
size and for as many updates. Both are measured by this project's metrics on the same pictures that
had no say (:mod:`benchmarks.scenes`). This engine follows ``examples/<task>/params.yaml``: the head
first, then two blocks with it, and validation may choose an earlier epoch. The peers train as their
own documentation does, end to end, and end with the last epoch:

- segmentation: segmentation_models_pytorch's FPN, every parameter, batch norm in training mode. Its
  example of several classes minimises Dice by Adam at 2e-4 with a cosine.
- detection: torchvision's FCOS as its ``references/detection`` trains it. What its builder freezes
  of a pretrained ResNet is frozen here: batch norm, and what lies before stride 8. Its recipe has
  SGD at 0.01 for 16 pictures, a first epoch of warm-up, and a tenth of the rate after 16 and again
  after 22 of 26 epochs; its script offers AdamW and a cosine by epochs, too. Its threshold of
  scores is lowered to 0.05, so that it cuts little that average precision would count.

So short a training is not what those recipes are made for. Each peer is therefore given the best of
four ways by the validation score of a replicate that is not measured, while this engine's recipe
stays as it is; ``--peer-times 2`` gives the peer twice the epochs as well. ``--widths`` are
channels of the peer's head: 64 is this project's (of detection with its levels and convolutions),
0 the library's own. A peer measures the validation pictures after each epoch, as this engine does,
which besides measures training pictures twice. Both have channels last in memory, which the peers'
documentation does not ask for. Times are of whole trainings in turns, with the search for the
peer's way left out. Prints Markdown; writes nothing outside of a temporary folder.
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence

import torch

from benchmarks.dense_peer import PEERS, Way, by_peer, maps_differ
from benchmarks.scenes import (
    SCORES,
    SPLITS,
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
from sftcore.foundations.runtime import set_up
from sftcore.settings.tree import Params, override

SEARCH_REPLICATE = 1000
FEW = dict.fromkeys(SPLITS, 8)  # pictures with --quick


def with_epochs(params: Params, total: int) -> Params:
    """The recipe in so many epochs, shared among head and blocks as it has them."""
    both = params.train.head.epochs, params.train.epochs
    of_head = max(1, round(total * both[0] / sum(both)))
    changes = {"train.head.epochs": of_head, "train.epochs": max(1, total - of_head)}
    return override(params, changes, "--epochs")


def best_way(store: Store, params: Params, width: int, epochs: int) -> Way:
    """The way with the best validation score."""
    found: dict[Way, float] = {}
    for way in PEERS[params.task].ways:
        outcome = by_peer(store, params, way, width, epochs, SEARCH_REPLICATE)
        found[way] = outcome.val
        print(
            f"- {way.name}: {outcome.val:.3f} on validation, {outcome.train:.3f} on training "
            f"pictures, {outcome.seconds:.0f} s",
            flush=True,
        )
    return max(found, key=found.__getitem__)


def in_turns(
    store: Store, params: Params, way: Way, width: int, epochs: int, number: int
) -> tuple[Outcome, Outcome]:
    """This engine's outcome and the peer's; who begins alternates."""

    def own() -> Outcome:
        return by_this_engine(store, params, number)[0]

    def other() -> Outcome:
        return by_peer(store, params, way, width, epochs, number)

    if number % 2 == 0:
        first = own()
        return first, other()
    second = other()
    return own(), second


def compare(
    store: Store, params: Params, width: int, peer_times: int, seeds: int, most: Mapping[str, int]
) -> None:
    """Print each replicate, then a line that sums them up."""
    peer = PEERS[params.task]
    epochs = params.train.head.epochs + params.train.epochs
    title = f"{peer.name}, head of {width or 'its own'} channels, {epochs * peer_times} epochs"
    print(
        f"\n## {params.task}: {title}\n\nWays, on a replicate that is not measured:\n", flush=True
    )
    searched = replicate_of(store, SEARCH_REPLICATE, most)
    way = best_way(searched, params, width, epochs * peer_times)
    print(f"\nTaken: {way.name}. {SCORES[params.task]} on pictures without a say (on training "
          f"pictures), and seconds:\n\n| replicate | this engine, {epochs} epochs | {peer.name} | "
          "seconds | its seconds |")  # fmt: skip
    print("|---" * 5 + "|", flush=True)
    pairs, drawn = [], searched
    for number in range(seeds):
        drawn = replicate_of(store, number, most)
        own, other = in_turns(drawn, params, way, width, epochs * peer_times, number)
        pairs.append((own, other))
        cells = [f"{each.test:.3f} ({each.train:.3f})" for each in (own, other)]
        cells += [f"{each.seconds:.0f}" for each in (own, other)]
        print(f"| {number} | {' | '.join(cells)} |", flush=True)
    print(summary(drawn, pairs))


def summary(store: Store, pairs: Sequence[tuple[Outcome, Outcome]]) -> str:
    """Means, the difference with its interval, and the ratio of the times."""
    of_own, of_other = (statistics.mean(pair[k].test for pair in pairs) for k in (0, 1))
    found = difference(store, [own.test - other.test for own, other in pairs])
    ratios = sorted(own.seconds / other.seconds for own, other in pairs)
    sizes = ", ".join(f"{len(store.split(name))} {name}" for name in store.splits)
    return (
        f"\n{len(pairs)} replicates ({sizes}): {of_own:.3f} beside {of_other:.3f}, difference "
        f"{shown(found)}; time as part of the peer's {statistics.median(ratios):.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def main() -> None:
    """Print the comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="*", choices=[*TASKS, []], default=[])
    parser.add_argument("--seeds", type=int, default=5, help="replicates")
    parser.add_argument("--epochs", type=int, help="of both; those of params.yaml without it")
    parser.add_argument("--peer-times", type=int, default=1, help="epochs of the peer, as a factor")
    parser.add_argument(
        "--widths", type=int, nargs="+", default=[64], help="0 is the library's own"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="whether it runs at all")
    options = parser.parse_args()
    set_up("cpu", options.threads)
    epochs, most = (2, FEW) if options.quick else (options.epochs, {})
    for task in options.tasks or TASKS:
        params = recipe_of(task)
        params = with_epochs(params, epochs) if epochs else params
        began = time.perf_counter()
        with scenes(params) as store:
            print(
                f"{task}: {len(store.samples)} scenes of {store.image_size} pixels, prepared in "
                f"{time.perf_counter() - began:.0f} s; {torch.get_num_threads()} threads; the maps "
                f"at the start differ by {maps_differ(store, params):.1e} of the largest value",
                flush=True,
            )
            for width in options.widths:
                compare(store, params, width, options.peer_times, options.seeds, most)


if __name__ == "__main__":
    main()
