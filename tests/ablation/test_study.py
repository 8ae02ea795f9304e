"""A study from its grid to its report."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.text import Text

from sftcore.ablation.cells import CellResult
from sftcore.ablation.effects import BETTER, WORSE
from sftcore.ablation.plan import CONFIRM, DATA_SIZE, Cell, Row
from sftcore.ablation.run import check_cells
from sftcore.ablation.study import Study, conduct
from sftcore.ablation.write import write_nothing, write_study
from sftcore.data.store import open_store
from sftcore.foundations.errors import ParamsError
from sftcore.foundations.repository import EXAMPLES
from sftcore.reporting.parts import read_parts
from sftcore.settings.tree import check_params, load_params
from sftcore.tasks.classification.task import ClassificationTask as TASK
from sftcore.tasks.names import CLASSES_OF_TEXTS
from tests.ablation.made import GRID, SCREEN, SMALL_PARTS, params_with, simulated
from tests.ablation.test_run import run
from tests.import_closure import ROOT
from tests.shared import figures_drawn

NUM_STUDIES = 40
# Rows that list one setting, so that a study is quick to plan.
ROWS = {
    "none": {},
    "l1": {"train.penalties.l1": 1e-3},
    "dropout": {"model.dropout": 0.2},
    "l2": {"train.penalties.l2": 0.1},
}
ONE_EACH = {"rows": ROWS, "all_together": [], "leave_one_out": False}


def test_what_cannot_be_trained_is_refused_before_the_screen(prepared: Path) -> None:
    store = open_store(prepared, ("train", "val"))
    stability = GRID["stability"] | {"base": {"train.schedule.warmup": "9 epochs"}}
    params = params_with(stability=stability)

    def train_cells(cells: Sequence[Cell]) -> list[CellResult]:
        raise AssertionError("something was trained")

    with pytest.raises(ParamsError, match=r"cosine 0.01 none .* train.schedule.warmup is 9 epochs"):
        conduct(params, train_cells, lambda cells: check_cells(cells, store))


def study_of(seed: int, effects: dict[str, float]) -> Study:
    """A study whose cells differ by luck, of the replicate and of the cell, and planted effects."""
    params = params_with(
        screen=ONE_EACH, data_size=None, stability=None,
        confirm={"num_replicates": 8, "num_rows": 2},
    )  # fmt: skip

    def effect(row: Row) -> float:
        return sum(effects.get(name, 0.0) for name in row.changes) + 0.3 * row.is_probe

    return conduct(params, simulated(effect, seed, noise=0.03))


def verdicts(study: Study) -> dict[str, str]:
    effects = study.findings.effects
    lines = effects[effects["metric"] == "loss"]
    return dict(zip(lines["row"], lines["verdict"], strict=True))


def test_a_study_of_rows_that_do_not_differ_finds_nothing() -> None:
    studies = [study_of(number, {}) for number in range(NUM_STUDIES)]
    false = [s for s in studies if {BETTER, WORSE} & set(verdicts(s).values())]
    assert len(false) <= 0.05 * NUM_STUDIES
    assert all(not s.verdict["settings"] for s in studies if s not in false)


def test_a_planted_effect_is_screened_confirmed_and_advised() -> None:
    study = study_of(0, {"train.penalties.l1": -0.2})
    assert verdicts(study)["l1"] == BETTER
    assert study.verdict["settings"]["train.penalties.l1"] == 1e-3
    assert study.verdict["worth"].startswith("Fine-tuning is worth +")
    assert "Confirmed better than the recipe" in study.verdict["helped"]
    harmful = study_of(
        0, {"train.penalties.l1": 0.2, "model.dropout": 0.2, "train.penalties.l2": 0.2}
    )
    assert verdicts(harmful) == {}  # nothing looked better, so nothing was trained again


def test_a_whole_study_is_trained_and_written(prepared: Path, tmp_path: Path) -> None:
    params = params_with()
    store = open_store(prepared, ("train", "val"))

    def train_cells(cells: Sequence[Cell]) -> list[CellResult]:
        found = run(list(cells), prepared, tmp_path / "scratch")
        # As if of many classes: what little is learnt here counts as more than guessing.
        return [replace(each, guessing_loss=math.log(30)) for each in found]

    study, again = (conduct(params, train_cells) for _ in range(2))
    pd.testing.assert_frame_equal(study.cells, again.cells)
    assert study.verdict == again.verdict
    cells = study.cells
    pool = set(store.samples["row"])
    assert (cells["num_train"] + cells["num_judge"] < len(pool)).all()
    whole = cells[(cells["family"] == DATA_SIZE) & (cells["fraction"] == 1)]
    alone = cells[cells["family"] == CONFIRM].set_index(["row", "replicate"])
    for line in whole.itertuples():
        assert line.loss == alone.loc[(line.row, line.replicate), "loss"]
    assert cells["ece"].dropna().between(0, 1).all()
    for name in ("first", "second"):
        write_study(
            study, params.ablation, num_pool=len(pool), num_outputs=3, precision="bf16",
            recipe="abc", output=tmp_path / name,
        )  # fmt: skip
    files = {path.name for path in (tmp_path / "first").iterdir()}
    tables = ("cells", "screen", "worth", "overfitting", "curves", "data_size", "stability")
    assert {f"{name}.csv" for name in tables} <= files
    figures = ("worth", "screen", "overfitting", "curves", "calibration", "data_size", "stability")
    assert {f"{name}.png" for name in figures} <= files
    for name in files:
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("first", "second"))
        assert first == second, name
    assert json.loads((tmp_path / "first" / "metrics.json").read_text())["precision"] == "bf16"
    assert json.loads((tmp_path / "first" / "verdict.json").read_text())["recipe"] == "abc"
    parts = {part.title: part for part in read_parts(tmp_path / "first")}
    text = " ".join(parts["What the study found"].text)
    for question in (
        "Is fine-tuning worth it?",
        "Does it over-fit?",
        "What helps?",
        "What to set?",
    ):
        assert question in text
    assert study.verdict["worth"] in text
    assert "bf16" in text
    assert list(study.findings.worth["row"].unique()[-2:]) == list(TASK.simpler_rows)
    curves = pd.read_csv(tmp_path / "first" / "curves.csv")
    assert set(curves["row"]) <= set(study.findings.worth["row"])
    assert (curves["num_replicates"] == 3).all()
    worth = json.loads((tmp_path / "first" / "worth.json").read_text())
    own = study.findings.worth[study.findings.worth["row"] == "none"].set_index("metric")
    assert worth["worth"] == pytest.approx(-own.loc["loss", "difference"], abs=1e-4)
    assert worth["worth_low"] <= worth["worth"] <= worth["worth_high"]


def test_of_texts_neither_words_nor_figures_speak_of_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = figures_drawn(monkeypatch)
    tree = load_params(ROOT / EXAMPLES / CLASSES_OF_TEXTS / "params.yaml").model_dump()
    tree["ablation"] |= {"grid": GRID | {"screen": SCREEN | ONE_EACH}, **SMALL_PARTS}
    params = check_params(tree, "test")
    study = conduct(params, simulated(lambda row: 0.3 * row.is_probe, seed=0, noise=0.03))
    write_study(
        study, params.ablation, num_pool=90, num_outputs=3, precision="fp32", recipe="abc",
        output=tmp_path,
    )  # fmt: skip
    drawn = [text.get_text() for figure in figures for text in figure.findobj(Text)]  # type: ignore[attr-defined]
    assert any("new texts" in text for text in drawn)
    said = [file.read_text() for file in tmp_path.iterdir() if file.suffix != ".png"]
    assert not [text for text in drawn + said if "picture" in text.lower()]


def test_a_study_that_was_left_out_says_so(tmp_path: Path) -> None:
    write_nothing("abc", tmp_path / "report")
    (part,) = read_parts(tmp_path / "report")
    assert "left out" in part.text[0]
    verdict = json.loads((tmp_path / "report" / "verdict.json").read_text())
    study = study_of(0, {})
    assert set(verdict) == set(study.verdict) | {"recipe"}
    assert json.loads((tmp_path / "report" / "worth.json").read_text()) == {}
