"""The stability map: what is safe against the head alone, and how that is said."""

import math
from typing import Any

import pandas as pd
import pytest

from sftcore.ablation.stability import (
    stability_columns,
    stability_map,
    stability_sentence,
    stability_words,
)
from sftcore.ablation.stability_figures import stability_figure
from sftcore.metrics.intervals import failure_bound
from sftcore.tasks.classification.task import ClassificationTask as TASK
from tests.ablation.made import lines, table

NAN = float("nan")
PROBE = lines("probe", "loss", [1.0, 2.0, 1.5], family="stability")
RATES = (0.01, 0.1, 1.0)


def point(
    rate: float, last: list[float], answer: str = "none", schedule: str = "cosine", **columns: Any
) -> list[dict[str, Any]]:
    """A rate's last losses by replicate."""
    columns = {"num_incidents": 2, "clipped_fraction": 0.5, "batch_norm_gap": 0.2} | columns
    return lines(
        f"{schedule} {rate:g} {answer}", "last_loss", last, family="stability", answer=answer,
        schedule=schedule, learning_rate=rate, **columns,
    )  # fmt: skip


def test_safe_is_better_than_the_head_alone_in_every_replicate_at_the_last_epoch() -> None:
    cells = table(
        PROBE,
        point(0.01, [0.9, 1.9, 1.4]),
        point(0.03, [0.1, 0.1, 1.5]),  # far better on average, but once no better
        point(0.1, [1.2, 2.2, 1.6]),
        point(0.3, [0.9, 1.9, 3.0], status=["finished", "finished", "collapsed"]),
        point(1.0, [NAN, NAN, 0.1]),
        point(3.0, [NAN, NAN, NAN]),
    )
    found = stability_map(cells, 0.95, TASK).set_index("learning_rate")
    assert found["is_safe"].tolist() == [True, False, False, False, False, False]
    assert found["num_worse"].tolist() == [0, 1, 3, 0, 0, 0]
    assert found["num_collapsed"].tolist() == [0, 0, 0, 1, 0, 0]
    assert found["num_diverged"].tolist() == [0, 0, 0, 0, 2, 3]
    assert found["failure_bound"].tolist() == [
        failure_bound(count, 3, 0.95) for count in (0, 0, 0, 1, 2, 3)
    ]
    assert found.loc[0.01, "last_loss"] == pytest.approx(1.4)
    assert found.loc[1.0, "last_loss"] == pytest.approx(0.1)
    assert pd.isna(found.loc[3.0, "last_loss"])
    assert found["probe_loss"].unique() == pytest.approx([1.5])
    assert (found.loc[0.01, "num_incidents"], found.loc[0.01, "clipped_fraction"]) == (6, 0.5)
    assert tuple(stability_map(cells, 0.95, TASK).columns) == tuple(stability_columns(TASK))


def test_replicates_are_compared_by_their_number() -> None:
    losses = [0.9, 1.9, 1.4]  # each below its own head, not below another's
    cells = table(PROBE, point(0.01, losses)).sample(frac=1, random_state=3)
    assert stability_map(cells, 0.95, TASK)["is_safe"].tolist() == [True]
    turned = table(PROBE, point(0.01, losses[::-1]))
    assert stability_map(turned, 0.95, TASK)["num_worse"].tolist() == [1]


def test_without_a_head_to_compare_with_nothing_is_safe() -> None:
    gone = lines("probe", "loss", [1.0, 2.0], family="stability")
    found = stability_map(table(gone, point(0.01, [0.1, 0.1, 0.1])), 0.95, TASK)
    assert (found["is_safe"].tolist(), found["num_worse"].tolist()) == ([False], [1])
    assert not stability_map(table(point(0.01, [0.1, 0.1])), 0.95, TASK)["is_safe"].any()


