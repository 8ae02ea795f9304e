"""From which probability on a label is predicted.

With calibrated probabilities F1 is greatest at a threshold of half of the F1 that is reached there,
and not at one half (Lipton et al., 2014, Optimal thresholding of classifiers to maximize F1
measure), so it is chosen on validation. A label with few positives there gets a threshold that fits
those few: their F1 on validation flatters, and on new rows .5 or a threshold shared by all labels
may do better (Yang, 2001, A study of thresholding strategies for text categorization, on SCut and
rare categories). Rows that chose a threshold cannot judge it.
"""

import numpy as np

from sftcore.metrics.multilabel import check_decisions

NEUTRAL = 0.5


def choose_thresholds(labels: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The threshold of each label with the greatest F1.

    Tried are .5 and the middles between neighbouring probabilities, of which the least has 0 below
    it. Of equals the nearest to .5 is taken, of two that are as near the lower one. A label that
    never occurs among the rows gets .5.

    Args:
        labels: 0 or 1, of the validation rows [N, K].
        probability: [N, K].

    Returns:
        float64 [K]; a label is predicted from its threshold on.

    Raises:
        ValueError: see :func:`sftcore.metrics.multilabel.check_decisions`.
    """
    present = check_decisions(labels, probability)
    return np.array([_best(present[:, k], probability[:, k]) for k in range(labels.shape[1])])


def choose_shared_threshold(labels: np.ndarray, probability: np.ndarray) -> float:
    """One threshold for all labels, with the greatest micro F1; chosen as for a single label.

    It rests on the positives of all labels together, so it hardly over-fits.

    Args:
        labels: 0 or 1, of the validation rows [N, K].
        probability: [N, K].

    Raises:
        ValueError: see :func:`sftcore.metrics.multilabel.check_decisions`.
    """
    return _best(check_decisions(labels, probability).ravel(), probability.ravel())


def _best(present: np.ndarray, probability: np.ndarray) -> float:
    if not present.any():
        return NEUTRAL
    values, place = np.unique(probability.astype(float), return_inverse=True)
    below = np.concatenate([[0.0], values[:-1]])
    middles = below + (values - below) / 2
    cuts = np.where(middles > below, middles, values)  # no number lies between the nearest two
    hits = _from_here_on(np.bincount(place, present))
    claimed = _from_here_on(np.bincount(place))
    f1 = np.append(2 * hits / (claimed + present.sum()), 0.0)  # last: nothing is predicted
    f1_of_neutral = f1[np.searchsorted(values, NEUTRAL)]
    tried, reached = np.append(cuts, NEUTRAL), np.append(f1[:-1], f1_of_neutral)
    best = tried[reached == reached.max()]
    return float(best[np.abs(best - NEUTRAL).argmin()])


def _from_here_on(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts[::-1])[::-1]
