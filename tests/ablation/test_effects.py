import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sftcore.ablation.cells import CellResult
from sftcore.ablation.effects import (
    baseline_gap,
    cells_table,
    leave_one_out_effects,
    regularization_effects,
)
from sftcore.ablation.plan import Cell, Row
from sftcore.ablation.report import render_html, render_markdown, section
from sftcore.ablation.stability import (
    seed_spread,
    spread_sentence,
    stability_map,
    stability_sentence,
)
from sftcore.ablation.stability_figures import spread_figure, stability_figure
from sftcore.ablation.verdict import write_verdict
from sftcore.sections import Params
from sftcore.training.records import EpochRecord, candidate_of
from tests.training.test_loop import small


@pytest.fixture(scope="module")
def params() -> Params:
    return small()


def result(
    row: Row, seed: int, val: list[float], train: float = 0.1, diverged: str = ""
) -> CellResult:
    history = [
        EpochRecord(i, "full", train, loss, 1.0, 1 - loss / 4, 0.1, 1.0, 0.5, 1.0, 1.0, 0.5, 0.2, 1)
        for i, loss in enumerate(val)
    ]
    best = int(np.argmin(val)) if val else -1
    chosen = [candidate_of(history[best])] if history else []
    return CellResult(
        cell=Cell(row, seed),
        key=f"{row.name}{seed}",
        history=history,
        best_epoch=best,
        diverged=diverged,
        candidates=chosen,
        chosen=len(chosen) - 1,
        calibration={},
        num_train=100,
        num_incidents=len(history),
    )


def row(params: Params, family: str, name: str, **changes: object) -> Row:
    train = params.train.model_copy(update=changes)
    named = {f"train.{key}": value for key, value in changes.items()}
    return Row(family, name, named, params.model, train)  # type: ignore[arg-type]


def test_effects_are_paired_and_corrected(params: Params) -> None:
    none, good, bad, noise = (row(params, "regularization", n) for n in ("none", "g", "b", "n"))
    base = [1.0, 1.5, 2.0]  # seeds differ far more than the rows: only pairing can see the effect
    results = []
    for seed, level in enumerate(base):
        results += [
            result(none, seed, [level]),
            result(good, seed, [level - 0.3 - 0.001 * seed]),
            result(bad, seed, [level + 0.3 + 0.001 * seed]),
            result(noise, seed, [level + (0.2, -0.3, 0.05)[seed]]),
        ]
    effects = regularization_effects(cells_table(results, 10), 0.95)
    loss = effects[effects["metric"] == "val_loss"].set_index("row")
    assert loss["verdict"].to_dict() == {"g": "better", "b": "worse", "n": "within noise"}
    assert loss.loc["g", "difference"] == pytest.approx(-0.301)
    accuracy = effects[effects["metric"] == "val_accuracy"].set_index("row")
    assert accuracy["verdict"].to_dict() == {"g": "better", "b": "worse", "n": "within noise"}
    from scipy.stats import ttest_1samp

    alone = ttest_1samp([-0.3, -0.301, -0.302], 0)
    assert loss.loc["g", "p_holm"] > alone.pvalue
    wide = alone.confidence_interval(1 - 0.05 / 3)
    assert (loss.loc["g", "low"], loss.loc["g", "high"]) == pytest.approx((wide.low, wide.high))


def test_a_failed_cell_is_a_result_and_no_pair(params: Params) -> None:
    none, l1 = row(params, "regularization", "none"), row(params, "regularization", "l1")
    results = [
        *(result(none, seed, [1.0, 0.9 + seed]) for seed in range(3)),
        result(l1, 0, [0.5]),
        result(l1, 1, [0.6]),
        result(l1, 2, [], diverged="full phase, epoch 0"),
    ]
    cells = cells_table(results, 10)
    assert cells["status"].tolist() == ["finished"] * 5 + ["diverged"]
    effects = regularization_effects(cells, 0.95)
    assert effects["num_pairs"].tolist() == [2, 2, 2]


def test_stability_counts_divergence_collapse_and_swings(params: Params) -> None:
    rows = {rate: map_row(params, rate) for rate in (0.001, 0.01, 0.1, 1.0)}
    results = [
        result(rows[0.001], 0, [1.0, 0.9]),
        result(rows[0.01], 0, [1.0, 1.8]),  # swings
        result(rows[0.1], 0, [1.0, 1.1], train=math.log(10)),  # no better than guessing
        result(rows[1.0], 0, [], diverged="at update 0"),
        result(rows[1.0], 1, [1.0]),
    ]
    table = stability_map(cells_table(results, 10)).set_index("learning_rate")
    assert table["is_stable"].tolist() == [True, False, False, False]
    assert table["num_collapsed"].tolist() == [0, 0, 1, 0]
    assert table["num_diverged"].tolist() == [0, 0, 0, 1]
    assert table["failed_fraction"].tolist() == [0, 0, 1, 0.5]
    assert table.loc[0.01, "max_swing"] == pytest.approx(0.8)
    assert table.loc[0.01, "last_val_loss"] == pytest.approx(1.8)
    assert table.loc[0.01, "num_incidents"] == 2
    assert table.loc[0.01, "clipped_fraction"] == 0.5
    assert stability_sentence(table.reset_index()) == (
        "cosine: up to 0.001 is safe; 0.01 swings (validation loss rises by 0.80 in an epoch), 0.1 "
        "collapses in 1 of 1 seeds, 1 diverges in 1 of 2 seeds. Nothing survives 0.1."
    )


