"""How small a difference in accuracy the test pictures can show: McNemar's test of two models.

Both models judge the same pictures, and only pictures on which exactly one of them is right say
anything (McNemar, 1947, Note on the sampling error of the difference between correlated
proportions). The test is the exact one: of d such pictures each model has d/2 where they are equal,
binomially. Its power is computed exactly too, over all that d may be; the formula for large samples
(Miettinen, 1968; Connor, 1987) promises too much where d is small.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy

LEVEL, POWER = 0.05, 0.8
_MOST_PICTURES = 1 << 34  # beyond which no size is looked for
_NEGLIGIBLE = 1e-10  # chance of what is left out of a sum


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same pictures.

    Attributes:
        num_pictures: n.
        num_better: pictures on which only the first model is right.
        num_worse: pictures on which only the second one is.
        p_value: two-sided, of models that are right equally often.
        smallest_difference: in accuracy, that would be found at the discordance of these pictures;
            NaN where none would be.
    """

    num_pictures: int
    num_better: int
    num_worse: int
    p_value: float
    smallest_difference: float

    @property
    def discordance(self) -> float:
        """The part of the pictures on which exactly one model is right."""
        return (self.num_better + self.num_worse) / self.num_pictures


def paired_test(is_right: np.ndarray, other_is_right: np.ndarray) -> PairedTest:
    """Exact McNemar test of two models, and what it could have found.

    Args:
        is_right: of the first model, on N pictures, N above 0.
        other_is_right: of the second one, on the same pictures.
    """
    better = int((is_right & ~other_is_right).sum())
    worse = int((~is_right & other_is_right).sum())
    count = len(is_right)
    p_value = float(scipy.stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0
    smallest = smallest_difference(count, (better + worse) / count)
    return PairedTest(count, better, worse, p_value, smallest)


def paired_power(
    num_pictures: int, discordance: float, difference: float, level: float = LEVEL
) -> float:
    """How often the exact test finds a true difference in accuracy, in favour of the better model.

    ``Σ_d P(d; n, ψ) · P(more than the critical number of d; d, (ψ + δ)/(2ψ))``. Finding it the
    wrong way round does not count.

    Args:
        num_pictures: n, at least 1.
        discordance: ψ in (0, 1], the part of pictures on which exactly one model is right.
        difference: δ in [0, ψ].
        level: of the two-sided test.
    """
    differing, chance, critical = _discordant(num_pictures, discordance, level)
    share_of_worse = min(max((discordance - difference) / (2 * discordance), 0.0), 1.0)
    found = scipy.stats.binom.cdf(critical, differing, share_of_worse)
    return float((chance * found).sum())


@lru_cache(maxsize=1)  # one split is asked for its power at a dozen differences in a row
def _discordant(
    num_pictures: int, discordance: float, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every d that is not negligible, its chance, and the most wins of the worse model.

    The last is the largest number that is still significant; -1 where none is.
    """
    least, most = scipy.stats.binom.interval(1 - _NEGLIGIBLE, num_pictures, discordance)
    differing = np.arange(max(int(least), 1), int(most) + 1)
    chance = scipy.stats.binom.pmf(differing, num_pictures, discordance)
    critical = scipy.stats.binom.ppf(level / 2, differing, 0.5)
    critical -= scipy.stats.binom.cdf(critical, differing, 0.5) > level / 2
    return differing, chance, critical


def smallest_difference(
    num_pictures: int, discordance: float, power: float = POWER, level: float = LEVEL
) -> float:
    """The least true difference in accuracy that the exact test finds with the given power.

    Args:
        num_pictures: n, at least 1.
        discordance: ψ in [0, 1].
        power: the probability of finding it, above ``level``.
        level: of the two-sided test.

    Returns:
        δ in (0, ψ]; NaN if not even δ = ψ would be found.
    """

    def surplus(difference: float) -> float:
        return paired_power(num_pictures, discordance, difference, level) - power

    if discordance <= 0 or surplus(discordance) < 0:
        return float("nan")
    return float(scipy.optimize.brentq(surplus, 0.0, discordance, xtol=1e-6))


def num_pictures_for(
    difference: float, discordance: float, power: float = POWER, level: float = LEVEL
) -> int:
    """How many test pictures show a true difference in accuracy with the given power.

    Exact power rises with n in small teeth; the answer lies within a tooth of the least n.

    Args:
        difference: δ in (0, ψ].
        discordance: ψ in (0, 1].
        power: the probability of finding it.
        level: of the two-sided test.

    Raises:
        ValueError: the difference is not above 0, or larger than the discordance.
    """
    if not 0 < difference <= discordance:
        raise ValueError(f"no difference {difference} at a discordance of {discordance}")

    def is_enough(count: int) -> bool:
        return paired_power(count, discordance, difference, level) >= power

    high = 1
    while not is_enough(high) and high < _MOST_PICTURES:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def num_independent(group_sizes: Sequence[int]) -> int:
    """As how many independent pictures a set counts whose near-duplicates go together.

    ``(Σ s)² / Σ s²`` over the groups' sizes: if a model is right on all pictures of a group or on
    none, the mean over all pictures varies like that of so many (Kish, 1965, Survey sampling,
    section 8.2, at an intraclass correlation of one). It is the least that they are worth.

    Args:
        group_sizes: s, pictures of each group, above 0.

    Returns:
        From 1 to Σ s, rounded down; 0 without a group.
    """
    if not len(group_sizes):
        return 0
    return sum(group_sizes) ** 2 // sum(size**2 for size in group_sizes)
