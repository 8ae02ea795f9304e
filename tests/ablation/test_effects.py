"""Differences, intervals and verdicts of the confirmation, from tables made by hand."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftcore.ablation.effects import (
    BETTER,
    EFFECT_COLUMNS,
    FAILED,
    LEAST_SPREAD_NATS,
    UNCONVERGED,
    UNSEEN,
    WORSE,
    Comparison,
    compare_rows,
    effects_table,
    mean_interval,
    worth_table,
)
from sftcore.ablation.table import pairs_of
from sftcore.metrics.intervals import failure_bound, resampled_interval
from sftcore.tasks.classification.task import ClassificationTask as TASK
from tests.ablation.made import lines, table

NAN = float("nan")
BASE = [1.0, 1.5, 2.0, 0.7, 1.2, 1.8]  # replicates differ far more than rows: only pairs can see


def against(base: Sequence[float], differences: Sequence[float]) -> list[float]:
    return [level + difference for level, difference in zip(base, differences, strict=True)]


def compare(cells: pd.DataFrame, *names: str, metric: str = "loss") -> dict[str, Comparison]:
    return {line.row: line for line in compare_rows(cells, names, "none", metric, 0.95, TASK)}


def test_differences_are_paired_by_replicate_and_corrected_for_shared_pictures() -> None:
    shift = [-0.3, -0.302, -0.304, -0.301, -0.299, -0.303]
    cells = table(lines("none", "loss", BASE), lines("good", "loss", against(BASE, shift)))
    found = compare(cells.sample(frac=1, random_state=0), "good")["good"]
    by_hand = resampled_interval(shift, 50 / 200, 0.95, LEAST_SPREAD_NATS)
    assert (found.found.mean, found.found.low, found.found.high) == pytest.approx(
        (by_hand.mean, by_hand.low, by_hand.high)
    )
    assert found.value - found.baseline == pytest.approx(np.mean(shift))
    assert (found.verdict, found.num_replicates, found.num_failed) == (BETTER, 6, 0)
    wide = table(
        lines("none", "loss", BASE, num_judge=200),
        lines("good", "loss", against(BASE, shift), num_judge=200),
    )
    assert compare(wide, "good")["good"].found.low < found.found.low


def test_less_loss_is_better_and_more_accuracy_is() -> None:
    up, down = [0.3, 0.31, 0.29, 0.3, 0.3, 0.3], [-0.3, -0.31, -0.29, -0.3, -0.3, -0.3]
    for metric in ("loss", "accuracy", "balanced_accuracy", "macro_f1"):
        cells = table(
            lines("none", metric, BASE), lines("up", metric, against(BASE, up)),
            lines("down", metric, against(BASE, down)),
        )  # fmt: skip
        found = compare(cells, "up", "down", metric=metric)
        expected = (WORSE, BETTER) if metric == "loss" else (BETTER, WORSE)
        assert (found["up"].verdict, found["down"].verdict) == expected


def test_what_no_difference_means_is_said_with_the_smallest_visible_one() -> None:
    noise = [0.2, -0.3, 0.05, -0.02, 0.1, -0.1]
    cells = table(lines("none", "loss", BASE), lines("noise", "loss", against(BASE, noise)))
    (line,) = effects_table(cells, ["noise"], "loss", 0.95, TASK).query("metric == 'loss'").to_dict(
        "records"
    )  # fmt: skip
    assert line["verdict"] == UNSEEN == "no difference seen"
    assert line["low"] < 0 < line["high"]
    # More than half the interval's width: an effect on its edge is found in half of all studies.
    assert line["visible"] > (line["high"] - line["low"]) / 2 > 0


def test_other_families_are_no_evidence() -> None:
    cells = table(
        lines("none", "loss", BASE), lines("a", "loss", BASE),
        lines("none", "loss", BASE, family="screen"),
        lines("a", "loss", [0.0] * 6, family="screen"),
        lines("none", "loss", [9.0] * 6, family="data_size"),
    )  # fmt: skip
    assert compare(cells, "a")["a"].found.mean == 0.0


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_interval_verdict_and_p_are_of_one_test(data: st.DataObject) -> None:
    """Holm's p is below α exactly where the interval leaves zero out, for any table of rows."""
    num_rows = data.draw(st.integers(1, 5))
    num_replicates = data.draw(st.integers(2, 8))
    seed = data.draw(st.integers(0, 10_000))
    confidence = data.draw(st.sampled_from([0.8, 0.95, 0.99]))
    metric = data.draw(st.sampled_from(["loss", "accuracy"]))
    stream = np.random.default_rng(seed)
    base = stream.normal(1, 0.3, num_replicates)
    names = [f"row{number}" for number in range(num_rows)]
    groups = [lines("none", metric, base.tolist())]
    for name in names:
        effect = data.draw(st.sampled_from([0.0, 0.02, 0.05, 0.1, -0.03, -0.1, 1.0]))
        values = base + stream.normal(effect, 0.03, num_replicates)
        failed = data.draw(st.sampled_from([0, 0, 0, 1, num_replicates - 1, num_replicates]))
        values[:failed] = NAN
        groups.append(lines(name, metric, values.tolist()))
    found = compare_rows(table(*groups), names, "none", metric, confidence, TASK)
    for line in found:
        excludes = line.found.low > 0 or line.found.high < 0
        assert excludes == (line.p_holm < 1 - confidence), line
        assert line.confidence >= confidence - 1e-12
        if line.verdict in (BETTER, WORSE):
            assert excludes
            assert not line.num_failed
        elif line.verdict == UNSEEN:
            assert not excludes


