"""Features with labels or numbers that go with them."""

import numpy as np
import torch
from torch import Tensor

D, K = 12, 3


def multilabel_rows(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features [N, 12] and labels [N, 3], of which the last is rare."""
    stream = np.random.default_rng(seed)
    features = stream.normal(size=(count, D)) * np.geomspace(0.3, 3, D) + 2
    direction = np.random.default_rng(99).normal(size=(D, K))
    logits = (features - 2) @ direction * 0.7 + [0.0, -1.0, -4.0]
    labels = stream.random(logits.shape) < 1 / (1 + np.exp(-logits))
    return torch.from_numpy(features).float(), torch.from_numpy(labels.astype(np.int64))


def number_rows(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features [N, 12] and numbers [N, 3] of unlike units, with some outliers."""
    stream = np.random.default_rng(seed)
    features = stream.normal(size=(count, D)) * np.geomspace(0.3, 3, D) + 2
    direction = np.random.default_rng(99).normal(size=(D, K))
    noise = stream.standard_t(2.5, size=(count, K))
    numbers = ((features - 2) @ direction + 2 * noise) * [1.0, 50.0, 0.02] + [0.0, 900.0, -1.0]
    return torch.from_numpy(features).float(), torch.from_numpy(numbers)
