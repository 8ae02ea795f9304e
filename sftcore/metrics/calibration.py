"""Whether a confidence of 80 % is right in 80 % of the cases."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from sftcore.metrics.classification import confidence_bins


def reliability_table(labels: np.ndarray, probability: np.ndarray, num_bins: int) -> pd.DataFrame:
    """Accuracy against confidence, one row per non-empty bin of equal width.

    Args:
        labels: class indices [N].
        probability: [N, C].
        num_bins: between 0 and 1.

    Returns:
        Columns low, high, num_pictures, confidence, accuracy.
    """
    confidence = probability.max(axis=1)
    is_right = probability.argmax(axis=1) == labels
    number = confidence_bins(confidence, num_bins)
    table = pd.DataFrame({"bin": number, "confidence": confidence, "accuracy": is_right})
    means = table.groupby("bin").mean()
    means.insert(0, "num_pictures", table.groupby("bin").size())
    means.insert(0, "high", (means.index.to_numpy() + 1) / num_bins)
    means.insert(0, "low", means.index.to_numpy() / num_bins)
    return means.reset_index(drop=True)


_LOG_TEMPERATURES = (-4.0, 4.0)
_LEAST_PROBABILITY = 1e-12


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T > 0 with the least negative log-likelihood of ``softmax(z / T)``.

    (Guo et al., 2017, On calibration of modern neural networks, section 4.2.) Dividing by T leaves
    the order of the classes, and so every accuracy, as it was.

    Args:
        logits: z [N, C], of pictures that were not trained on; log-probabilities will do.
        labels: class indices [N].

    Returns:
        T between e^-4 and e^4.
    """
    rows = np.arange(len(labels))

    def nll(log_temperature: float) -> float:
        scaled = log_softmax(logits.astype(float) / np.exp(log_temperature), axis=1)
        return float(-scaled[rows, labels].mean())

    found = minimize_scalar(nll, bounds=_LOG_TEMPERATURES, method="bounded")
    return float(np.exp(found.x))


def scale_probabilities(probability: np.ndarray, temperature: float) -> np.ndarray:
    """``softmax(log p / T)``, rows [N, C] that sum to one."""
    logits = np.log(np.clip(probability, _LEAST_PROBABILITY, None))
    return softmax(logits / temperature, axis=1)


def cross_fitted_probabilities(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probabilities of each half of the rows at the temperature that the other half wants.

    So the pictures that a temperature is judged by had no say in it.

    Args:
        logits: [N, C], N of at least two.
        labels: class indices [N].
    """
    is_even = np.arange(len(labels)) % 2 == 0
    probability = np.empty(logits.shape)
    for half in (is_even, ~is_even):
        temperature = fit_temperature(logits[~half], labels[~half])
        probability[half] = softmax(logits[half].astype(float) / temperature, axis=1)
    return probability