def test_other_families_are_not_on_the_map() -> None:
    cells = table(PROBE, point(0.01, [0.1] * 3), lines("none", "loss", [1.0]),
                  lines("probe", "loss", [0.0], family="confirm"))  # fmt: skip
    found = stability_map(cells, 0.95, TASK)
    assert len(found) == 1
    assert found["is_safe"].all()
    nothing = stability_map(cells[cells["family"] == "confirm"], 0.95, TASK)
    assert nothing.empty
    assert tuple(nothing.columns) == tuple(stability_columns(TASK))
    assert stability_sentence(nothing) == ""


def whole_map() -> pd.DataFrame:
    """Safe up to 0.01 alone, to 0.1 with clip, to 1 with guard; warm-up adds nothing."""
    groups = [PROBE]
    for answer, reach in (("none", 0.01), ("warmup", 0.01), ("clip", 0.1), ("guard", 1.0)):
        for rate in RATES:
            groups.append(point(rate, [0.5] * 3 if rate <= reach else [NAN] * 3, answer=answer))
    return stability_map(table(*groups), 0.95, TASK)


def test_the_sentence_says_what_is_safe_and_what_adds_to_it() -> None:
    said = stability_sentence(whole_map())
    assert said == "Safe in all 3 replicates: rate 0.01; with guard rate 0.01 to 1."


def test_of_answers_that_add_as_much_the_first_is_named() -> None:
    groups = [point(0.01, [0.5] * 3), point(0.1, [9.0] * 3)]
    for answer in ("warmup", "clip"):
        groups += [point(0.01, [0.5] * 3, answer=answer), point(0.1, [0.5] * 3, answer=answer)]
    said = stability_sentence(stability_map(table(PROBE, *groups), 0.95, TASK))
    assert said == "Safe in all 3 replicates: rate 0.01; with warmup rate 0.01, 0.1."


def test_a_rate_is_safe_only_under_every_schedule() -> None:
    cells = table(
        PROBE, point(0.01, [0.5] * 3), point(0.1, [0.5] * 3),
        point(0.01, [0.5] * 3, schedule="constant"), point(0.1, [9.0] * 3, schedule="constant"),
    )  # fmt: skip
    said = stability_sentence(stability_map(cells, 0.95, TASK))
    assert "0.01" in said
    assert "0.1" not in said.replace("0.01", "")


def test_nothing_safe_is_said() -> None:
    said = stability_sentence(stability_map(table(PROBE, point(0.01, [9.0] * 3)), 0.95, TASK))
    assert "no rate of the map" in said


def test_a_safe_rate_above_an_unsafe_one_hides_nothing() -> None:
    groups = [point(0.01, [0.5] * 3), point(0.1, [9.0] * 3), point(1.0, [0.5] * 3)]
    said = stability_sentence(stability_map(table(PROBE, *groups), 0.95, TASK))
    assert "0.01, 1" in said
    assert "0.1" not in said.replace("0.01", "")


def test_the_map_in_words() -> None:
    cells = table(
        PROBE, point(0.01, [0.5] * 3),
        point(0.1, [NAN, 9.0, 9.0], status=["diverged", "collapsed", "finished"]),
        point(0.01, [0.5, 9.0, 9.0], answer="guard"), point(0.1, [NAN] * 3, answer="guard"),
    )  # fmt: skip
    words = stability_words(stability_map(cells, 0.95, TASK))
    assert words.to_dict("list") == {
        "schedule": ["cosine", "cosine"],
        "answer": ["nothing", "guard"],
        "0.01": ["safe", "worse than the head alone in 2 of 3"],
        "0.1": [
            "diverges in 1 of 3, collapses in 1 of 3, worse than the head alone in 1 of 3",
            "diverges in 3 of 3",
        ],
    }


@pytest.mark.parametrize("last", [[0.5] * 3, [NAN] * 3, [1e30] * 3])
def test_the_figure_is_the_same_each_time_whatever_happened(last: list[float]) -> None:
    cells = table(PROBE, point(0.01, last), point(0.1, [0.5, 9.0, 9.0]))
    found = stability_map(cells, 0.95, TASK)
    png = stability_figure(found, math.log(10))
    assert png == stability_figure(found, math.log(10))
    assert png != stability_figure(found, math.log(10), "per foreground point")
    assert png.startswith(b"\x89PNG")
