"""Answers to classes of unequal size: weigh the loss, sample evenly, or adjust the logits.

All are functions of the class counts in the training rows, with a dial that is off at zero.
"""

import numpy as np

from sftcore.foundations.settings import Coefficient, Dial, Settings, setting


class ImbalanceSettings(Settings):
    """Classes of unequal size; 0 is off."""

    class_weighting: Dial = setting(0.0, "0 to 1: power of 1 / class size as weight in the loss")
    balanced_sampling: Dial = setting(0.0, "0 to 1: power of 1 / class size as chance to be drawn")
    logit_adjustment: Coefficient = setting(
        0.0, "tau on log class frequency in the training logits"
    )


def class_weights(counts: np.ndarray, power: float) -> np.ndarray:
    """``w_c ∝ n_c^(−p)``, scaled so that the mean weight over the training pictures is one.

    At p = 1 every class has the same total weight (King and Zeng, 2001, Logistic regression in
    rare events data); at 0 every picture has.

    Args:
        counts: training pictures by class [C], each at least one.
        power: p in [0, 1].
    """
    raw = counts.astype(float) ** -power
    return raw * counts.sum() / (raw * counts).sum()


def sampling_probabilities(labels: np.ndarray, num_classes: int, power: float) -> np.ndarray:
    """Chance of each picture to be drawn: ``∝ n_c^(−p)`` of its class.

    At p = 1 every class is drawn equally often, at 1/2 by the square root of its size (Mahajan et
    al., 2018, Exploring the limits of weakly supervised pretraining, section 2.2).

    Args:
        labels: class indices of the training pictures [N].
        num_classes: C.
        power: p in [0, 1].

    Returns:
        [N], sums to one.
    """
    counts = np.bincount(labels, minlength=num_classes).clip(min=1)
    chances = counts[labels].astype(float) ** -power
    return chances / chances.sum()


def logit_offsets(counts: np.ndarray, tau: float) -> np.ndarray:
    """``τ·log π_c``, added to the logits in training only.

    The network then learns what is left once the class frequencies π are accounted for, which at
    τ = 1 minimises the balanced error (Menon et al., 2021, Long-tail learning via logit adjustment,
    eq. 10).

    Args:
        counts: training pictures by class [C], each at least one.
        tau: τ.
    """
    return tau * np.log(counts / counts.sum())