def test_a_training_that_ends_outside_of_the_numbers_is_no_stable_one(params: Params) -> None:
    nan = float("nan")
    results = [
        result(map_row(params, 0.01), 0, [1.0, 0.9, nan]),
        result(map_row(params, 0.1), 0, [nan, 1.0, 0.9]),
        result(map_row(params, 1.0), 0, [1.0, 0.9], train=nan),
    ]
    table = stability_map(cells_table(results, 10))
    assert table["num_diverged"].tolist() == [1, 0, 1]
    assert table["max_swing"].tolist() == [math.inf, math.inf, pytest.approx(-0.1)]
    assert not table["is_stable"].any()
    assert "no rate is safe" in stability_sentence(table)
    assert stability_figure(table, 10).startswith(b"\x89PNG")


def test_the_map_says_which_answer_saves_what(params: Params) -> None:
    results = []
    for answer, reach in (("none", 0.01), ("clip", 0.1), ("guard", 1.0)):
        for rate in (0.01, 0.1, 1.0):
            for seed in range(3):
                failed = rate > reach
                results.append(
                    result(map_row(params, rate, answer=answer), seed, [] if failed else [1.0, 0.8],
                           diverged="at update 0" if failed else "")
                )  # fmt: skip
    table = stability_map(cells_table(results, 10))
    assert stability_sentence(table) == (
        "cosine: up to 0.01 is safe; 0.1 diverges in 3 of 3 seeds, 1 diverges in 3 of 3 seeds. "
        "Safe with clip up to 0.1, with guard up to 1. 1, which fails in every seed alone, "
        "survives in 3 of 3 seeds with guard."
    )
    png = stability_figure(table, 10)
    assert png == stability_figure(table, 10)
    assert png.startswith(b"\x89PNG")


def test_the_spread_is_of_each_source_and_names_one_only_beyond_doubt(params: Params) -> None:
    losses = {
        "all": [1.0, 2.0, 3.0, 2.5, 1.5],
        "init": [2.0, 2.01, 2.0, 1.99, 2.0],
        "order": [1.0, 3.0, 2.0, 2.5, 1.5],
        "augmentation": [2.0, 2.0, 2.01, 2.0, 2.0],
    }
    results = [
        result(row(params, "spread", name), seed, [loss])
        for name, values in losses.items()
        for seed, loss in enumerate(values)
    ]
    cells = cells_table(results, 10)
    table = seed_spread(cells, 0.95).set_index("source")
    for name, values in losses.items():
        assert table.loc[name, "val_loss_spread"] == pytest.approx(np.std(values, ddof=1))
    # 95 % limits of a standard deviation from 5 values: factors 0.599 and 2.874 of any table
    ratios = table.loc["all", ["low", "high"]] / table.loc["all", "val_loss_spread"]
    assert ratios.tolist() == pytest.approx([0.599, 2.874], abs=1e-3)
    text = spread_sentence(table.reset_index(), 0.95)
    assert "0.791 nats of validation loss (95% interval 0.474 to 2.272)" in text
    assert text.endswith("By one source alone: order 0.791, init 0.007, augmentation 0.004: "
                         "order matters most.")  # fmt: skip
    few = seed_spread(cells[cells["row"] != "order"], 0.95)
    assert spread_sentence(few, 0.95).endswith("which matters most cannot be said.")
    assert spread_figure(cells).startswith(b"\x89PNG")
    assert spread_sentence(seed_spread(cells[cells["row"] == ""], 0.95), 0.95) == ""


def map_row(params: Params, rate: float, answer: str = "none") -> Row:
    name = f"cosine {rate:g} {answer}"
    changed = row(params, "stability", name, learning_rate=rate, schedule="cosine")
    return replace(changed, answer=answer)


def study(params: Params, name: str = "good") -> tuple[list[Row], dict[str, object]]:
    none = row(params, "regularization", "none")
    good = row(params, "regularization", name, l1=0.5)
    slow, fast = map_row(params, 0.001), map_row(params, 1.0)
    results = []
    for seed in range(3):
        results += [
            result(none, seed, [1.0 + seed, 1.2 + seed]),
            result(good, seed, [0.5 + seed * 1.001]),
            result(slow, seed, [1.0]),
            result(fast, seed, [], diverged="at update 0"),
        ]
    cells = cells_table(results, 10)
    effects = regularization_effects(cells, 0.95)
    stability, spread = stability_map(cells), seed_spread(cells, 0.95)
    left_out = leave_one_out_effects(cells, 0.95)
    gap = baseline_gap(cells, 0.95)
    rows = [none, good, slow, fast]
    return rows, write_verdict(rows, gap, effects, left_out, [], stability, spread, 0.95)


def test_the_verdict_says_what_the_tables_say(params: Params) -> None:
    _, verdict = study(params)
    assert "good (loss -0.499" in str(verdict["helped"])
    assert "up to 0.001 is safe; 1 diverges in 3 of 3 seeds" in str(verdict["stable"])
    assert verdict["settings"] == {
        "train.l1": 0.5,
        "train.learning_rate": 0.001,
        "train.schedule": "cosine",
    }
    assert "over-fit" in str(verdict["overfitting"])


def test_the_report_escapes_and_embeds(params: Params) -> None:
    _, verdict = study(params, name="<script>alert(1)</script>|x")
    table = pd.DataFrame({"row": ["<b>|x"], "value": [0.123456], "ok": [True]})
    sections = [section("Title", "Text <i>", ("figure",), table)]
    page = render_html("intro <u>", verdict, sections, {"figure": b"\x89PNG"})
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>|x" not in page
    assert "data:image/png;base64,iVBORw" in page
    assert "0.123" in page
    assert "http" not in page.replace("http-equiv", "")
    text = render_markdown("intro <u>", verdict, sections)
    assert "<script>" not in text
    assert "&lt;b&gt;\\|x" in text
    assert "![figure](figure.png)" in text
