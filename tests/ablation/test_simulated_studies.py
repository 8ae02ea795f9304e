"""Whole studies of cells that nothing has trained: luck, failures, and what the report says."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sftcore.ablation.cells import CellResult
from sftcore.ablation.effects import BETTER, FAILED, UNSEEN, WORSE
from sftcore.ablation.plan import Cell, Row
from sftcore.ablation.run import check_cells
from sftcore.ablation.study import Study, conduct
from sftcore.ablation.write import write_study
from sftcore.data.store import open_store
from sftcore.foundations.errors import ParamsError
from sftcore.pipeline.ablate import headline
from sftcore.settings.tree import Params, recipe_digest
from tests.ablation.made import params_with, result, simulated

CONFIRM: dict[str, Any] = {"num_replicates": 6, "num_rows": 2}
QUICK: dict[str, Any] = {"confirm": CONFIRM, "stability": None, "data_size": None}


def probe_is_worse(row: Row) -> float:
    return 0.5 if row.is_probe else 0.0


def loss_verdicts(study: Study) -> dict[str, str]:
    lines = study.findings.effects.query("metric == 'loss'")
    return dict(zip(lines["row"], lines["verdict"], strict=True))


def write(study: Study, params: Params, output: Path) -> dict[str, bytes]:
    """The files of a report."""
    write_study(
        study, params.ablation, num_pool=27, num_outputs=30, precision="fp32",
        recipe=recipe_digest(params), output=output,
    )  # fmt: skip
    return {path.name: path.read_bytes() for path in sorted(output.iterdir())}


def test_what_the_screen_likes_by_luck_is_not_confirmed() -> None:
    """A row that is better in the screen's replicates alone: its luck does not go on."""
    params = params_with(**QUICK)

    def effect(row: Row) -> float:
        return probe_is_worse(row) - (0.2 if (row.family, row.name) == ("screen", "l1") else 0.0)

    found = [conduct(params, simulated(effect, seed)) for seed in range(10)]
    verdicts = [loss_verdicts(study)["l1"] for study in found]  # each has chosen it
    assert verdicts.count(UNSEEN) >= 9
    assert sum(study.verdict["settings"].get("train.penalties.l1", 0) > 0 for study in found) <= 1


def test_a_planted_effect_is_found_in_every_study() -> None:
    params = params_with(**QUICK)

    def effect(row: Row) -> float:
        return probe_is_worse(row) - (0.2 if row.train.penalties.l1 == 1e-3 else 0.0)

    for seed in range(10):
        study = conduct(params, simulated(effect, seed))
        assert study.screen.sort_values("gain")["row"].iloc[-1] == "l1"
        assert loss_verdicts(study)["l1"] == BETTER
        assert (
            study.verdict["settings"]["train.penalties.l1"] == 1e-3
        )  # alone, or in what is composed


def test_fine_tuning_that_is_worse_than_frozen_features_is_told_so() -> None:
    study = conduct(params_with(**QUICK), simulated(lambda row: -0.5 if row.is_probe else 0.0, 0))
    worth = study.findings.worth.query("metric == 'loss'").set_index("row")
    assert worth.loc["none", "verdict"] == WORSE
    assert study.verdict["settings"]["train.epochs"] == 0


def fails_on_top_of_the_recipe(row: Row) -> float:
    if row.family == "screen":
        return -0.2 if row.name == "l1" else 0.1
    return math.nan if row.train.penalties.l1 else probe_is_worse(row)


def fails_wherever_it_trains(row: Row) -> float:
    return 0.0 if row.is_probe else math.nan


def test_a_row_that_fails_when_it_is_confirmed_is_reported(tmp_path: Path) -> None:
    params = params_with(confirm=CONFIRM)
    study = conduct(params, simulated(fails_on_top_of_the_recipe, 0))
    files = write(study, params, tmp_path / "report")
    verdict = json.loads(files["verdict.json"])
    assert loss_verdicts(study)["l1"] == FAILED
    assert "l1 6 of 6" in verdict["failures"]
    assert "train.penalties.l1" not in verdict["settings"]
    assert b"What failed? Failed: l1 6 of 6" in files["parts.json"]


