"""Fixing the rules: validation chooses every threshold, test says what it came to."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sftcore.metrics.calibration import fit_temperature, scale_probabilities
from sftcore.metrics.intervals import proportion_interval
from sftcore.metrics.selective import (
    answer_threshold,
    conformal_threshold,
    coverage_range,
    label_sets,
)
from sftcore.metrics.unlike import known_directions, neighbour_distance
from sftcore.use.decision import (
    AbstentionRule,
    CoverageRule,
    Decision,
    Share,
    UnlikeRule,
)

NUM_NEIGHBOURS = 5
MOST_KNOWN = 10_000  # training pictures that the distance is measured to: 51 MB of 1,280 features
_TEMPERATURE_DIGITS = 6


@dataclass(frozen=True)
class Wanted:
    """What the rules are to reach.

    Attributes:
        coverage: how often a set of labels holds the right one.
        answer_accuracy: how often answers are right.
        known_fraction: share of validation pictures that pass as like the training pictures.
        confidence: of all intervals.
    """

    coverage: float
    answer_accuracy: float
    known_fraction: float
    confidence: float


@dataclass(frozen=True)
class Judged:
    """Pictures of a split, as the model sees them.

    Attributes:
        probability: calibrated, float64 [N, C].
        labels: class indices [N].
        groups: name of each picture's group of near-duplicates [N].
        distance: to the training pictures [N].
    """

    probability: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    distance: np.ndarray

    @property
    def confidence(self) -> np.ndarray:
        """Of the answer [N]."""
        return self.probability.max(axis=1)

    @property
    def of_label(self) -> np.ndarray:
        """Probability of the true class [N]."""
        return self.probability[np.arange(len(self.labels)), self.labels]

    @property
    def is_right(self) -> np.ndarray:
        """Whether the answer is [N]."""
        return self.probability.argmax(axis=1) == self.labels


@dataclass(frozen=True)
class Fixed:
    """The rules, with what they were fixed and measured on.

    Attributes:
        decision: the rules.
        directions: what the distance is measured to [M, D].
        val: the pictures that chose.
        test: the pictures that judge.
    """

    decision: Decision
    directions: Tensor
    val: Judged
    test: Judged


def fix_rules(
    features: Tensor,
    probability: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    rows: dict[str, np.ndarray],
    wanted: Wanted,
    *,
    model_sha256: str,
    device: str,
) -> Fixed:
    """Fix every rule on validation and measure it on test.

    The guarantee of the sets asks for calibration pictures that had no say in the model. Those of
    validation chose the epoch and the temperature, so the guarantee holds nearly and not exactly;
    that is why the coverage on test, which had no say, is kept beside it.

    Args:
        features: of all pictures [N, D].
        probability: as the model gives them, float32 [N, C].
        labels: class indices [N].
        groups: name of each picture's group [N].
        rows: of the splits train, val and test.
        wanted: what to reach.
        model_sha256: of the model's tensors.
        device: kind of device that computed them.
    """
    directions, distances = distances_from_train(features, rows)
    val_rows = rows["val"]
    logits = np.log(probability[val_rows].astype(np.float64).clip(1e-12))
    temperature = round(fit_temperature(logits, labels[val_rows]), _TEMPERATURE_DIGITS)
    val, test = (
        Judged(
            scale_probabilities(probability[rows[of]].astype(np.float64), temperature),
            labels[rows[of]],
            groups[rows[of]],
            distances[of],
        )
        for of in ("val", "test")
    )
    decision = Decision(
        model_sha256=model_sha256,
        device=device,
        confidence=wanted.confidence,
        temperature=temperature,
        num_val=len(val.labels),
        num_val_groups=len(set(val.groups.tolist())),
        coverage=_coverage_rule(val, test, wanted),
        abstention=_abstention_rule(val, test, wanted),
        unlike=unlike_rule(val.distance, test.distance, test.groups, wanted),
    )
    return Fixed(decision, directions, val, test)


def distances_from_train(
    features: Tensor, rows: Mapping[str, np.ndarray]
) -> tuple[Tensor, dict[str, np.ndarray]]:
    """What the distance is measured to [M, D], and that of the pictures of ``val`` and ``test``.

    Args:
        features: of all pictures [N, D].
        rows: of the splits train, val and test.
    """
    directions = known_directions(features[rows["train"]], MOST_KNOWN)
    return directions, {
        split: neighbour_distance(features[rows[split]], directions, NUM_NEIGHBOURS)
        for split in ("val", "test")
    }


def share(is_true: np.ndarray, groups: np.ndarray, confidence: float) -> Share:
    """A proportion with its interval.

    Args:
        is_true: bool [N].
        groups: name of each picture's group [N].
        confidence: of the interval.
    """
    low, high = proportion_interval(is_true, groups, confidence)
    value = float(np.mean(is_true)) if len(is_true) else float("nan")
    return Share(value, low, high, len(is_true))


def _coverage_rule(val: Judged, test: Judged, wanted: Wanted) -> CoverageRule:
    threshold = conformal_threshold(val.of_label, wanted.coverage)
    low, high = coverage_range(len(val.labels), wanted.coverage, wanted.confidence)
    sets = label_sets(test.probability, threshold)
    is_inside = sets[np.arange(len(test.labels)), test.labels]
    return CoverageRule(
        wanted=wanted.coverage,
        least_probability=threshold,
        expected_low=low,
        expected_high=high,
        test=share(is_inside, test.groups, wanted.confidence),
        test_mean_labels=float(sets.sum(axis=1).mean()),
    )


def _abstention_rule(val: Judged, test: Judged, wanted: Wanted) -> AbstentionRule:
    least = answer_threshold(val.confidence, val.is_right, wanted.answer_accuracy)
    shares = {}
    for name, of in (("val", val), ("test", test)):
        answered = of.confidence >= (np.inf if least is None else least)
        shares[f"{name}_answered"] = share(answered, of.groups, wanted.confidence)
        shares[f"{name}_accuracy"] = share(
            of.is_right[answered], of.groups[answered], wanted.confidence
        )
    return AbstentionRule(wanted.answer_accuracy, least, **shares)


def unlike_rule(
    val: np.ndarray, test: np.ndarray, test_groups: np.ndarray, wanted: Wanted
) -> UnlikeRule:
    """The threshold on the distance to the training pictures.

    Args:
        val: distances of the pictures that choose it [V].
        test: of those that judge it [T].
        test_groups: name of each test picture's group [T].
        wanted: what to reach.
    """
    # At least the wanted share passes, whatever ties there are.
    most = float(np.quantile(val, wanted.known_fraction, method="higher"))
    passed = share(test <= most, test_groups, wanted.confidence)
    return UnlikeRule(wanted.known_fraction, NUM_NEIGHBOURS, most, passed)
