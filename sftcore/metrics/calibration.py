"""Whether a confidence of 80 % is right in 80 % of the cases."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from sftcore.foundations.randomness import numpy_stream
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


_CHUNK_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class PerfectCalibration:
    """What a perfectly calibrated model with the same confidences shows on as many pictures.

    Attributes:
        mean: of its calibration error, which is not 0: luck fills every bin.
        high: its quantile at the confidence; a larger error is beyond luck.
    """

    mean: float
    high: float

    def words(self, ece: float) -> str:
        """Whether a calibration error can be told from that of a perfectly calibrated model."""
        place = "beyond" if ece > self.high else "within"
        return f"{place} what a perfectly calibrated model shows (to {self.high:.3f})"


def perfect_calibration(
    probability: np.ndarray,
    groups: np.ndarray,
    *,
    num_bins: int,
    num_resamples: int,
    confidence: float,
    seed: int,
    purpose: str,
) -> PerfectCalibration:
    """The calibration error if every prediction were right as often as its confidence says.

    Consistency resampling: the pictures stay, and labels are drawn from the predicted probabilities
    (Broecker and Smith, 2007, Increasing the reliability of reliability diagrams; Vaicenavicius et
    al., 2019, Evaluating model calibration in classification, section 5). Pictures of one group
    share their luck, as near-duplicates do.

    Args:
        probability: [N, C].
        groups: name of each picture's group [N].
        num_bins: of the calibration error.
        num_resamples: sets of labels drawn.
        confidence: of the upper bound; a perfect model lies above it in 1 − confidence of cases.
        seed: of the run.
        purpose: names the stream.
    """
    numbers, names = pd.factorize(groups)
    stream = numpy_stream(seed, "consistency", purpose)
    claimed = probability.max(axis=1)
    bins = np.eye(num_bins)[confidence_bins(claimed, num_bins)]
    at_once = max(1, _CHUNK_ELEMENTS // len(claimed))
    errors = []
    for start in range(0, num_resamples, at_once):
        luck = stream.random((min(at_once, num_resamples - start), len(names)))
        is_right = luck[:, numbers] < claimed  # a drawn label is the predicted one so often
        errors.append(np.abs((is_right - claimed) @ bins).sum(axis=1) / len(claimed))
    drawn = np.concatenate(errors)
    return PerfectCalibration(float(drawn.mean()), float(np.quantile(drawn, confidence)))


def squared_calibration_error(
    labels: np.ndarray, probability: np.ndarray, groups: np.ndarray, num_bins: int
) -> float:
    """``Σ_b |B_b|/N · (acc(B_b) − conf(B_b))²`` without the part that luck adds.

    The debiased estimator of Kumar, Liang and Ma (2019, Verified uncertainty calibration, section
    4.2) takes the variance of a bin's mean off its square. Here that is done for the residual
    r = [right] − confidence, as confidences vary inside of a bin, and the square of the mean is
    taken over pairs from different groups only: ``Σ_{i≠j} rᵢ rⱼ / #pairs``. Its mean is exactly 0
    for a perfectly calibrated model. A bin with a single group has no pair and counts as 0.

    Args:
        labels: class indices [N].
        probability: [N, C].
        groups: name of each picture's group [N].
        num_bins: between 0 and 1.

    Returns:
        In squared probability; negative where the model is nearer than luck would have it.
    """
    claimed = probability.max(axis=1)
    residual = (probability.argmax(axis=1) == labels) - claimed
    numbers, names = pd.factorize(groups)
    bins = confidence_bins(claimed, num_bins)
    _, cluster = np.unique(bins * len(names) + numbers, return_inverse=True)
    sizes, sums = np.bincount(cluster), np.bincount(cluster, residual)
    owner = np.zeros(len(sizes), dtype=np.int64)
    owner[cluster] = bins

    def over_bins(values: np.ndarray) -> np.ndarray:
        return np.bincount(owner, values, num_bins)

    pairs = over_bins(sizes) ** 2 - over_bins(sizes**2)
    products = over_bins(sums) ** 2 - over_bins(sums**2)
    squares = np.divide(products, pairs, out=np.zeros(num_bins), where=pairs > 0)
    return float(squares @ over_bins(sizes) / len(labels))


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
