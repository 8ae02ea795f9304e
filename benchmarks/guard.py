"""What the guard costs and how often it is wrong: ``python -m benchmarks.guard <check>``.

``simulate``: losses and gradients of a network that fits all but the wrong labels, many updates.
``healthy``: trainings on the prepared data where nothing is wrong; every incident is a false alarm.
``cost``: trainings with and without the guard by turns, and the memory of the state it keeps.

Prints Markdown tables; writes nothing.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any
from unittest import mock

import torch

from benchmarks.guard_simulation import BATCH_SIZES, SIMULATIONS, WRONG, simulate
from sftcore.data.store import Store, open_store
from sftcore.foundations.runtime import set_up
from sftcore.foundations.settings import Scalar
from sftcore.metrics.intervals import paired_interval
from sftcore.pipeline.paths import PREPARED
from sftcore.settings.studies import load_with_study
from sftcore.settings.tree import Params, load_params, override
from sftcore.stability.guard import (
    GIVE_UP,
    GRADIENT_SPIKE,
    LOSS_SPIKE,
    ROLLBACK,
    SKIP,
    GuardSettings,
    Seen,
    find_trouble,
    is_high,
    remember_update,
)
from sftcore.training import epoch
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.recipe import train
from sftcore.training.records import FitResult
from sftcore.training.state import TrainingState

_CONFIDENCE = 0.95


def run_simulations(options: argparse.Namespace) -> None:
    """False alarms of wrong labels, by batch size."""
    settings = load_params().train.guard
    print(f"{options.seeds} runs of {options.updates} updates each, {WRONG:.0%} wrong labels\n")
    print("| simulation | batch size | gave up | rollbacks | skips | of them for the loss "
          "| seconds |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for name in SIMULATIONS:
        for batch_size in BATCH_SIZES:
            begin = time.perf_counter()
            found = [
                incident
                for seed in range(options.seeds)
                for incident in simulate(name, batch_size, options.updates, seed, settings)
            ]
            count = {a: sum(i.answer == a for i in found) for a in (GIVE_UP, ROLLBACK, SKIP)}
            by_loss = sum(i.trouble == LOSS_SPIKE for i in found)
            print(f"| {name} | {batch_size} | {count[GIVE_UP]} | {count[ROLLBACK]} "
                  f"| {count[SKIP]} | {by_loss} | {time.perf_counter() - begin:.0f} |",
                  flush=True)  # fmt: skip


def _train(
    params: Params, store: Store, seed: int, cache: FeatureCache, device: torch.device
) -> FitResult:
    return train(
        store, params.model, params.train, task=params.task, seed=seed, device=device, cache=cache,
        on_epoch=lambda record: None,
    ).result  # fmt: skip


def _open(
    changes: dict[str, Scalar], *, is_plain: bool = False
) -> tuple[Params, Store, torch.device]:
    """Changed parameters, of params.yaml or of the base of its ablation; pictures; device."""
    shipped = load_with_study()
    base = dict(shipped.ablation.chosen.screen.base) if is_plain else {}
    own: dict[str, Scalar] = {
        "train.guard.answers": shipped.train.guard.answers,
        "train.range_test.enabled": False,
    }
    params = override(shipped, {**base, **own, **changes}, "benchmark")
    device = set_up(params.runtime.device, params.runtime.num_threads)
    return params, open_store(PREPARED, ("train", "val")), device


def run_healthy(options: argparse.Namespace) -> None:
    """Incidents of trainings where nothing is wrong, half of the epochs for the head alone."""
    changes: dict[str, Scalar] = {
        "train.head.epochs": options.epochs // 2,
        "train.epochs": options.epochs - options.epochs // 2,
        "train.learning_rate": options.rate,
        "train.head.learning_rate": options.rate,
    }
    params, store, device = _open(changes, is_plain=options.base == "ablation")
    cache = FeatureCache(FEATURE_BUDGET_BYTES)
    print("| seed | updates | incidents | high losses | largest gradient, of the limit "
          "| last training loss |\n|---|---|---|---|---|---|")  # fmt: skip
    total = 0
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        result = _train(params, store, seed, cache, device)
        total += len(result.incidents)
        told = ", ".join(
            f"{i.trouble} at update {i.step} ({i.phase}, {len(i.rows)} pictures, {i.score:.1f})"
            for i in result.incidents
        )
        high, part = _nearest(result, params.train.guard)
        print(f"| {seed} | {len(result.updates)} | {len(result.incidents)} {told} | {high} "
              f"| {part:.2f} | {result.history[-1].train_loss:.4f} |", flush=True)  # fmt: skip
    print(f"\n{total} incidents in {options.seeds} trainings")


def _nearest(result: FitResult, settings: GuardSettings) -> tuple[int, float]:
    """High losses, as of whole batches, and the largest gradient norm as part of its limit."""
    watchful = replace(settings, loss_run=1, norm_factor=1.0)
    seen, phase = Seen(), ""
    high, part = 0, 0.0
    log = result.updates
    for number, loss, norm in zip(log.epoch, log.loss, log.gradient_norm, strict=True):
        if phase != result.history[int(number)].phase:
            seen, phase = Seen(), result.history[int(number)].phase
        high += is_high(seen, loss, settings)
        trouble = find_trouble(seen, 0.0, norm, watchful)
        if trouble is not None and trouble.kind == GRADIENT_SPIKE:
            part = max(part, trouble.score / settings.norm_factor)
        seen = remember_update(seen, loss, norm, settings)
    return high, part


def run_cost(options: argparse.Namespace) -> None:
    """Time with the guard by time without it, pair by pair, and the memory of what it keeps.

    From the ablation's base, where updates are quick since features of frozen blocks are kept.
    """
    cache = FeatureCache(FEATURE_BUDGET_BYTES)
    print("CPU time, by turns\n")
    print("| trained blocks | optimizer | with / without, 95 % | in the guard "
          "| snapshot | of the network | trained and its moments |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for blocks, optimizer in ((2, "sgd"), (2, "adamw"), (4, "sgd")):
        changes: dict[str, Scalar] = {
            "model.trainable_blocks": blocks, "train.optimizer": optimizer,
            "train.head.epochs": 0, "train.epochs": options.epochs,
        }  # fmt: skip
        setups = {
            guard: _open({**changes, "train.guard.answers": guard}, is_plain=True)
            for guard in _BOTH
        }
        seen: dict[str, float] = {}
        ratios, parts = [], []
        for turn in range(-1, options.seeds):  # the first warms up
            seconds = {}
            for guard in sorted(_BOTH, reverse=turn % 2 == 0):
                params, store, device = setups[guard]
                with _watched(seen):
                    begin = time.process_time()
                    _train(params, store, max(turn, 0), cache, device)
                    seconds[guard] = time.process_time() - begin
                if guard != "none" and turn >= 0:
                    parts.append(seen["seconds"] / seconds[guard])
            if turn >= 0:
                ratios.append(seconds["skip+rollback"] / seconds["none"])
        found = paired_interval(ratios, _CONFIDENCE)
        kept = seen["snapshot"]
        print(f"| {blocks} | {optimizer} | {found.mean:.4f} [{found.low:.4f}, {found.high:.4f}], "
              f"median {median(ratios):.4f}, n = {len(ratios)} "
              f"| {min(parts):.2%} to {max(parts):.2%} | {kept / 2**20:.1f} MiB "
              f"| {kept / seen['network']:.2f} | {seen['trained'] / 2**20:.1f} MiB |",
              flush=True)  # fmt: skip


_BOTH = ("none", "skip+rollback")


@contextmanager
def _watched(seen: dict[str, float]) -> Iterator[None]:
    """Notes a training's seconds in the guard, and bytes of snapshot, network and what is trained.

    Its seconds are those of its verdicts, its memory and its snapshots.
    """
    end_phase = TrainingState.end_phase
    seen["seconds"] = 0.0

    def noted(self: TrainingState) -> None:
        if self.guard.good and self.optimizer is not None:
            moments = self.optimizer.state_dict()["state"]
            trained = [p for group in self.optimizer.param_groups for p in group["params"]]
            kept = {key: self.guard.good[key] for key in ("network", "optimizer")}
            seen["snapshot"] = _bytes_of(kept)
            seen["network"] = _bytes_of(dict(self.network.state_dict()))
            seen["trained"] = _bytes_of(trained) + _bytes_of(moments)
        end_phase(self)

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            begin = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                seen["seconds"] += time.process_time() - begin

        return call

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(TrainingState, "end_phase", noted))
        stack.enter_context(mock.patch.object(epoch, "judge", timed(epoch.judge)))
        for name in ("begin_phase", "prepare_snapshot", "remember_update"):
            own = timed(getattr(TrainingState, name))
            stack.enter_context(mock.patch.object(TrainingState, name, own))
        yield


def _bytes_of(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        value = list(value.values())
    return sum(map(_bytes_of, value)) if isinstance(value, list) else 0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=99),
    )
    checks = parser.add_subparsers(required=True)
    for name, check, seeds in (
        ("simulate", run_simulations, 10), ("healthy", run_healthy, 20), ("cost", run_cost, 10),
    ):  # fmt: skip
        own = checks.add_parser(name, help=check.__doc__)
        own.add_argument("--seeds", type=int, default=seeds, help="repetitions")
        own.set_defaults(check=check)
        if name == "simulate":
            own.add_argument("--updates", type=int, default=200_000)
        else:
            own.add_argument("--epochs", type=int, default=60 if name == "healthy" else 3)
        if name == "healthy":
            own.add_argument("--rate", type=float, default=0.02, help="learning rate")
            own.add_argument("--first-seed", type=int, default=0)
            own.add_argument("--base", choices=["shipped", "ablation"], default="ablation",
                             help="recipe; that of the ablation fits all pictures")  # fmt: skip
    options = parser.parse_args()
    options.check(options)


if __name__ == "__main__":
    main()