def test_the_best_row_has_the_widest_level_and_those_after_it_less() -> None:
    """Holm's steps: 1 − α/3, 1 − α/2, and 1 − α for the last, while each one is found."""
    small = [0.01, -0.01, 0.005, 0.0, -0.005, 0.003]
    groups = [lines("none", "loss", BASE)]
    for name, effect in (("a", -1.0), ("b", -0.5), ("c", -0.25)):
        groups.append(lines(name, "loss", against(BASE, [effect + s for s in small])))
    found = compare(table(*groups), "c", "a", "b")
    assert [found[name].confidence for name in "abc"] == pytest.approx(
        [1 - 0.05 / 3, 1 - 0.05 / 2, 0.95]
    )
    groups[1] = lines("a", "loss", against(BASE, [9 * s for s in small]))
    groups[2] = lines("b", "loss", against(BASE, [8 * s for s in small]))
    found = compare(table(*groups), "c", "a", "b")
    assert found["c"].confidence == pytest.approx(1 - 0.05 / 3)
    assert found["a"].confidence == found["b"].confidence == pytest.approx(1 - 0.05 / 2)


def test_a_row_without_a_pair_takes_no_part_in_the_others_levels() -> None:
    values = against(BASE, [-0.05, -0.03, -0.09, -0.04, -0.06, -0.02])
    alone = compare(table(lines("none", "loss", BASE), lines("a", "loss", values)), "a")
    both = table(
        lines("none", "loss", BASE), lines("a", "loss", values), lines("b", "loss", [NAN] * 6)
    )
    found = compare(both, "a", "b")
    assert (found["a"].confidence, found["a"].p_holm) == (0.95, alone["a"].p_holm)
    assert math.isnan(found["b"].p_holm)
    assert found["b"].verdict == FAILED


@pytest.mark.parametrize("num_failed", [1, 3, 5, 6])
def test_a_row_that_failed_is_called_so_even_with_the_best_mean(num_failed: int) -> None:
    values = [NAN] * num_failed + [0.01] * (6 - num_failed)
    cells = table(lines("none", "loss", BASE), lines("wild", "loss", values))
    line = compare(cells, "wild")["wild"]
    assert (line.verdict, line.num_failed, line.num_replicates) == (FAILED, num_failed, 6)
    assert line.found.num == 6 - num_failed
    effects = effects_table(cells, ["wild"], "loss", 0.95, TASK)
    assert effects["failure_bound"].tolist() == [failure_bound(num_failed, 6, 0.95)] * 4
    assert 0 < failure_bound(1, 6, 0.95) < 1


def test_a_failed_baseline_costs_its_pairs_alone() -> None:
    cells = table(lines("none", "loss", [NAN, *BASE[1:]]), lines("a", "loss", BASE))
    assert pairs_of(cells, "a", "none", "loss").index.tolist() == [1001, 1002, 1003, 1004, 1005]
    assert pairs_of(cells, "a", "not there", "loss").empty


@pytest.mark.parametrize("which", ["none", "good"])
@pytest.mark.parametrize(("num_on_last", "is_silent"), [(1, False), (2, True), (6, True)])
def test_what_may_not_have_converged_gets_no_verdict(
    which: str, num_on_last: int, is_silent: bool
) -> None:
    on_last = [True] * num_on_last + [False] * (6 - num_on_last)
    shift = [-0.3, -0.31, -0.29, -0.3, -0.3, -0.3]
    values = {"none": BASE, "good": against(BASE, shift)}
    cells = table(*(
        lines(name, "loss", values[name], ends_on_last=on_last if name == which else False)
        for name in values
    ))  # fmt: skip
    assert compare(cells, "good")["good"].verdict == (UNCONVERGED if is_silent else BETTER)


