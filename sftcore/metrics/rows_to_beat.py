"""What the rows to beat of several tasks share: what a row is, and who the nearest rows are."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBOURS = (1, 3, 5, 10, 20)
_TITLES = {
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
    "as_it_came": "the model as it came",
    "three_examples_in_the_prompt": "as it came, 3 examples in its prompt",
}
_CHUNK_ELEMENTS = 1 << 24  # similarities at a time: 64 MB


@dataclass(frozen=True)
class Baseline:
    """A row to beat.

    Attributes:
        name: of the row.
        settings: what validation chose.
        val: what it says of the validation rows [V, K].
        test: of the test rows [T, K].
    """

    name: str
    settings: dict[str, float]
    val: np.ndarray
    test: np.ndarray


def title_of(row: str) -> str:
    """A row's name as sentences, tables and figures have it."""
    return _TITLES.get(row, row.replace("_", " "))


def nearest_rows(known: Tensor, features: Tensor, count: int) -> Tensor:
    """Numbers of the most similar known rows, the nearest first, by the cosine.

    Args:
        known: features [N, D].
        features: of the rows in question [M, D].
        count: k, at most N.

    Returns:
        Places in ``known`` [M, k].
    """
    directions = F.normalize(known)
    at_once = max(1, _CHUNK_ELEMENTS // len(directions))
    found = [
        (F.normalize(part) @ directions.T).topk(count).indices for part in features.split(at_once)
    ]
    return torch.cat(found)
