"""What blows up and what survives it, on the prepared data: ``python -m benchmarks.instability``.

``rates``: learning rates that fail alone; the same with warm-up, clipping, batch norm, the guard.
``trips``: how often the guard trips where nothing is wrong: every row of the full screen.
``range_test``: what ``auto`` takes, against the rates of params.yaml.
``batch_norm``: policies by batch size, with the gap between the two modes.

Trainings start from the recipe of params.yaml with nothing that keeps it stable; everything is
measured on the validation split. Prints Markdown tables; writes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.training import difference, listing, run_checks
from sftcore.data.store import Store, open_store
from sftcore.foundations.errors import ParamsError
from sftcore.foundations.runtime import set_up
from sftcore.foundations.settings import Scalar
from sftcore.pipeline.paths import PREPARED
from sftcore.settings.studies import settings_of, with_study
from sftcore.settings.tree import Params, load_params, override
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.recipe import train
from sftcore.training.records import FitResult

BASE: dict[str, Scalar] = {
    "train.range_test.enabled": False,
    "train.guard.answers": "none",
    "train.batch_norm": "freeze_statistics",
}
RATES = (0.01, 0.03, 0.1, 0.3)
ANSWERS: dict[str, dict[str, Scalar]] = {
    "nothing": {},
    "warm-up over 30 %": {"train.schedule.warmup": 0.3},
    "clip_norm 1": {"train.clipping.norm": 1.0},
    "clip_agc 0.01": {"train.clipping.agc": 0.01},
    "batch norm train": {"train.batch_norm": "train"},
    "batch norm recalibrate": {"train.batch_norm": "recalibrate"},
    "guard skip+rollback": {"train.guard.answers": "skip+rollback"},
    "guard clip": {"train.guard.answers": "clip"},
}


@dataclass(frozen=True)
class Bench:
    """What every check needs; see :class:`benchmarks.shapes.Bench`."""

    base: Params
    store: Store
    device: torch.device
    cache: FeatureCache
    num_seeds: int

    def run(self, changes: Mapping[str, Scalar], seed: int) -> FitResult:
        """One training from the base."""
        params = override(self.base, changes, "row")
        return train(
            self.store, params.model, params.train, task=params.task, seed=seed, device=self.device,
            cache=self.cache, on_epoch=lambda record: None,
        ).result  # fmt: skip

    def has_failed(self, result: FitResult) -> bool:
        """Whether it diverged, or ends no better on training pictures than guessing."""
        guessing = np.log(len(self.store.classes))
        return bool(result.diverged) or result.history[-1].train_loss >= guessing


def rates(bench: Bench) -> None:
    """Failed seeds, and the last validation loss of the others."""
    print(f"| answer | {' | '.join(f'{rate:g}' for rate in RATES)} |\n|---{'|---' * len(RATES)}|")
    for name, changes in ANSWERS.items():
        cells = []
        for rate in RATES:
            results = [
                bench.run({**changes, "train.learning_rate": rate}, seed)
                for seed in range(bench.num_seeds)
            ]
            alive = [r.history[-1].val_loss for r in results if not bench.has_failed(r)]
            failed = bench.num_seeds - len(alive)
            text = f"{failed} of {bench.num_seeds} fail" if failed else ""
            losses = f"{np.mean(alive):.2f} ± {np.std(alive, ddof=1):.2f}" if len(alive) > 1 else ""
            incidents = sum(len(r.incidents) for r in results)
            tripped = f"{incidents} incidents" if incidents else ""
            cells.append(", ".join(part for part in (losses, text, tripped) if part))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def trips(bench: Bench) -> None:
    """Incidents of the guard, by method."""
    print("| method | updates | incidents |\n|---|---|---|")
    for name, row in with_study(load_params(), name="full").ablation.chosen.screen.rows.items():
        results = [
            bench.run({**settings_of(row)[0], "train.guard.answers": "skip"}, seed)
            for seed in range(bench.num_seeds)
        ]
        updates = sum(len(r.updates) for r in results)
        seen = [f"{i.trouble} ({i.score:.1f})" for r in results for i in r.incidents]
        print(f"| {name} | {updates} | {len(seen)} {', '.join(seen)} |", flush=True)


def range_test(bench: Bench) -> None:
    """Suggested rates and what comes of them."""
    print("| learning rates | head, by seed | blocks, by seed | least validation loss, by seed "
          "| minus params.yaml |\n|---|---|---|---|---|")  # fmt: skip
    descended: dict[str, Scalar] = {"train.head.method": "descend"}  # a solved one has no rate
    auto: dict[str, Scalar] = {
        **descended, "train.learning_rate": "auto", "train.head.learning_rate": "auto",
    }  # fmt: skip
    rows: dict[str, dict[str, Scalar]] = {
        "params.yaml": descended,
        "auto, valley": auto,
        "auto, steepest": {**auto, "train.range_test.suggestion": "steepest"},
    }
    first: list[float] = []
    for name, changes in rows.items():
        try:
            results = [bench.run(changes, seed) for seed in range(bench.num_seeds)]
        except ParamsError as error:
            print(f"| {name} | {error} | | | |", flush=True)
            continue
        losses = [min(r.val_loss for r in result.history) for result in results]
        first = first or losses
        shown = [
            ", ".join(f"{_peak(result, phase):.2g}" for result in results)
            for phase in ("head", "full")
        ]
        print(f"| {name} | {shown[0]} | {shown[1]} | {listing(losses)} "
              f"| {difference(losses, first)} |", flush=True)  # fmt: skip


def _peak(result: FitResult, phase: str) -> float:
    """The largest rate of a phase."""
    updates = zip(result.updates.learning_rate, result.updates.epoch, strict=True)
    return max(rate for rate, epoch in updates if result.history[int(epoch)].phase == phase)


def batch_norm(bench: Bench) -> None:
    """Least validation loss and the last gap, by policy and batch size."""
    print("| policy | batch size | rate | least validation loss, by seed | last gap, mean |")
    print("|---|---|---|---|---|")
    for policy in ("freeze_all", "freeze_statistics", "train", "recalibrate"):
        for size in (4, 32):
            rate = 0.003 if size == 4 or policy.startswith("freeze") else 0.03
            changes: dict[str, Scalar] = {
                "train.batch_norm": policy, "train.batch_size": size, "train.learning_rate": rate,
            }  # fmt: skip
            results = [bench.run(changes, seed) for seed in range(bench.num_seeds)]
            losses = [min(r.val_loss for r in result.history) for result in results]
            gap = np.mean([result.history[-1].batch_norm_gap for result in results])
            print(f"| {policy} | {size} | {rate:g} | {listing(losses)} | {gap:+.2f} |", flush=True)


CHECKS: dict[str, Callable[[Bench], None]] = {
    check.__name__: check for check in (rates, trips, range_test, batch_norm)
}


def make_bench(num_seeds: int) -> Bench:
    """What the checks need."""
    params = load_params()
    return Bench(
        base=override(params, BASE, "base"),
        store=open_store(PREPARED, ("train", "val")),
        device=set_up(params.runtime.device, params.runtime.num_threads),
        cache=FeatureCache(FEATURE_BUDGET_BYTES),
        num_seeds=num_seeds,
    )


if __name__ == "__main__":
    run_checks(__doc__, CHECKS, make_bench)