def test_a_study_in_which_all_training_fails_is_written(tmp_path: Path) -> None:
    params = params_with(confirm=CONFIRM)
    study = conduct(params, simulated(fails_wherever_it_trains, 0))
    files = write(study, params, tmp_path / "report")
    verdict = json.loads(files["verdict.json"])
    assert "failed in 6 of 6" in verdict["worth"]
    assert verdict["settings"]["train.epochs"] == 0
    assert "no rate of the map" in verdict["stable"]
    assert verdict["more_data"] == ""
    assert "nan" not in " ".join(str(text) for text in verdict.values())


def test_no_number_speaks_for_a_recipe_that_fails_in_a_replicate(tmp_path: Path) -> None:
    """A mean over the trainings that did not fail would flatter it, wherever it stood."""

    def train_cells(cells: Sequence[Cell]) -> list[CellResult]:
        found = simulated(probe_is_worse, 0)(cells)
        return [result(of.cell, 1.0, diverged="at once") if is_first(of.cell) else of
                for of in found]  # fmt: skip

    def is_first(cell: Cell) -> bool:
        is_recipe = (cell.row.family, cell.row.name) == ("confirm", "none")
        return is_recipe and cell.replicate == 1000

    params = params_with(**QUICK)
    study = conduct(params, train_cells)
    assert study.verdict["worth"].startswith("Fine-tuning failed in 1 of 6")
    assert "below the" not in study.verdict["worth"]
    files = write(study, params, tmp_path / "report")
    assert json.loads(files["worth.json"]) == {}
    assert json.loads(files["metrics.json"])["difference_from_features"] == {}
    assert not [name for name in headline(study) if "worth" in name]
    whole = conduct(params, simulated(probe_is_worse, 0))
    assert {"study/worth_loss", "study/worth_loss_low"} <= headline(whole).keys()


@pytest.mark.parametrize("num_good", [1, 2])
def test_what_is_composed_is_spoken_of_where_it_was_trained(tmp_path: Path, num_good: int) -> None:
    def effect(row: Row) -> float:
        good = [row.train.penalties.l1 > 0, row.model.dropout > 0][:num_good]
        return probe_is_worse(row) - 0.2 * sum(good) + 0.1 * (not any(good))

    params = params_with(
        screen={"all_together": [], "leave_one_out": False},
        **QUICK | {"confirm": CONFIRM | {"num_rows": num_good}},
    )
    study = conduct(params, simulated(effect, 0))
    parts = json.loads(write(study, params, tmp_path / "report")["parts.json"])["parts"]
    (text,) = [part["text"][0] for part in parts if part["title"] == "The confirmation"]
    assert ("composed" in text) == (num_good > 1)
    assert "Holm, error 5% in all" in text


def test_the_confirmation_is_of_the_best_setting_on_new_replicates() -> None:
    study = conduct(params_with(), simulated(lambda row: -row.train.penalties.l2, 0))
    screened = study.cells.query("family == 'screen'")
    confirmed = study.cells.query("family == 'confirm'")
    assert not set(screened["replicate"]) & set(confirmed["replicate"])
    names = list(dict.fromkeys(confirmed["row"]))
    assert (names[:2], names[-1]) == (["none", "proximal"], "probe")
    row = next(r for r in study.rows if (r.family, r.name) == ("confirm", "proximal"))
    assert row.train.penalties.l2 == 0.2
    assert study.findings.num_screened == 7


def test_a_row_that_fits_the_screen_and_not_the_recipe_is_refused_first(prepared: Path) -> None:
    store = open_store(prepared, ("train", "val"))
    rows = {"none": {}, "warm": {"train.schedule.warmup": "1 epoch"}}
    screen = {"rows": rows, "base": {"train.epochs": 4}, "all_together": [], "leave_one_out": False}
    params = params_with(screen=screen, recipe={"train.epochs": 1}, stability=None)

    def train_cells(cells: Any) -> Any:
        raise AssertionError("something was trained")

    with pytest.raises(ParamsError, match=r"warm 1 of the confirm: .*warmup"):
        conduct(params, train_cells, lambda cells: check_cells(cells, store))


def test_the_recipe_of_a_study_is_its_model_and_its_training() -> None:
    params = params_with()
    same = params.model_copy(update={"seed": 7, "ablation": params_with(stability=None).ablation})
    assert recipe_digest(params) == recipe_digest(same)
    for name, value in (("train.penalties.l1", 0.5), ("model.dropout", 0.5)):
        assert recipe_digest(params_with(recipe={name: value})) != recipe_digest(params)