def test_a_fifth_on_the_last_epoch_is_still_heard() -> None:
    base, shift = [1.0 + n / 10 for n in range(5)], [-0.3, -0.31, -0.29, -0.3, -0.3]
    cells = table(
        lines("none", "loss", base),
        lines("good", "loss", against(base, shift), ends_on_last=[True, *[False] * 4]),
    )
    assert compare(cells, "good")["good"].verdict == BETTER


def test_a_failure_is_said_before_anything_else() -> None:
    cells = table(
        lines("none", "loss", BASE, ends_on_last=True),
        lines("a", "loss", [NAN, *BASE[1:]], ends_on_last=True),
    )
    assert compare(cells, "a")["a"].verdict == FAILED


def test_equal_differences_of_an_accuracy_are_no_proof() -> None:
    """All rows gain one picture of fifty: a step of the metric, which chance gives easily."""
    base = [0.5, 0.52, 0.54]
    cells = table(lines("none", "accuracy", base), lines("a", "accuracy", [v + 0.02 for v in base]))
    line = compare(cells, "a", metric="accuracy")["a"]
    assert line.verdict == UNSEEN
    assert line.p_holm > 0.05
    assert line.found.low < 0 < line.found.high


def test_equal_differences_of_a_loss_are_measured_against_the_least_that_matters() -> None:
    for difference, verdict in ((-1e-4, UNSEEN), (0.0, UNSEEN), (-0.1, BETTER), (0.1, WORSE)):
        values = against(BASE, [difference] * 6)
        cells = table(lines("none", "loss", BASE), lines("a", "loss", values))
        line = compare(cells, "a")["a"]
        assert line.verdict == verdict
        assert line.p_holm > 0


def test_the_verdict_is_of_the_metric_that_decides() -> None:
    shift = [-0.3, -0.31, -0.29, -0.3, -0.3, -0.3]
    cells = table(lines("none", "loss", BASE), lines("good", "loss", against(BASE, shift)))
    effects = effects_table(cells, ["good"], "loss", 0.95, TASK)
    assert tuple(effects.columns) == EFFECT_COLUMNS
    assert effects["metric"].tolist() == ["loss", "accuracy", "balanced_accuracy", "macro_f1"]
    assert effects["verdict"].tolist() == [BETTER, "", "", ""]
    assert effects_table(cells, ["good"], "macro_f1", 0.95, TASK)["metric"].iloc[0] == "macro_f1"
    assert effects_table(cells, [], "loss", 0.95, TASK).empty
    assert tuple(effects_table(cells, [], "loss", 0.95, TASK).columns) == EFFECT_COLUMNS


def test_worth_is_against_the_probe_each_row_by_itself() -> None:
    shift = [-0.05, -0.03, -0.09, -0.04, -0.06, -0.02]
    cells = table(
        lines("probe", "loss", BASE), lines("none", "loss", against(BASE, shift)),
        lines("a", "loss", against(BASE, [-s for s in shift])),
    )  # fmt: skip
    worth = worth_table(cells, ["none", "a"], 0.95, TASK)
    loss = worth[worth["metric"] == "loss"].set_index("row")
    assert loss["verdict"].to_dict() == {"none": BETTER, "a": WORSE}
    assert loss["confidence"].tolist() == [0.95, 0.95]  # not of both together
    assert loss.loc["none", "baseline"] == pytest.approx(np.mean(BASE))
    assert set(worth["metric"]) == {"loss", "accuracy", "balanced_accuracy", "macro_f1"}


def test_means_are_of_confirmed_rows_that_finished() -> None:
    cells = table(
        lines("none", "loss", [1.0, 1.0, NAN], loss_rise=[0.1, 0.3, NAN]),
        lines("none", "loss", [1.0, 1.0], loss_rise=9.0, family="data_size"),
        lines("a", "loss", [1.0, 1.0], loss_rise=5.0),
    )
    found = mean_interval(cells, "none", "loss_rise", 0.95)
    assert (found.mean, found.num) == (pytest.approx(0.2), 2)
    assert mean_interval(cells, "gone", "loss_rise", 0.95).num == 0
