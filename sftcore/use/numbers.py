"""A model of numbers in use: an interval around each number, and the distance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sftcore.evaluation.predict import Seen
from sftcore.foundations.tables import printable
from sftcore.metrics.regression_intervals import conformal_radius
from sftcore.metrics.selective import coverage_range
from sftcore.reporting.parts import Part
from sftcore.use.contract import ToJudge, Usage, unlike_cells, unlike_line
from sftcore.use.decision import AnyDecision, Share, UnlikeRule, read_share, with_shares
from sftcore.use.rules import Wanted, distances_from_train, share, unlike_rule
from sftcore.use.unlike_part import unlike_part


@dataclass(frozen=True)
class IntervalRule:
    """Intervals ``ŷ ± q`` (split conformal prediction).

    Attributes:
        wanted: how often an interval is to hold its number.
        radius: q of each number in its unit [K]; None: too few validation pictures.
        expected_low: of the coverage that one draw of so many validation pictures gives.
        expected_high: likewise.
        test: how often the intervals of the test pictures held each number [K].
    """

    wanted: float
    radius: tuple[float | None, ...]
    expected_low: float
    expected_high: float
    test: tuple[Share, ...]


@dataclass(frozen=True, kw_only=True)
class NumberDecision(AnyDecision):
    """The rules of one model of numbers.

    Attributes:
        intervals: around the numbers.
    """

    intervals: IntervalRule


@dataclass(frozen=True)
class FixedNumbers:
    """The rules, with what they were measured on.

    Attributes:
        decision: the rules.
        directions: what the distance is measured to [M, D].
        distances: of the pictures of ``val`` and of ``test``.
    """

    decision: NumberDecision
    directions: Tensor
    distances: Mapping[str, np.ndarray]


class NumberUsage(Usage[NumberDecision, FixedNumbers]):
    """Answers are numbers in their units; columns count them from 0 on."""

    @property
    def plain(self) -> tuple[str, ...]:
        """The numbers."""
        return tuple(f"y_{k}" for k in range(len(self.names)))

    @property
    def decided(self) -> tuple[str, ...]:
        """The ends of their intervals, and the distance."""
        ends = [f"{end}_{k}" for k in range(len(self.names)) for end in ("low", "high")]
        return (*ends, "distance", "unlike")

    def columns(self, *, has_rules: bool, with_probabilities: bool) -> list[str]:
        """All columns; numbers have no probabilities."""
        return super().columns(has_rules=has_rules, with_probabilities=False)

    def fix(
        self, judged: ToJudge, wanted: Wanted, *, model_sha256: str, device: str
    ) -> FixedNumbers:
        """The width of the intervals by the residuals of validation."""
        directions, distances = distances_from_train(judged.features, judged.rows)
        val, test = judged.rows["val"], judged.rows["test"]
        groups = judged.groups[test]
        radius = conformal_radius(judged.targets[val] - judged.answers[val], wanted.coverage)
        is_inside = np.abs(judged.targets[test] - judged.answers[test]) <= radius
        low, high = coverage_range(len(val), wanted.coverage, wanted.confidence)
        rule = IntervalRule(
            wanted=wanted.coverage,
            radius=tuple(q if np.isfinite(q) else None for q in radius.tolist()),
            expected_low=low,
            expected_high=high,
            test=tuple(share(column, groups, wanted.confidence) for column in is_inside.T),
        )
        decision = NumberDecision(
            model_sha256=model_sha256,
            device=device,
            confidence=wanted.confidence,
            num_val=len(val),
            num_val_groups=len(set(judged.groups[val].tolist())),
            intervals=rule,
            unlike=unlike_rule(distances["val"], distances["test"], groups, wanted),
        )
        return FixedNumbers(decision, directions, distances)

    def parts(
        self,
        fixed: FixedNumbers,
        ids: dict[str, Sequence[str]],
        folder: Path,
        examples: str = "pictures",
    ) -> list[Part]:
        """Of the distance; the intervals are in the report of the task."""
        return [unlike_part(fixed.distances, ids, fixed.decision.unlike, folder, examples)]

    def read(self, fields: Mapping[str, Any]) -> NumberDecision:
        """Intervals for as many numbers as the model has."""
        intervals = dict(fields["intervals"])
        shares = tuple(read_share(of) for of in intervals["test"])
        intervals |= {"radius": tuple(intervals["radius"]), "test": shares}
        if not len(intervals["radius"]) == len(shares) == len(self.names):
            raise ValueError(f"{len(intervals['radius'])} intervals, {len(self.names)} numbers")
        rules = {
            "intervals": IntervalRule(**intervals),
            "unlike": UnlikeRule(**with_shares(fields["unlike"])),
        }
        return NumberDecision(**{**fields, **rules})

    def cells(self, seen: Seen, decision: tuple[NumberDecision, Tensor] | None) -> dict[str, Any]:
        """The numbers with their intervals; cells of an interval without ends are empty."""
        numbers = seen.answers.astype(float)
        cells: dict[str, Any] = {f"y_{k}": of for k, of in enumerate(numbers.T)}
        if decision is None:
            return cells
        rules, directions = decision
        for k, radius in enumerate(rules.intervals.radius):
            reach = np.nan if radius is None else radius
            cells |= {f"low_{k}": numbers[:, k] - reach, f"high_{k}": numbers[:, k] + reach}
        return cells | unlike_cells(rules.unlike, directions, seen.features)

    def told(
        self, decision: NumberDecision, counts: Mapping[str, int], num_examples: int, plural: str
    ) -> Iterator[str]:
        """Which number a column is of, and what its interval can be trusted for."""
        rule = decision.intervals
        for k, (name, radius) in enumerate(zip(self.names, rule.radius, strict=True)):
            shown = printable(name)
            if radius is None:
                yield (
                    f"y_{k}: {shown}; {decision.num_val} validation {plural} are too few for "
                    f"intervals of coverage {rule.wanted:g}"
                )
            else:
                yield (
                    f"y_{k}: {shown}; low_{k} to high_{k} is ± {radius:.4g}, wanted to hold it in "
                    f"{rule.wanted:g} of the cases; on test in {rule.test[k]}"
                )
        yield unlike_line(decision.unlike, counts["unlike"], num_examples, plural)
