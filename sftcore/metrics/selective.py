"""Sets of labels that hold the right one as often as wanted, and when to give no answer."""

import math

import numpy as np
import pandas as pd
import scipy

_ROUNDING = 1e-9  # (n + 1) * 0.9 may come out above a whole number


def conformal_rank(num_pictures: int, coverage: float) -> int:
    """How many of n calibration labels must be inside: ``ceil((n + 1) * coverage)``.

    More than n means that n pictures are too few for this coverage.

    Args:
        num_pictures: n.
        coverage: wanted, between 0 and 1.
    """
    return math.ceil((num_pictures + 1) * coverage - _ROUNDING)


def conformal_threshold(probability_of_label: np.ndarray, coverage: float) -> float:
    """The least probability at which a class belongs to the set of labels.

    Split conformal prediction (Vovk et al., 2005, Algorithmic learning in a random world, section
    4.2.2) with the score ``1 − p(label)`` (Sadinle et al., 2019, Least ambiguous set-valued
    classifiers). If the calibration pictures and a new one are exchangeable, its set holds its
    label with at least this probability.

    Args:
        probability_of_label: what the model says of the true class of n calibration pictures [n].
        coverage: wanted, between 0 and 1.

    Returns:
        In [0, 1]; 0, which lets every class in, where n is too small.
    """
    rank = conformal_rank(len(probability_of_label), coverage)
    if rank > len(probability_of_label):
        return 0.0
    return float(np.sort(probability_of_label)[::-1][rank - 1])


def coverage_range(num_pictures: int, coverage: float, confidence: float) -> tuple[float, float]:
    """Where the coverage lies that one draw of n calibration pictures gives.

    Over draws it follows Beta(r, n + 1 − r) with r the rank (Vovk, 2012, Conditional validity of
    inductive conformal predictors; Angelopoulos and Bates, 2021, A gentle introduction to
    conformal prediction, section 3.2).

    Args:
        num_pictures: n.
        coverage: wanted.
        confidence: of the range.
    """
    rank = conformal_rank(num_pictures, coverage)
    if rank > num_pictures:
        return 1.0, 1.0
    tail = (1 - confidence) / 2
    low, high = scipy.stats.beta.ppf([tail, 1 - tail], rank, num_pictures + 1 - rank)
    return float(low), float(high)


def label_sets(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Which classes belong to each picture's set; the most probable always does.

    Args:
        probability: [N, C].
        threshold: see :func:`conformal_threshold`.

    Returns:
        bool [N, C].
    """
    inside = probability >= threshold
    inside[np.arange(len(probability)), probability.argmax(axis=1)] = True
    return inside


def risk_coverage(confidence: np.ndarray, is_right: np.ndarray) -> pd.DataFrame:
    """What share is answered, and how often right, at every threshold on the confidence.

    (Geifman and El-Yaniv, 2017, Selective classification for deep neural networks, section 2.)

    Args:
        confidence: [N].
        is_right: bool [N].

    Returns:
        Columns least_confidence, num_answered, answered_fraction, accuracy; a row for each distinct
        confidence, the highest first. Pictures of equal confidence are answered together.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked, right = confidence[order], np.cumsum(is_right[order])
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)])
    return pd.DataFrame(
        {
            "least_confidence": ranked[last],
            "num_answered": last + 1,
            "answered_fraction": (last + 1) / max(1, len(ranked)),
            "accuracy": right[last] / (last + 1),
        }
    )


def answer_threshold(confidence: np.ndarray, is_right: np.ndarray, accuracy: float) -> float | None:
    """The confidence from which on the answers are right as often as wanted, most of them kept.

    The pictures that choose it are flattered by the choice; only others can judge it.

    Args:
        confidence: [N].
        is_right: bool [N].
        accuracy: wanted among the answered, between 0 and 1.

    Returns:
        The least confidence of an answer, or None where no threshold gives this accuracy.
    """
    curve = risk_coverage(confidence, is_right)
    good = curve[curve["accuracy"] >= accuracy]
    return float(good["least_confidence"].iloc[-1]) if len(good) else None
