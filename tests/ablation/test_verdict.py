"""What a study says: short sentences from its tables, and no advice that nothing confirms."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from sftcore.ablation.data_size import Growth, PowerLaw
from sftcore.ablation.effects import effects_table, worth_table
from sftcore.ablation.plan import PROBE, Row, plan_confirmation
from sftcore.ablation.study import find
from sftcore.ablation.verdict import Findings, advise, write_verdict
from sftcore.foundations.yaml_files import flatten
from sftcore.metrics.intervals import Interval
from sftcore.settings.grids import Changes
from sftcore.settings.tree import Params, override
from sftcore.tasks.classification.task import ClassificationTask as TASK
from tests.ablation.made import lines, params_with, table

NAN = float("nan")
BASE = [1.0, 1.5, 2.0, 0.7, 1.2, 1.8]
NOISE = [0.02, -0.01, 0.005, 0.0, -0.015, 0.003]
BEST: dict[str, Changes] = {
    "label_smoothing": {"train.label_smoothing": 0.1},
    "stochastic_depth": {"model.stochastic_depth": 0.1, "train.epochs": 5},
}
NAMES = (*BEST, "composed")


def values(effect: float | None, num_failed: int = 0) -> list[float]:
    """Losses of a row with an effect; None is noise that hides any."""
    scaled = [10 * n for n in NOISE] if effect is None else [effect + n for n in NOISE]
    found = [level + difference for level, difference in zip(BASE, scaled, strict=True)]
    return [NAN] * num_failed + found[num_failed:]


def findings(
    params: Params | None = None,
    probe: float | None = 0.5,
    effects: tuple[float | None, float | None, float | None] = (None, None, None),
    failed: tuple[int, int, int] = (0, 0, 0),
    on_last: tuple[int, int, int, int] = (0, 0, 0, 0),
    metric: str = "loss",
    num_failed: int = 0,
) -> Findings:
    """A study of six replicates.

    Args:
        probe: its loss minus the recipe's.
        effects: of the rows on the loss.
        failed: replicates in which each row failed.
        on_last: replicates of the recipe and of each row whose last epoch was the best.
        metric: that decides; others than the loss are minus the loss here.
        num_failed: replicates in which the recipe failed.
    """
    params = params or params_with()
    given = {"none": values(0.0, num_failed), "probe": values(probe)}
    given |= {name: values(*pair) for name, *pair in zip(NAMES, effects, failed, strict=True)}
    last = dict(zip(("none", *NAMES), on_last, strict=True))
    cells = table(*(
        lines(
            name, "loss", losses,
            ends_on_last=[n < last.get(name, 0) for n in range(6)],
            **{m: [5 - loss for loss in losses]
               for m in ("accuracy", "balanced_accuracy", "macro_f1")},
        )
        for name, losses in given.items()
    ))  # fmt: skip
    ablation = params.ablation.model_copy(update={"metric": metric})
    params = params.model_copy(update={"ablation": ablation})
    return find(cells, plan_confirmation(params, BEST), params, num_screened=10)


def test_worth_is_said_either_way() -> None:
    def said(**columns: Any) -> str:
        return str(write_verdict(findings(**columns))["worth"])

    assert said(probe=0.5).startswith("Fine-tuning is worth +0.500 [+0.")
    assert "nats" in said(probe=0.5)
    worse = said(probe=-0.5)
    assert worse.startswith("Fine-tuning is worth -0.500 [-0.5")
    assert "below the features as they are" in worse
    assert "No gain" in said(probe=None)
    assert "failed in 2 of 6 (rate ≤ 73%)" in said(num_failed=2)
    assert "no verdict, 5 of 6" in said(on_last=(5, 0, 0, 0))


def test_more_is_better_in_worth_whatever_the_metric() -> None:
    for metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        text = str(write_verdict(findings(metric=metric))["worth"])
        assert text.startswith("Fine-tuning is worth +0.500 [+0.")
        assert metric.replace("_", " ").replace("f1", "F1") in text


def test_the_confirmed_best_is_named_and_advised() -> None:
    found = findings(effects=(-0.1, -0.3, -0.2))
    verdict = write_verdict(found)
    assert "stochastic_depth, loss -0.300 [-0.3" in verdict["helped"]
    assert verdict["settings"] == BEST["stochastic_depth"]
    assert verdict["evidence"].startswith("stochastic_depth: loss -0.300")
    for name, value in BEST["stochastic_depth"].items():
        assert f"{name} {value}" in verdict["advice"]
    together = write_verdict(findings(effects=(-0.1, -0.2, -0.3)))
    assert together["settings"] == {
        "train.label_smoothing": 0.1, "model.stochastic_depth": 0.1, "train.epochs": 5,
    }  # fmt: skip
    up = write_verdict(findings(effects=(-0.1, -0.3, -0.2), metric="accuracy"))
    assert up["settings"] == BEST["stochastic_depth"]
    assert "accuracy +0.300" in up["helped"]


def test_no_difference_is_said_with_what_would_have_been_seen() -> None:
    found = findings()
    verdict = write_verdict(found)
    line = found.effects[found.effects["metric"] == "loss"]
    best = line.loc[line["difference"].idxmin()]
    assert "No help seen" in verdict["helped"]
    assert f"{best['visible']:.3f}" in verdict["helped"]
    assert (verdict["settings"], verdict["evidence"]) == ({}, "")
    assert "Nothing was confirmed" in verdict["advice"]


def test_a_row_that_is_worse_is_not_advised() -> None:
    verdict = write_verdict(findings(effects=(0.3, 0.4, 0.5)))
    assert verdict["settings"] == {}
    assert "No help seen" in verdict["helped"]


def test_a_row_that_failed_is_named_with_its_bound_and_never_advised() -> None:
    """However good it is where it did not fail."""
    verdict = write_verdict(findings(effects=(-0.9, None, -0.8), failed=(2, 0, 1)))
    assert verdict["settings"] == {}
    assert "label_smoothing" not in verdict["helped"]
    assert "composed" not in verdict["helped"]
    assert "label_smoothing 2 of 6 (rate ≤ 73%)" in verdict["failures"]
    assert "composed 1 of 6 (rate ≤ 58%)" in verdict["failures"]
    assert write_verdict(findings())["failures"] == ""
    others = write_verdict(findings(effects=(-0.9, -0.1, -0.8), failed=(2, 0, 1)))
    assert others["settings"] == BEST["stochastic_depth"]
    every = write_verdict(findings(effects=(-0.9, -0.9, -0.9), failed=(6, 1, 2)))
    assert "every row that was confirmed failed" in every["helped"]
    assert every["failures"].endswith("and 1 more.")
    assert every["failures"].index("label_smoothing") < every["failures"].index("composed")


def test_the_probe_is_advised_where_fine_tuning_is_not_worth_it() -> None:
    for probe in (-0.5, None):
        found = findings(probe=probe)
        settings, evidence = advise(found)
        assert settings["train.epochs"] == 0
        assert evidence == write_verdict(found)["worth"]
    failed = write_verdict(findings(num_failed=2))
    assert failed["settings"]["train.epochs"] == 0


def test_a_row_that_beats_the_recipe_but_not_the_probe_is_not_kept() -> None:
    verdict = write_verdict(findings(probe=-0.5, effects=(-0.3, None, None)))
    assert verdict["settings"]["train.epochs"] == 0
    assert "label_smoothing" in verdict["helped"]
    better = write_verdict(findings(probe=-0.5, effects=(-0.9, None, None)))
    assert better["settings"] == BEST["label_smoothing"]


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"train.averaging.wise_ft": True, "train.head.epochs": 1},
        {"train.head.method": "solve", "train.head.strength": 0.5, "train.label_smoothing": 0.2},
    ],
)
def test_the_advised_probe_is_the_one_that_was_measured(recipe: dict[str, Any]) -> None:
    """Put into the recipe it is accepted, and is the probe itself."""
    params = params_with(recipe=recipe)
    settings, _ = advise(findings(params, probe=-0.5))
    probe = plan_confirmation(params, {})[-1]
    advised = override(params, settings, "advice")
    assert (advised.model, advised.train) == (probe.model, probe.train)
    before = flatten(params.model_dump())
    assert all(before[name] != value for name, value in settings.items()), "nothing to change"


def test_a_recipe_that_is_the_probe_is_told_to_change_nothing() -> None:
    settings, _ = advise(findings(params_with(recipe=dict(PROBE)), probe=0.0))
    assert settings == {}


@pytest.mark.parametrize("on_last", [(5, 0, 0, 0), (5, 5, 5, 5)])
def test_a_recipe_that_may_not_have_converged_gets_no_advice(
    on_last: tuple[int, int, int, int],
) -> None:
    for probe in (-0.5, 0.5, None):
        verdict = write_verdict(findings(probe=probe, effects=(-0.3, -0.3, -0.3), on_last=on_last))
        assert verdict["settings"] == {}
        assert "no verdict" in verdict["helped"]
        assert "5 of 6" in verdict["helped"], "of the recipe, as the rows themselves had ended"
        assert "train.epochs" in verdict["helped"]


def test_rows_that_may_not_have_converged_are_silent_alone() -> None:
    verdict = write_verdict(findings(effects=(-0.3, None, None), on_last=(0, 4, 0, 0)))
    assert verdict["settings"] == {}
    assert "4 of 6" in verdict["helped"]
    other = write_verdict(findings(effects=(-0.3, -0.2, None), on_last=(0, 4, 0, 0)))
    assert other["settings"] == BEST["stochastic_depth"]


def test_nothing_to_confirm_is_said() -> None:
    found = findings()
    empty = replace(
        found,
        effects=effects_table(table(lines("none", "loss", BASE)), [], "loss", 0.95, TASK),
    )
    verdict = write_verdict(empty)
    assert verdict["helped"] == "None of the 10 rows looked better than the recipe in the screen."
    assert verdict["settings"] == {}
    assert verdict["failures"] == ""


def interval(mean: float, reach: float, num: int = 6) -> Interval:
    return Interval(mean, mean - reach, mean + reach, 0.01, num, reach / 2)


def test_over_fitting_is_what_it_costs() -> None:
    found = findings()
    for rise, begin in ((interval(0.3, 0.1), "It over-fits"), (interval(0.05, 0.1), "No over-fit")):
        text = write_verdict(replace(found, rise=rise, rise_visible=0.123))["overfitting"]
        assert text.startswith(begin)
        assert ("0.123" in text) is (begin != "It over-fits")
    nan = Interval(NAN, NAN, NAN, NAN, 1, NAN)
    assert "cannot be said" in write_verdict(replace(found, rise=nan))["overfitting"]


def law(is_supported: bool, row: str = "none") -> PowerLaw:
    exponent = interval(0.3, 0.1 if is_supported else 0.4)
    return PowerLaw(row, 2.0, exponent, interval(0.02, 0.01), interval(0.0, 0.01), 400)


def test_more_data_is_what_was_measured_and_further_only_if_supported() -> None:
    found, growth = findings(), Growth(0.5, 400, interval(0.05, 0.02))
    assert write_verdict(found)["more_data"] == ""
    text = write_verdict(replace(found, growth=growth, laws=[law(True)]))["more_data"]
    assert (
        "From 50% to all: accuracy +0.050 [+0.030, +0.070]; doubled, by power law: +0.020" in text
    )
    for laws in ([law(False)], [], [law(True, row="probe")]):
        text = write_verdict(replace(found, growth=growth, laws=laws))["more_data"]
        assert "twice" not in text
        assert text.endswith("nothing can be said.")


CASES = list(product((0.5, None, -0.5), ((-0.1, -0.3, -0.2), (None, None, None), (0.3, 0.3, 0.3)),
                     ((0, 0, 0), (1, 2, 3), (6, 6, 6)), ((0, 0, 0, 0), (6, 0, 0, 0), (0, 6, 6, 6)),
                     ("loss", "balanced_accuracy"), (0, 2)))  # fmt: skip


@pytest.mark.parametrize("number", range(0, len(CASES), 7))
def test_every_sentence_fits_into_a_line(number: int) -> None:
    probe, effects, failed, on_last, metric, num_failed = CASES[number]
    found = findings(None, probe, effects, failed, on_last, metric, num_failed)
    growth = Growth(0.5, 400, interval(-0.05, 0.02))
    for laws in ([law(True)], [law(False)]):
        verdict = write_verdict(replace(found, growth=growth, laws=laws))
        for name, text in verdict.items():
            if name not in ("advice", "settings", "evidence"):
                assert len(text) < 100, (name, text)
                assert text == "" or text.endswith(".")
                assert "nan" not in text


def test_worth_and_effects_of_a_row_are_of_the_same_cells() -> None:
    rows: list[Row] = findings().rows
    assert [row.name for row in rows] == ["none", *NAMES, "probe"]
    cells = table(lines("none", "loss", BASE), lines("probe", "loss", BASE))
    assert worth_table(cells, ["none"], 0.95, TASK)["difference"].tolist() == [0.0] * 4
