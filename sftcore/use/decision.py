"""What to make of a model's probabilities: rules fixed on validation and measured on test."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from sftcore.foundations.artifacts import (
    output_folder,
    read_json,
    sha256_file,
    write_json,
    write_tensors,
)
from sftcore.foundations.errors import WeightsError
from sftcore.metrics.calibration import scale_probabilities
from sftcore.metrics.selective import label_sets
from sftcore.metrics.unlike import neighbour_distance

DECISION_FILE = "decision.json"
REFERENCE_FILE = "reference.safetensors"


@dataclass(frozen=True)
class Share:
    """A proportion of pictures, with its interval over groups of near-duplicates.

    Attributes:
        value: in [0, 1]; NaN of no picture.
        low: of the interval.
        high: likewise.
        num: pictures.
    """

    value: float
    low: float
    high: float
    num: int

    def __str__(self) -> str:
        if not self.num:
            return "no picture"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] of {self.num}"


@dataclass(frozen=True)
class CoverageRule:
    """Sets of labels (split conformal prediction).

    Attributes:
        wanted: how often a set is to hold the right label.
        least_probability: calibrated probability from which a class belongs to the set.
        expected_low: of the coverage that one draw of so many validation pictures gives.
        expected_high: likewise.
        test: how often the sets of the test pictures held their label.
        test_mean_labels: labels in a set, on average.
    """

    wanted: float
    least_probability: float
    expected_low: float
    expected_high: float
    test: Share
    test_mean_labels: float


@dataclass(frozen=True)
class AbstentionRule:
    """When to give no answer.

    Attributes:
        wanted: how often answers are to be right.
        least_probability: of the answer; None: no threshold gave it on validation, so all abstain.
        val_answered: share of the validation pictures, which chose the threshold.
        val_accuracy: of their answers.
        test_answered: share of the test pictures.
        test_accuracy: of their answers.
    """

    wanted: float
    least_probability: float | None
    val_answered: Share
    val_accuracy: Share
    test_answered: Share
    test_accuracy: Share


@dataclass(frozen=True)
class UnlikeRule:
    """When a picture is unlike anything that was trained on.

    Attributes:
        wanted: share of validation pictures that pass.
        num_neighbours: k of :func:`sftcore.metrics.unlike.neighbour_distance`.
        most_distance: a picture farther away than this is unlike.
        test_passed: share of the test pictures that pass.
    """

    wanted: float
    num_neighbours: int
    most_distance: float
    test_passed: Share


@dataclass(frozen=True, kw_only=True)
class AnyDecision:
    """What the rules of one model have, whatever its task.

    Attributes:
        model_sha256: of the model's tensors.
        device: kind of device that computed them; another kind gives other last digits.
        confidence: of all intervals of measured proportions.
        num_val: validation pictures, which also chose the epoch.
        num_val_groups: groups of near-duplicates among them.
        unlike: the threshold on the distance.
        reference_sha256: of the tensors' file beside it.
    """

    model_sha256: str
    device: str
    confidence: float
    num_val: int
    num_val_groups: int
    unlike: UnlikeRule
    reference_sha256: str = ""


D = TypeVar("D", bound=AnyDecision)


@dataclass(frozen=True, kw_only=True)
class Decision(AnyDecision):
    """The rules of one model of classes.

    Attributes:
        temperature: T of ``softmax(log p / T)``, fitted on validation.
        coverage: the sets.
        abstention: the threshold on the answer.
    """

    temperature: float
    coverage: CoverageRule
    abstention: AbstentionRule


@dataclass(frozen=True)
class Verdicts:
    """What the rules say of N pictures.

    Attributes:
        probability: calibrated, float64 [N, C].
        in_set: which labels belong to the set, bool [N, C].
        abstains: bool [N].
        distance: to the training pictures, float32 [N].
        is_unlike: bool [N].
    """

    probability: np.ndarray
    in_set: np.ndarray
    abstains: np.ndarray
    distance: np.ndarray
    is_unlike: np.ndarray


def decide(
    decision: Decision, directions: Tensor, features: Tensor, probability: np.ndarray
) -> Verdicts:
    """Apply the rules.

    Args:
        decision: of the model that gave the rest.
        directions: features of training pictures, of length one [M, D].
        features: of the pictures [N, D].
        probability: as the model gives them, float32 [N, C].
    """
    scaled = scale_probabilities(probability.astype(np.float64), decision.temperature)
    distance = neighbour_distance(features, directions, decision.unlike.num_neighbours)
    least = decision.abstention.least_probability
    return Verdicts(
        probability=scaled,
        in_set=label_sets(scaled, decision.coverage.least_probability),
        abstains=scaled.max(axis=1) < (np.inf if least is None else least),
        distance=distance,
        is_unlike=distance > decision.unlike.most_distance,
    )


def save_decision(folder: Path, decision: AnyDecision, directions: Tensor) -> None:
    """Write the rules and what the distance is measured to.

    Args:
        folder: to write.
        decision: the rules; the reference's sha256 is filled in.
        directions: see :func:`decide`.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    with output_folder(folder) as temporary:
        write_tensors(temporary / REFERENCE_FILE, {"directions": directions})
        digest = sha256_file(temporary / REFERENCE_FILE)
        write_json(temporary / DECISION_FILE, {**asdict(decision), "reference_sha256": digest})


def read_classes(fields: Mapping[str, Any]) -> Decision:
    """The rules of a model of classes, of the content of their file.

    Raises:
        TypeError, KeyError: it is not complete, or has something else.
    """
    coverage, abstention = (with_shares(fields[name]) for name in ("coverage", "abstention"))
    rules = {
        "coverage": CoverageRule(**coverage),
        "abstention": AbstentionRule(**abstention),
        "unlike": UnlikeRule(**with_shares(fields["unlike"])),
    }
    return Decision(**{**fields, **rules})


def with_shares(rule: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a rule, with its proportions as such."""
    return {
        name: read_share(value) if isinstance(value, Mapping) else value
        for name, value in rule.items()
    }


def read_share(fields: Mapping[str, Any]) -> Share:
    """A proportion of the content of a file; of no picture it is null there."""
    value = float("nan") if fields["value"] is None else fields["value"]
    return Share(**{**fields, "value": value})


def load_decision(
    folder: Path, model_sha256: str, read: Callable[[Mapping[str, Any]], D]
) -> tuple[D, Tensor]:
    """Read the rules of a model.

    Args:
        folder: of the rules.
        model_sha256: of the model that they must belong to.
        read: the rules of the content of their file, such as :func:`read_classes`.

    Raises:
        WeightsError: a file is missing, damaged, or of another model.
    """
    from safetensors.torch import load_file

    advice = "run `dvc repro evaluate`"
    try:
        decision = read(read_json(folder / DECISION_FILE))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{folder} holds no complete decision ({error}): {advice}") from error
    if decision.model_sha256 != model_sha256:
        raise WeightsError(
            f"{folder} was fixed for another model ({decision.model_sha256[:12]}, this one is "
            f"{model_sha256[:12]}): {advice}, or leave it out with `--decision none`"
        )
    file = folder / REFERENCE_FILE
    if not file.is_file() or sha256_file(file) != decision.reference_sha256:
        raise WeightsError(f"{file} is missing or damaged: {advice}")
    return decision, load_file(file)["directions"]
