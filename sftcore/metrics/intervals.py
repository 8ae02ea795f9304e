"""How far a number can be trusted: bootstrap, paired t, corrections for several comparisons."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sftcore.randomness import numpy_stream

_CHUNK_ELEMENTS = 1 << 22
_ROUNDING = 1e-12


def bootstrap_weights(
    num_rows: int, num_resamples: int, seed: int, purpose: str
) -> Iterator[np.ndarray]:
    """Row counts of bootstrap resamples, in pieces [W, N] that keep memory bounded.

    Drawing N rows with replacement gives multinomial counts (Efron, 1979).

    Args:
        num_rows: N.
        num_resamples: total number of resamples over all pieces.
        seed: of the run.
        purpose: names the stream.
    """
    stream = numpy_stream(seed, "bootstrap", purpose)
    at_once = max(1, _CHUNK_ELEMENTS // num_rows)
    for start in range(0, num_resamples, at_once):
        count = min(at_once, num_resamples - start)
        drawn = stream.integers(0, num_rows, size=(count, num_rows))
        flat = drawn + np.arange(count)[:, None] * num_rows
        counts = np.bincount(flat.ravel(), minlength=count * num_rows)
        yield counts.reshape(count, num_rows).astype(float)


def percentile_interval(values: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval over the first axis of resampled values (Efron and Tibshirani, 1993)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return low, high


@dataclass(frozen=True)
class Paired:
    """A mean difference over pairs.

    Attributes:
        mean: of the differences.
        low: lower bound; NaN for fewer than two pairs.
        high: upper bound; NaN for fewer than two pairs.
        p_value: two-sided, of a mean of zero; NaN for fewer than two pairs.
        num_pairs: number of differences.
    """

    mean: float
    low: float
    high: float
    p_value: float
    num_pairs: int


def paired_interval(differences: Sequence[float], confidence: float) -> Paired:
    """Student's paired t interval (Student, 1908): ``mean ± t · s/√k`` over k differences.

    Equal differences have no spread: the interval is the point, and p is 1 at zero and 0
    elsewhere.

    Args:
        differences: one per pair, finite.
        confidence: e.g. 0.95.
    """
    values = np.asarray(differences, dtype=float)
    count = len(values)
    mean = float(values.mean()) if count else float("nan")
    if count < 2:
        return Paired(mean, float("nan"), float("nan"), float("nan"), count)
    error = float(values.std(ddof=1)) / count**0.5
    if error <= _ROUNDING * float(np.abs(values).max()):  # equal but for the last digits
        return Paired(mean, mean, mean, float(mean == 0), count)
    reach = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    p_value = float(2 * stats.t.sf(abs(mean) / error, count - 1))
    return Paired(mean, mean - reach, mean + reach, p_value, count)


def bonferroni(confidence: float, num_comparisons: int) -> float:
    """Confidence of each interval so that all hold together (Dunn, 1961)."""
    return 1 - (1 - confidence) / max(1, num_comparisons)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for their number (Holm, 1979); NaN stays NaN and is not counted."""
    values = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * values[index]))
        adjusted[index] = running
    return adjusted.tolist()
