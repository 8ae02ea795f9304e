"""What the benchmarks share: one training of changed parameters, measured on the test split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sftcore.data.portions import Portion
from sftcore.data.store import Store
from sftcore.evaluation.predict import predict_probabilities
from sftcore.metrics.intervals import paired_interval
from sftcore.recipe import train
from sftcore.sections import Params
from sftcore.training.inputs import FeatureCache
from sftcore.training.records import FitResult

CONFIDENCE = 0.95


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
        store, params.model, params.train, seed=seed, device=device, cache=cache,
        on_epoch=lambda record: None, portion=portion,
    )  # fmt: skip
    network, record = trained.start.network, trained.start.record
    network.source_head = None  # Co-Tuning's second classifier is no part of the model
    network.load_state_dict(trained.result.chosen_state)
    test = store.split("test")
    probability = predict_probabilities(
        network.eval(), store.images[test], mean=record.mean, std=record.std, device=str(device)
    )
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
