import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sftcore.ablation import cells as of_a_cell
from sftcore.ablation import run as engine
from sftcore.ablation.cells import CellResult
from sftcore.ablation.plan import STABILITY, Cell, plan_cells, plan_screen, plan_stability
from sftcore.ablation.run import group_cells, pair_guarded, run_cells
from sftcore.ablation.workers import Workers
from sftcore.foundations.errors import ParamsError
from sftcore.settings.grids import PROBE_ROW, ScreenSettings, StabilitySettings
from sftcore.settings.studies import with_study
from sftcore.settings.tree import Params, override
from tests.training.test_loop import small

ROOT = Path(__file__).parent.parent.parent
LOCK = ROOT / "requirements.lock"


def tiny_study(rates: list[float] | None = None, **changes: object) -> list[Cell]:
    """Two rows in two replicates, and a map of rates in two."""
    params = small(**{"train.epochs": 1, "model.trainable_blocks": 1} | changes)
    rows = {"none": {}, "l1": {"train.penalties.l1": 0.01}}
    return cells_of(params, {}, rates or [0.001, 500.0], rows=rows)


def cells_of(
    params: Params,
    base: dict[str, Any],
    rates: list[float],
    rows: dict[str, dict[str, Any]],
    answers: dict[str, dict[str, Any]] | None = None,
) -> list[Cell]:
    screen = ScreenSettings(
        num_replicates=2, base=base, rows=rows, all_together=[], leave_one_out=False
    )
    stability = StabilitySettings(
        num_replicates=2, base=base, learning_rates=rates, schedules=["constant"],
        answers=answers or {"none": {}},
    )  # fmt: skip
    quick = with_study(params, ROOT / "studies").ablation.chosen
    grid = quick.model_copy(update={"screen": screen, "stability": stability})
    ablation = params.ablation.model_copy(update={"grid": grid})
    params = params.model_copy(update={"ablation": ablation})
    mapped = [row for row in plan_stability(params) if not row.is_probe]
    return plan_cells([*plan_screen(params), *mapped], params)


def run(cells: list[Cell], prepared: Path, scratch: Path, num_workers: int = 1) -> list[CellResult]:
    with Workers(num_workers) as workers:
        return run_cells(
            cells,
            prepared=prepared,
            task="classification",
            environment=LOCK,
            device="cpu",
            mode="native",
            precision="fp32",
            workers=workers,
            scratch=scratch,
            checkpoint_seconds=60,
        )


def test_cells_are_trained_once_and_go_on_where_they_were(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = tiny_study()
    first = run(cells, prepared, tmp_path)
    kept = tmp_path / "cells"
    assert len(list(kept.iterdir())) == len(cells) == 8
    assert [r.cell for r in first] == cells
    lost, cut, *_ = sorted(kept.iterdir())
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:50])  # as a power cut leaves it

    trained = []
    original = engine.train_cell
    monkeypatch.setattr(
        engine, "train_cell", lambda key, *rest: (trained.append(key), original(key, *rest))
    )
    assert run(cells, prepared, tmp_path) == first
    assert sorted(trained) == sorted([lost.stem, cut.stem])
    trained.clear()
    assert run(cells, prepared, tmp_path) == first
    assert trained == []
    run(tiny_study(rates=[0.001, 0.002]), prepared, tmp_path)  # one row changed: its two replicates
    assert len(trained) == 2


def test_the_number_of_workers_changes_no_number(tmp_path: Path, prepared: Path) -> None:
    cells = tiny_study()
    assert run(cells, prepared, tmp_path / "1", 1) == run(cells, prepared, tmp_path / "2", 2)


def test_a_divergence_is_kept_as_a_result(tmp_path: Path, prepared: Path) -> None:
    params = small(
        train__epochs=4, train__learning_rate=500.0, train__schedule__name="constant",
        model__trainable_blocks="all",
    )  # fmt: skip
    cells = cells_of(params, {}, [500.0], {"none": {}})
    results = run(cells, prepared, tmp_path)
    assert any(r.diverged for r in results)


