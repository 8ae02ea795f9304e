"""What the report of the run says of the rules: coverage, abstention, distance."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sftcore.foundations.artifacts import write_bytes, write_csv
from sftcore.metrics.selective import conformal_threshold, label_sets, risk_coverage
from sftcore.reporting.parts import Figure, Part
from sftcore.use.figures import abstention_figure, coverage_figure
from sftcore.use.rules import Fixed, Judged, share
from sftcore.use.unlike_part import unlike_part

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)


def use_parts(
    fixed: Fixed, ids: dict[str, Sequence[str]], folder: Path, examples: str = "pictures"
) -> list[Part]:
    """Write tables and figures of the rules, and say what they show.

    Args:
        fixed: the rules, with the examples of validation and test.
        ids: names of the examples of ``val`` and of ``test``.
        folder: of the stage's report.
        examples: what examples are called.

    Returns:
        Sections of the report, which name the files.
    """
    decision = fixed.decision
    coverage = coverage_table(fixed.val, fixed.test, decision.coverage.wanted, decision.confidence)
    abstention = abstention_table({"val": fixed.val, "test": fixed.test})
    write_csv(folder / "coverage.csv", coverage)
    write_csv(folder / "abstention.csv", abstention)
    write_bytes(
        folder / "coverage.png", coverage_figure(coverage, decision.coverage.wanted, examples)
    )
    write_bytes(folder / "abstention.png", abstention_figure(abstention, decision.abstention))
    distances = {"val": fixed.val.distance, "test": fixed.test.distance}
    return [
        _coverage_part(fixed, examples),
        _abstention_part(fixed, examples),
        unlike_part(distances, ids, decision.unlike, folder, examples),
    ]


def coverage_table(val: Judged, test: Judged, wanted: float, confidence: float) -> pd.DataFrame:
    """What the sets come to on test, had another coverage been wanted.

    Args:
        val: the examples that choose the threshold.
        test: the examples that judge.
        wanted: the coverage of the rule, one of the rows.
        confidence: of the intervals.

    Returns:
        Columns coverage, least_probability, test_coverage, test_low, test_high, mean_labels.
    """
    rows = []
    for coverage in sorted({*COVERAGES, wanted}):
        threshold = conformal_threshold(val.of_label, coverage)
        sets = label_sets(test.probability, threshold)
        found = share(sets[np.arange(len(sets)), test.labels], test.groups, confidence)
        rows.append(
            {
                "coverage": coverage,
                "least_probability": threshold,
                "test_coverage": found.value,
                "test_low": found.low,
                "test_high": found.high,
                "mean_labels": float(sets.sum(axis=1).mean()),
            }
        )
    return pd.DataFrame(rows)


def abstention_table(judged: dict[str, Judged]) -> pd.DataFrame:
    """The share that is answered and how often right, at every threshold, for each split."""
    parts = []
    for split, of in judged.items():
        curve = risk_coverage(of.confidence, of.is_right)
        curve.insert(0, "split", split)
        parts.append(curve)
    return pd.concat(parts, ignore_index=True)


def _coverage_part(fixed: Fixed, examples: str) -> Part:
    decision, rule = fixed.decision, fixed.decision.coverage
    chosen = (
        f"A set holds every class with a calibrated probability of at least "
        f"{rule.least_probability:.4g}, and the most probable one."
        if rule.least_probability > 0
        else f"{decision.num_val} validation {examples} are too few for this coverage, so every "
        "set holds all classes."
    )
    return Part(
        title="Sets of labels",
        text=(
            f"Wanted: sets that hold the right label with probability {rule.wanted:g}. {chosen} "
            f"The threshold is fixed on the {decision.num_val} validation {examples} "
            f"({decision.num_val_groups} groups of near-duplicates), which also chose the epoch "
            f"and the temperature; {examples} without any say would make the promise exact.",
            f"With so many {examples} the true coverage lies between {rule.expected_low:.3f} and "
            f"{rule.expected_high:.3f} in {decision.confidence:.0%} of draws, if {examples} are "
            f"independent; the test {examples} add luck of their own. On them it was "
            f"{rule.test}, with {rule.test_mean_labels:.2f} labels in a set.",
        ),
        figures=(
            Figure(
                "coverage.png",
                f"Coverage of the test {examples} against the coverage that was wanted, with "
                f"{decision.confidence:.0%} intervals by groups of near-duplicates, and the "
                "labels in a set.",
                "coverage.csv",
            ),
        ),
    )


def _abstention_part(fixed: Fixed, examples: str) -> Part:
    rule = fixed.decision.abstention
    if rule.least_probability is None:
        found: tuple[str, ...] = (
            f"No threshold gave this on the {rule.val_answered.num} validation {examples}, so "
            f"`predict` marks every {examples.removesuffix('s')} `abstain`; lower "
            "evaluate.answer_accuracy.",
        )
    else:
        found = (
            f"Validation chose to answer from a calibrated probability of "
            f"{rule.least_probability:.3f} on: it answers {rule.val_answered} validation "
            f"{examples} and is right in {rule.val_accuracy}. The choice flatters these.",
            f"On the test {examples}, which had no say: answered {rule.test_answered}, "
            f"right in {rule.test_accuracy}.",
        )
    return Part(
        title="When to give no answer",
        text=(f"Wanted: answers that are right in {rule.wanted:g} of the cases.", *found),
        figures=(
            Figure(
                "abstention.png",
                f"How often answers are right, by the share of {examples} that is answered, the "
                "most confident first.",
                "abstention.csv",
            ),
        ),
    )
