"""What the benchmarks share: one training of changed parameters, measured on the test split."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from sftcore.data.portions import Portion
from sftcore.data.store import Store
from sftcore.evaluation.predict import look_at
from sftcore.evaluation.sight import PictureSight
from sftcore.metrics.intervals import paired_interval
from sftcore.settings.tree import Params
from sftcore.training.inputs import FeatureCache
from sftcore.training.recipe import train
from sftcore.training.records import FitResult

CONFIDENCE = 0.95
T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """A training and what its chosen parameters say of the test pictures.

    Attributes:
        result: of the training.
        probability: [T, C].
        accuracy: on the test split.
    """

    result: FitResult
    probability: np.ndarray
    accuracy: float


def train_and_test(
    params: Params,
    store: Store,
    seed: int,
    device: torch.device,
    cache: FeatureCache,
    portion: Portion,
) -> Measured:
    """Train once; the epoch is chosen on validation, and the test split is only measured."""
    trained = train(
        store, params.model, params.train, task=params.task, seed=seed, device=device, cache=cache,
        on_epoch=lambda record: None, portion=portion,
    )  # fmt: skip
    network, record = trained.start.network, trained.start.record
    sight = PictureSight(record.mean, record.std, device)
    network.source_head = None  # Co-Tuning's second classifier is no part of the model
    network.load_state_dict(trained.result.chosen_state)
    test = store.split("test")
    probability = look_at(network.eval(), store.images[test], sight).answers
    right = float((probability.argmax(axis=1) == store.labels[test]).mean())
    return Measured(trained.result, probability, right)


def difference(values: Sequence[float], baseline: Sequence[float]) -> str:
    """Mean difference over paired seeds with its interval, as text."""
    pairs = [value - base for value, base in zip(values, baseline, strict=True)]
    found = paired_interval(pairs, CONFIDENCE)
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def listing(values: Sequence[float]) -> str:
    """Values with three decimals, separated by commas."""
    return ", ".join(f"{value:.3f}" for value in values)


def run_checks(
    description: str | None, checks: Mapping[str, Callable[[T], None]], bench: Callable[[int], T]
) -> None:
    """The command line of a benchmark that has several checks: run some or all.

    Args:
        description: of the benchmark.
        checks: by name; each prints a table.
        bench: makes what the checks need from the number of seeds.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=99),
    )
    parser.add_argument("checks", nargs="*", choices=[*checks, []], default=[])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    made = bench(options.seeds)
    for name in options.checks or checks:
        print(f"\n## {name}\n", flush=True)
        checks[name](made)