@pytest.mark.parametrize("rate", [0.001, 500.0])
def test_a_guard_that_meets_no_trouble_is_no_training_of_its_own(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    """Asked for first or last, the numbers without a guard are those of a training without one."""
    answers = {"none": {}, "guard": {"train.guard.answers": "skip+rollback"}}
    params, base = small(train__epochs=2), {"train.guard.answers": "none"}
    cells = cells_of(params, base, [rate], {"none": {}}, answers)
    cells = [cell for cell in cells if cell.row.family == STABILITY]
    alone = run([c for c in cells if c.row.answer == "none"], prepared, tmp_path / "alone")
    seen: list[Any] = []
    original = of_a_cell.train
    monkeypatch.setattr(
        of_a_cell,
        "train",
        lambda *given, **named: (seen.append(given), original(*given, **named))[1],
    )
    both = run(cells, prepared, tmp_path / "both")
    without = [result for result in both if result.cell.row.answer == "none"]
    with_guard = [result for result in both if result.cell.row.answer == "guard"]
    assert without == alone
    incidents = [result.num_incidents for result in with_guard]
    assert all(incidents) if rate == 500.0 else not any(incidents)
    assert len(seen) == len(cells) // (1 if rate == 500.0 else 2)
    assert all(math.isnan(result.seconds) is (rate != 500.0) for result in without)


def test_cells_are_a_pair_if_the_answers_of_the_guard_alone_differ() -> None:
    guard = "train.guard."
    answers = {
        "none": {},
        "guard": {f"{guard}answers": "skip"},
        "other limits": {f"{guard}answers": "skip", f"{guard}norm_factor": 3.0},
        "clip": {"train.clipping.norm": 1.0},
    }
    cells = cells_of(small(), {f"{guard}answers": "none"}, [0.01, 0.1], {"none": {}}, answers)
    of = {(c.row.name, c.replicate): c for c in cells if c.row.family == STABILITY}
    by_key = {f"{name} {replicate}": cell for (name, replicate), cell in of.items()}
    assert pair_guarded(by_key) == {
        f"constant {rate} none {replicate}": f"constant {rate} guard {replicate}"
        for rate in ("0.01", "0.1") for replicate in (0, 1)
    }  # fmt: skip


def test_a_schedule_that_does_not_fit_is_refused_before_any_cell(
    tmp_path: Path, prepared: Path
) -> None:
    cells = cells_of(small(), {"train.schedule.warmup": "3 epochs"}, [0.001], {"none": {}})
    with pytest.raises(
        ParamsError, match=r"row none .* train.schedule.warmup is 3 epochs, which is"
    ):
        run(cells, prepared, tmp_path)
    assert not (tmp_path / "cells").exists()


def test_rows_that_are_wrong_are_refused_before_training() -> None:
    params: Params = small()
    with pytest.raises(ParamsError, match="can change"):
        override(params, {"ablation.metric": "loss"}, "row")


def test_cells_that_share_changed_pictures_are_trained_by_one_process() -> None:
    plain = tiny_study(rates=[0.001])
    changed = tiny_study(rates=[0.001], **{"train.augmentation.strength": 0.5})
    alone = group_cells({str(i): cell for i, cell in enumerate(plain)})
    assert [len(group) for group in alone] == [1] * len(plain)
    shared = group_cells({str(i): cell for i, cell in enumerate(changed)})
    assert sorted(len(group) for group in shared) == [3, 3]  # one of each replicate
    for group in shared:
        assert len({cell.replicate for cell in group.values()}) == 1


def test_a_probe_is_trained_by_the_process_that_has_solved_its_head() -> None:
    """A head that is descended takes as long as a training, and is shared by none."""
    cells = tiny_study(rates=[0.001])
    recipe, other = (next(c for c in cells if c.row.name == name) for name in ("none", "l1"))

    def probe_with(method: str) -> Cell:
        head = recipe.row.train.head.model_copy(update={"method": method})
        train = recipe.row.train.model_copy(update={"head": head, "epochs": 0})
        return replace(recipe, row=replace(recipe.row, name=PROBE_ROW, train=train))

    for method, expected in (
        ("solve", [["recipe", "probe"], ["other"]]),
        ("descend", [["recipe"], ["other"], ["probe"]]),
    ):
        found = group_cells({"recipe": recipe, "other": other, "probe": probe_with(method)})
        assert [list(group) for group in found] == expected
