"""Metrics of foretold tokens, for many weightings of the examples at once.

As in :mod:`sftcore.metrics.classification`, weights [W, N] give one value per weighting. A metric
is a quotient of sums over examples, so every token counts the same, and a bootstrap that draws
examples keeps the tokens of one together: they are no independent evidence.
"""

from dataclasses import dataclass

import numpy as np

SCALARS = ("loss", "perplexity", "token_accuracy")


@dataclass(frozen=True)
class ForetellingMetrics:
    """Values per weighting [W]; NaN where no token was to be foretold.

    Attributes:
        loss: mean cross-entropy of a token, in nats.
        perplexity: e to the power of it.
        token_accuracy: share of the tokens that were the first choice.
    """

    loss: np.ndarray
    perplexity: np.ndarray
    token_accuracy: np.ndarray


def foretelling_metrics(sums: np.ndarray, weights: np.ndarray) -> ForetellingMetrics:
    """Every metric for every weighting of the examples.

    Args:
        sums: of each example the loss of its tokens in nats, their number, and how many of them
            were the first choice, [N, 3].
        weights: counts of examples [W, N].

    Raises:
        ValueError: the shape is another, or a number is not finite.
    """
    if sums.ndim != 2 or sums.shape[1] != 3 or not np.isfinite(sums).all():
        raise ValueError(f"sums must be finite and [N, 3], not {list(sums.shape)}")
    loss, count, hits = (weights @ sums).T
    empty = np.full(len(weights), np.nan)
    mean = np.divide(loss, count, out=empty.copy(), where=count > 0)
    accuracy = np.divide(hits, count, out=empty.copy(), where=count > 0)
    return ForetellingMetrics(mean, np.exp(mean), accuracy)
