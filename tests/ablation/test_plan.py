"""From the grid to trainings: rows, replicates, keys, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from sftcore.ablation.plan import (
    CONFIRM,
    DATA_SIZE,
    PROBE,
    SCREEN,
    STABILITY,
    Cell,
    Row,
    join_changes,
    more_epochs,
    plan_cells,
    plan_confirmation,
    plan_data_size,
    plan_screen,
    plan_stability,
    probe_changes,
)
from sftcore.foundations.errors import ParamsError
from sftcore.foundations.yaml_files import flatten
from sftcore.settings.grids import Changes
from sftcore.settings.studies import with_study
from sftcore.settings.tree import Params, load_params, override
from sftcore.training.keys import training_key
from sftcore.training.planning import plan_phases
from tests.ablation.made import GRID, params_with
from tests.import_closure import ROOT

LOCK = ROOT / "requirements.lock"
BEST: dict[str, Changes] = {
    "l1": {"train.penalties.l1": 1e-3, "train.epochs": 3},
    "decay": {"train.weight_decay": 0.1, "train.epochs": 9},
}


def key(cell: Cell) -> str:
    return training_key(
        cell.row.model,
        cell.row.train,
        task="classification",
        seed=cell.seed,
        data="",
        device=torch.device("cpu"),
        num_threads=1,
        mode="native",
        environment=LOCK,
        portion=cell.portion,
    )


def named(rows: list[Row]) -> dict[str, Row]:
    return {row.name: row for row in rows}


def test_every_setting_of_a_list_is_a_row_of_the_screen() -> None:
    rows = plan_screen(params_with())
    assert [(row.name, row.setting) for row in rows] == [
        ("none", 1),
        ("l1", 1),
        ("l1", 2),
        ("dropout", 1),
        ("dropout", 2),
        ("proximal", 1),
        ("proximal", 2),
        ("all_together", 1),
        ("without l1", 1),
        ("without dropout", 1),
        ("without proximal", 1),
    ]
    assert [row.train.penalties.l1 for row in rows if row.name == "l1"] == [1e-4, 1e-3]
    assert [row.train.penalties.l2 for row in rows if row.name == "proximal"] == [0.1, 0.2]
    assert {row.train.penalties.form for row in rows if row.name == "proximal"} == {"proximal"}
    assert {row.family for row in rows} == {SCREEN}
    assert all(row.train.epochs == 1 for row in rows), "the screen starts from its base"
    together = named(rows)["all_together"]  # of first settings
    penalties = together.train.penalties
    assert (penalties.l1, together.model.dropout, penalties.l2) == (1e-4, 0.2, 0.1)
    without = named(rows)["without l1"]
    penalties = without.train.penalties
    assert (penalties.l1, without.model.dropout, penalties.l2) == (0.0, 0.2, 0.1)


def test_the_confirmation_starts_from_the_users_own_recipe() -> None:
    params = params_with()  # two epochs; the screen has one
    rows = plan_confirmation(
        params, {"l1": {"train.penalties.l1": 1e-3}, "dropout": {"model.dropout": 0.5}}
    )
    assert [row.name for row in rows] == ["none", "l1", "dropout", "composed", "probe"]
    assert {row.family for row in rows} == {CONFIRM}
    none, l1, dropout, composed, probe = rows
    assert none.train.epochs == l1.train.epochs == params.train.epochs == 2
    assert (none.model, none.train) == (params.model, params.train)
    assert (l1.train.penalties.l1, dropout.model.dropout) == (1e-3, 0.5)
    assert (composed.train.penalties.l1, composed.model.dropout) == (1e-3, 0.5)
    assert [row.is_probe for row in rows] == [False] * 4 + [True]
    assert probe.train.epochs == 0


def test_what_is_composed_is_the_union_and_the_better_row_decides() -> None:
    composed = named(plan_confirmation(params_with(), BEST))["composed"]
    assert (composed.train.penalties.l1, composed.train.weight_decay) == (1e-3, 0.1)
    assert composed.train.epochs == 3
    turned = dict(reversed(BEST.items()))
    assert named(plan_confirmation(params_with(), turned))["composed"].train.epochs == 9
    assert join_changes([]) == {}
    assert join_changes(list(BEST.values())) == {
        "train.penalties.l1": 1e-3,
        "train.weight_decay": 0.1,
        "train.epochs": 3,
    }


@pytest.mark.parametrize(
    "best",
    [
        {},
        {"l1": {"train.penalties.l1": 1e-3}},
        {"a": {"train.penalties.l1": 1e-3}, "b": {"train.penalties.l1": 1e-3}},
    ],
)
def test_nothing_is_composed_that_another_row_is_already(best: dict[str, Changes]) -> None:
    assert [row.name for row in plan_confirmation(params_with(), best)] == ["none", *best, "probe"]


def test_the_probe_is_the_optimum_of_cross_entropy_on_frozen_features() -> None:
    hard = {
        "train.label_smoothing": 0.3,
        "train.imbalance.class_weighting": 1.0,
        "train.imbalance.logit_adjustment": 1.0,
        "train.head.epochs": 1,
        "train.averaging.wise_ft": True,
        "train.averaging.swa_fraction": 0.5,
        "train.averaging.soup_size": 2,
        "train.features.co_tuning": 0.1,
        "train.head.strength": 0.5,
        "model.stochastic_depth": 0.0,
    }
    params = params_with(recipe=hard)
    probe = plan_confirmation(params, {})[-1]
    settings = flatten({"model": probe.model.model_dump(), "train": probe.train.model_dump()})
    assert {name: settings[name] for name in PROBE} == PROBE
    (phase,) = plan_phases(probe.model, probe.train, num_blocks=5)
    assert (phase.name, phase.num_epochs, phase.first_block) == ("head", 1, 5)
    assert len(phase.strengths) > 1, "validation chooses the strength"
    # Only what cannot touch the head may differ from recipe to recipe.
    plain = plan_confirmation(params_with(), {})[-1]
    assert probe.model == plain.model
    others = flatten(plain.train.model_dump())
    differs = {n for n, v in flatten(probe.train.model_dump()).items() if v != others[n]}
    assert differs <= {"head.epochs"}


@pytest.mark.parametrize("head", ["solve", "descend"])
def test_every_size_of_the_data_has_as_many_updates(head: str) -> None:
    params = params_with(
        recipe={"train.epochs": 14, "train.head.method": head, "train.head.epochs": 7},
        data_size={"num_replicates": 2, "fractions": [0.25, 0.5, 0.7, 1.0]},
    )
    rows = plan_data_size(params)
    recipe = [row for row in rows if not row.is_probe]
    assert [(row.fraction, row.train.epochs) for row in recipe] == [
        (0.25, 56),
        (0.5, 28),
        (0.7, 20),
        (1.0, 14),
    ]
    expected = [28, 14, 10, 7] if head == "descend" else [7] * 4
    assert [row.train.head.epochs for row in recipe] == expected
    assert [row.fraction for row in rows if row.is_probe] == [0.25, 0.5, 0.7, 1.0]
    assert {row.train.epochs for row in rows if row.is_probe} == {0}


def test_whatever_is_counted_in_epochs_takes_as_many_updates_at_every_size() -> None:
    params = params_with(
        recipe={
            "train.epochs": 8, "train.stopping.patience": 3, "train.unfreeze_every_epochs": 2,
            "train.schedule.name": "multi_step", "train.schedule.warmup": "1 epoch",
            "train.schedule.milestones": ["2.5 epochs", "9 steps", 0.75],
            "train.schedule.patience": 1,
        },
        data_size={"num_replicates": 2, "fractions": [0.25, 0.5, 1.0]},
    )  # fmt: skip
    rows = plan_data_size(params)
    quarter, _, whole = (row.train for row in rows if not row.is_probe)
    probe = next(row.train for row in rows if row.is_probe)
    assert (probe.stopping, probe.schedule) == (quarter.stopping, quarter.schedule)
    assert (quarter.stopping.patience, quarter.unfreeze_every_epochs) == (12, 8)
    assert (quarter.schedule.patience, quarter.schedule.warmup) == (4, "4 epochs")
    assert quarter.schedule.milestones == ["10 epochs", "9 steps", 0.75]
    assert quarter.schedule.in_steps(32, 1) == replace(
        whole.schedule.in_steps(8, 4), shape=quarter.schedule
    )
    recipe = plan_confirmation(params, {})[0]
    assert whole == recipe.train, "it is trained once for both"


def test_the_map_is_every_rate_with_every_answer_and_the_head_alone() -> None:
    rows = plan_stability(params_with())
    assert [(row.name, row.answer) for row in rows] == [
        ("probe", ""),
        ("cosine 0.01 none", "none"),
        ("cosine 100 none", "none"),
        ("cosine 0.01 guard", "guard"),
        ("cosine 100 guard", "guard"),
    ]
    assert [row.train.learning_rate for row in rows[1:]] == [0.01, 100.0] * 2
    assert [row.train.guard.answers for row in rows[1:]] == ["none", "none", "rollback", "rollback"]
    assert {row.train.epochs for row in rows[1:]} == {1}


def test_parts_of_the_grid_that_are_null_are_left_out() -> None:
    params = params_with(data_size=None, stability=None)
    assert plan_data_size(params) == plan_stability(params) == []
    rows = [*plan_screen(params), *plan_confirmation(params, {})]
    assert {cell.row.family for cell in plan_cells(rows, params)} == {SCREEN, CONFIRM}


def all_cells(params: Params) -> list[Cell]:
    rows = [
        *plan_screen(params),
        *plan_confirmation(params, BEST),
        *plan_data_size(params),
        *plan_stability(params),
    ]
    return plan_cells(rows, params)


def test_replicates_of_the_confirmation_are_none_that_the_screen_has_seen() -> None:
    params = params_with()
    cells = all_cells(params)
    found = {
        family: {
            (c.replicate, c.seed, c.portion.replicate) for c in cells if c.row.family == family
        }
        for family in (SCREEN, CONFIRM, DATA_SIZE, STABILITY)
    }
    assert found[SCREEN] == found[STABILITY] == {(n, n, n) for n in range(2)}
    assert found[CONFIRM] == {(n, n, n) for n in range(1000, 1003)}
    assert found[DATA_SIZE] == {(n, n, n) for n in range(1000, 1002)}
    numbers = [{number for triple in found[family] for number in triple} for family in found]
    assert not numbers[0] & numbers[1]
    parts = {(c.portion.judge_fraction, c.portion.choose_fraction) for c in cells}
    assert parts == {(0.25, 0.25)}
    for name in ("none", "l1", "composed", "probe"):  # all rows share what a replicate draws
        group = [c for c in cells if c.row.family == CONFIRM and c.row.name == name]
        assert [(c.replicate, c.seed) for c in group] == [(n, n) for n in range(1000, 1003)]


def test_the_largest_grids_cannot_reach_the_confirmations_replicates() -> None:
    screen = {"num_replicates": 101}
    with pytest.raises(ParamsError, match="num_replicates"):
        params_with(screen=screen)


def test_the_whole_of_the_data_is_trained_once_for_two_families() -> None:
    cells = all_cells(params_with())
    for name in ("none", "probe"):
        whole = {
            key(c)
            for c in cells
            if (c.row.family, c.row.name, c.row.fraction) == (DATA_SIZE, name, 1.0)
        }
        confirmed = {key(c) for c in cells if (c.row.family, c.row.name) == (CONFIRM, name)}
        assert len(whole) == 2
        assert whole < confirmed
    keys = {key(c) for c in cells}
    # And the screen's baseline is a line of the map, as their bases are equal here.
    assert len(keys) == len(cells) - 6


def test_seeds_of_single_streams_are_freed() -> None:
    """They would hold in every replicate what replicates are to vary."""
    held = {"train.seeds.init": 5, "train.seeds.order": 5, "train.seeds.augmentation": 5}
    cells = all_cells(params_with(recipe=held))
    streams = {seed for c in cells for seed in c.row.train.seeds.model_dump().values()}
    assert streams == {None}
    assert [key(c) for c in cells] == [key(c) for c in all_cells(params_with())]


def test_no_cell_draws_a_curve_that_nobody_looks_at() -> None:
    """A quarter of a short training; it changes no number of one whose rate is given."""
    cells = all_cells(params_with(recipe={"train.range_test.enabled": True}))
    swept = [
        phase for c in cells for phase in plan_phases(c.row.model, c.row.train, num_blocks=5)
        if phase.sweep is not None
    ]  # fmt: skip
    assert not swept
    auto = plan_confirmation(params_with(recipe={"train.learning_rate": "auto"}), {})[0]
    assert plan_phases(auto.model, auto.train, num_blocks=5)[-1].sweep is not None


@pytest.mark.parametrize("name", ["quick", "full"])
def test_what_ships_can_be_planned_whole(name: str) -> None:
    params = with_study(load_params(ROOT / "params.yaml"), ROOT / "studies", name)
    screen = plan_screen(params)
    every = {f"{row.name} {row.setting}": row.changes for row in screen if row.changes}
    rows = [
        *screen,
        *plan_confirmation(params, every),
        *plan_data_size(params),
        *plan_stability(params),
    ]
    cells = plan_cells(rows, params)
    assert len(
        {(c.row.family, c.row.name, c.row.setting, c.row.fraction, c.replicate) for c in cells}
    ) == len(cells)


ROWS: dict[str, Any] = {"none": {}, "a": {"train.penalties.l1": [0.1, 0.2]}}
SIMPLE = {"all_together": [], "leave_one_out": False}


@pytest.mark.parametrize(
    ("screen", "message"),
    [
        (
            {"rows": ROWS | {"b": {"train.penalties.l2": 0.1}}} | SIMPLE,
            r"equally many settings.*a 2, b 1",
        ),
        (
            {
                "rows": {
                    "none": {},
                    "a": {"train.penalties.l1": [0.1, 0.2], "train.penalties.l2": [0.1]},
                }
            }
            | SIMPLE,
            "of one length",
        ),
        ({"rows": {"none": {}, "a": {"train.penalties.l1": []}}} | SIMPLE, "not empty"),
        ({"rows": {"a": {"train.penalties.l1": 0.1}}} | SIMPLE, "needs the row"),
        ({"rows": {"none": {"train.penalties.l1": 0.1}}} | SIMPLE, "needs the row"),
        ({"all_together": ["l1", "l9"]}, "all_together names 'l9'"),
        ({"all_together": ["l1", "dropout"]}, "at least three rows"),
        (
            {"rows": ROWS | {"all_together": {"train.penalties.l1": [0.1, 0.2]}}} | SIMPLE,
            "all_together",
        ),
        ({"rows": ROWS | {"probe": {"train.penalties.l1": [0.1, 0.2]}}} | SIMPLE, "probe"),
        ({"rows": ROWS | {"composed": {"train.penalties.l1": [0.1, 0.2]}}} | SIMPLE, "composed"),
        ({"rows": ROWS | {"without a": {"train.penalties.l1": [0.1, 0.2]}}} | SIMPLE, "without a"),
        ({"num_replicates": 1}, "num_replicates"),
    ],
)
def test_unfair_or_unsound_screens_are_refused(screen: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        params_with(screen=screen)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"data_size": {"fractions": [1.0, 0.5, 0.2], "num_replicates": 2}}, "must rise"),
        ({"data_size": {"fractions": [0.2, 0.5, 0.7], "num_replicates": 2}}, "end with 1"),
        ({"data_size": {"fractions": [0.5, 1.0], "num_replicates": 2}}, "at least 3"),
        ({"data_size": {"fractions": [0.5, 0.7, 1.0], "num_replicates": 1}}, "num_replicates"),
        ({"confirm": {"num_replicates": 1, "num_rows": 1}}, "num_replicates"),
        ({"confirm": {"num_replicates": 2, "num_rows": 0}}, "num_rows"),
        ({"confirm": None}, "confirm"),
        (
            {
                "stability": GRID["stability"]
                | {"answers": {"guard": {"train.guard.answers": "rollback"}}}
            },
            "answers needs",
        ),
        (
            {
                "stability": GRID["stability"]
                | {"answers": {"none": {}, "a": {"train.schedule.name": "x"}}}
            },
            "sets train.schedule.name",
        ),
        ({"ablation": {"judge_fraction": 0.4, "choose_fraction": 0.3}}, "less than 0.4"),
        ({"ablation": {"judge_fraction": 0.0}}, "judge_fraction"),
        ({"ablation": {"choose_fraction": 0.0}}, "choose_fraction"),
        ({"ablation": {"metric": "val_loss"}}, "metric"),
    ],
)
def test_unsound_grids_are_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        params_with(**parts)


def test_rows_that_are_wrong_are_refused_by_name() -> None:
    with pytest.raises(ParamsError, match=r"screen\.l1.*'train\.l7' is not a parameter"):
        plan_screen(params_with(screen={"rows": {"none": {}, "l1": {"train.l7": 1}}} | SIMPLE))
    with pytest.raises(ParamsError, match=r"data\.path"):
        plan_confirmation(params_with(), {"path": {"data.path": "x"}})


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_a_head_of_several_layers_is_the_probe_by_training_it_as_long(task: str) -> None:
    folder = ROOT / "examples" / task
    params = with_study(load_params(folder / "params.yaml"), folder / "studies", "quick")
    recipe = params.train
    whole = recipe.head.epochs + recipe.epochs
    (probe,) = (row for row in plan_confirmation(params, {}) if row.is_probe)
    assert (probe.train.head.epochs, probe.train.epochs) == (whole, 0)
    assert probe.train.head.learning_rate == recipe.head.learning_rate
    assert probe.train.label_smoothing == recipe.label_smoothing
    phases = plan_phases(probe.model, probe.train, num_blocks=6)
    assert [(phase.name, phase.num_epochs, phase.first_block) for phase in phases] == [
        ("head", whole, 6)
    ]
    longer = override(params, more_epochs(recipe, 4), "test")
    assert probe_changes(longer)["train.head.epochs"] == 4 * whole
    with pytest.raises(ParamsError, match=r"head\.method solve is for one linear layer.*descend"):
        override(params, {"train.head.method": "solve"}, "test")
