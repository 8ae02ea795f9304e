"""How far a number can be trusted: bootstrap, t intervals, power, several comparisons."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy

from sftcore.foundations.randomness import numpy_stream

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
    return _drawn_counts(num_rows, num_rows, num_resamples, seed, purpose)


def grouped_bootstrap_weights(
    groups: Sequence[object] | np.ndarray, num_resamples: int, seed: int, purpose: str
) -> Iterator[np.ndarray]:
    """Row counts like :func:`bootstrap_weights`, of whole groups that are drawn with replacement.

    Rows of one group (near-duplicates) are right or wrong together, so they are no independent
    evidence; their group is (cluster bootstrap: Davison and Hinkley, 1997, Bootstrap methods,
    section 3.8; Field and Welsh, 2007). Groups of one row each give the plain bootstrap.

    Args:
        groups: name of each row's group [N].
        num_resamples: total number of resamples over all pieces.
        seed: of the run.
        purpose: names the stream.

    Yields:
        Pieces [W, N]; a resample's number of rows varies with the sizes of the drawn groups.
    """
    numbers, names = pd.factorize(np.asarray(groups))
    for counts in _drawn_counts(len(names), len(numbers), num_resamples, seed, purpose):
        yield counts[:, numbers]


def _drawn_counts(
    num_units: int, num_rows: int, num_resamples: int, seed: int, purpose: str
) -> Iterator[np.ndarray]:
    """How often each unit is drawn, [W, U], in pieces that stay bounded with a column per row."""
    stream = numpy_stream(seed, "bootstrap", purpose)
    at_once = max(1, _CHUNK_ELEMENTS // num_rows)
    for start in range(0, num_resamples, at_once):
        count = min(at_once, num_resamples - start)
        drawn = stream.integers(0, num_units, size=(count, num_units))
        flat = drawn + np.arange(count)[:, None] * num_units
        counts = np.bincount(flat.ravel(), minlength=count * num_units)
        yield counts.reshape(count, num_units).astype(float)


def percentile_interval(values: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval over the first axis of resampled values (Efron and Tibshirani, 1993)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return low, high


@dataclass(frozen=True)
class Interval:
    """A mean over replicates and how far it can be trusted.

    Attributes:
        mean: of the values.
        low: lower bound; NaN for fewer than two values.
        high: upper bound; NaN for fewer than two values.
        p_value: two-sided, of a true mean of zero; NaN for fewer than two values.
        num: number of values.
        standard_error: of the mean; NaN for fewer than two values.
    """

    mean: float
    low: float
    high: float
    p_value: float
    num: int
    standard_error: float

    @property
    def num_pairs(self) -> int:
        """The number of values, where each is the difference of a pair."""
        return self.num


def resampled_interval(
    differences: Sequence[float], ratio: float, confidence: float, resolution: float = 0.0
) -> Interval:
    """Corrected resampled t of values from repeated splits of the same pictures.

    (Nadeau and Bengio, 2003, Inference for the generalization error, section 3.) The splits share
    pictures, so their values go together, and ``s²/k`` claims more than k splits can know. The
    variance of the mean is ``s²·(1/k + n_judge/n_train)``, Student with k − 1 degrees of freedom.

    A metric that moves in steps can give equal differences by chance. So s is at least one step: k
    equal differences of an accuracy are no proof. Without a step (a loss), equal differences have
    no spread: the interval is the point, and p is 1 at zero and 0 elsewhere.

    Args:
        differences: one per replicate, finite.
        ratio: n_judge / n_train, the pictures that judge over those that are trained on; 0 is the
            plain paired t, of replicates that share nothing but what the mean is conditional on.
        confidence: e.g. 0.95.
        resolution: the least standard deviation that is believed, in the metric's unit, see
            :func:`sftcore.metrics.classification.resolution`.
    """
    values = np.asarray(differences, dtype=float)
    count = len(values)
    nan = float("nan")
    mean = float(values.mean()) if count else nan
    if count < 2:
        return Interval(mean, nan, nan, nan, count, nan)
    spread = max(float(values.std(ddof=1)), resolution)
    if spread <= _ROUNDING * float(np.abs(values).max()):  # equal but for the last digits
        return Interval(mean, mean, mean, float(mean == 0), count, 0.0)
    error = spread * (1 / count + ratio) ** 0.5
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    p_value = float(2 * scipy.stats.t.sf(abs(mean) / error, count - 1))
    return Interval(mean, mean - reach, mean + reach, p_value, count, error)


def paired_interval(
    differences: Sequence[float], confidence: float, resolution: float = 0.0
) -> Interval:
    """Student's paired t interval (Student, 1908): ``mean ± t · s/√k`` over k differences.

    Args:
        differences: one per pair, finite.
        confidence: e.g. 0.95.
        resolution: see :func:`resampled_interval`.
    """
    return resampled_interval(differences, 0.0, confidence, resolution)


def smallest_visible_effect(
    standard_error: float, num: int, confidence: float, power: float = 0.8
) -> float:
    """The true difference that a two-sided t test would find with the given power.

    The test statistic of a true difference δ follows the noncentral t with k − 1 degrees of
    freedom and noncentrality δ / standard error (Cohen, 1988, Statistical power analysis, 2.5).

    Args:
        standard_error: of the mean, as an :class:`Interval` has it.
        num: k, the number of replicates.
        confidence: of the interval that zero must lie outside of.
        power: the probability of finding it, above 1 − confidence.

    Returns:
        In the unit of the standard error, not negative; NaN for fewer than two replicates.
    """
    if num < 2 or math.isnan(standard_error):
        return float("nan")
    freedom = num - 1
    bound = float(scipy.stats.t.ppf((1 + confidence) / 2, freedom))

    def shortfall(noncentrality: float) -> float:
        above = scipy.stats.nct.sf(bound, freedom, noncentrality)
        below = scipy.stats.nct.sf(bound, freedom, -noncentrality)  # cdf(-bound) is NaN far out
        return float(above + below) - power

    high = 1.0
    while shortfall(high) < 0:
        high *= 2
    return standard_error * float(scipy.optimize.brentq(shortfall, 0.0, high))


def failure_bound(num_failed: int, num_runs: int, confidence: float) -> float:
    """One-sided upper bound of a failure rate (Clopper and Pearson, 1934); 1 without any run."""
    if not num_runs:
        return 1.0
    found = scipy.stats.binomtest(num_failed, num_runs, alternative="less")
    return float(found.proportion_ci(confidence, method="exact").high)


def proportion_interval(
    is_true: np.ndarray, groups: np.ndarray, confidence: float
) -> tuple[float, float]:
    """Exact interval of a proportion (Clopper and Pearson, 1934) with groups as what is counted.

    Pictures of one group are right or wrong together, so n is the number of groups (an effective
    sample size: Korn and Graubard, 1998, Confidence intervals for proportions with small expected
    number of positive counts). Where all are true, the bootstrap has no width and this still has.

    Args:
        is_true: [N].
        groups: name of each row's group [N].
        confidence: of the interval.

    Returns:
        Low and high; 0 and 1 without any row.
    """
    if not len(is_true):
        return 0.0, 1.0
    count = len(set(np.asarray(groups).tolist()))
    hits = float(np.mean(is_true)) * count
    tail = (1 - confidence) / 2
    low = scipy.stats.beta.ppf(tail, hits, count - hits + 1) if hits > 0 else 0.0
    high = scipy.stats.beta.ppf(1 - tail, hits + 1, count - hits) if hits < count else 1.0
    return float(low), float(high)


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
