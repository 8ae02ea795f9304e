"""What a cell measures, and on which pictures; what is refused in every family."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftcore.ablation.plan import (
    Cell,
    plan_cells,
    plan_confirmation,
    plan_data_size,
    plan_screen,
    plan_stability,
)
from sftcore.ablation.run import check_cells
from sftcore.ablation.table import cells_table, trained_rows
from sftcore.data.portions import take_portion
from sftcore.data.store import Store
from sftcore.foundations.errors import ParamsError
from sftcore.tasks.classification.task import ClassificationTask as TASK
from sftcore.tasks.classification.task import _outcome
from tests.ablation.made import params_with
from tests.ablation.test_run import run


def confirming(**recipe: Any) -> list[Cell]:
    """Recipe and probe in three replicates."""
    params = params_with(recipe=recipe)
    return plan_cells(plan_confirmation(params, {}), params)


def test_a_cell_tells_what_the_pictures_that_had_no_say_find(
    tmp_path: Path, prepared: Path, store: Store
) -> None:
    cells = confirming()
    recipe, probe = run([cells[0], cells[3]], prepared, tmp_path)
    assert (recipe.cell.row.name, probe.cell.row.name) == ("none", "probe")
    for found in (recipe, probe):
        parts = take_portion(store.samples, found.cell.portion, found.cell.seed)
        assert (found.num_train, found.num_choose, found.num_judge) == (
            len(parts.train), len(parts.val), len(parts.judge),
        )  # fmt: skip
        assert found.num_judge > 0
        assert {"loss", "accuracy", "balanced_accuracy", "macro_f1", "ece"} <= set(found.last)
        scaled = {"temperature", "loss_scaled", "ece_scaled"}
        assert set(found.judged) == set(found.last) | scaled
        right = found.judged["accuracy"] * found.num_judge
        assert right == pytest.approx(round(right))
    assert [record.phase for record in probe.history] == ["head"]
    assert probe.judged["loss"] == pytest.approx(probe.last["loss"])  # one epoch
    assert probe.judged["loss"] != recipe.judged["loss"]


def test_the_probe_tells_what_rows_to_beat_do_that_need_no_training(
    tmp_path: Path, prepared: Path, store: Store
) -> None:
    cells = confirming()
    recipe, probe = run([cells[0], cells[3]], prepared, tmp_path)
    assert recipe.simpler == {}
    assert set(probe.simpler) == set(TASK.simpler_rows)
    parts = take_portion(store.samples, probe.cell.portion, probe.cell.seed)
    train, judge = store.labels[parts.train], store.labels[parts.judge]
    counts = np.bincount(train, minlength=3)
    frequent = probe.simpler["most_frequent"]
    assert frequent["accuracy"] == pytest.approx((judge == counts.argmax()).mean())
    share = (counts + 1 / 3) / (len(train) + 1)
    assert frequent["loss"] == pytest.approx(-np.log(share[judge]).mean())
    assert probe.simpler["nearest_neighbours"]["accuracy"] > frequent["accuracy"]

    found = cells_table([recipe, probe], TASK)
    assert list(found["row"]) == ["none", "probe", *probe.simpler]
    assert list(trained_rows(found)["row"]) == ["none", "probe"]
    assert found.set_index("row").loc["most_frequent", "loss"] == frequent["loss"]


def test_a_temperature_is_chosen_by_those_that_choose(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    seen = []

    def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
        seen.append((logits, labels))
        return 2.0

    monkeypatch.setattr("sftcore.tasks.classification.task.fit_temperature", fit_temperature)
    (found,) = run(confirming()[:1], prepared, tmp_path)
    parts = take_portion(store.samples, found.cell.portion, found.cell.seed)
    ((logits, labels),) = seen
    assert logits.shape == (len(parts.val), 3)
    assert labels.tolist() == store.labels[parts.val].tolist()
    assert found.judged["temperature"] == 2.0
    assert found.judged["loss_scaled"] != found.judged["loss"]


def test_outcomes_are_of_the_logits() -> None:
    labels = np.array([0, 1, 1, 1])
    sure = _outcome(np.eye(2)[labels] * 50, labels)
    assert (sure["accuracy"], sure["balanced_accuracy"], sure["macro_f1"]) == (1, 1, 1)
    assert sure["loss"] == pytest.approx(0, abs=1e-9)
    assert sure["ece"] == pytest.approx(0, abs=1e-9)
    assert _outcome(np.zeros((4, 2)), labels)["loss"] == pytest.approx(np.log(2))


@pytest.mark.parametrize("family", ["screen", "confirm", "data_size", "stability"])
def test_a_schedule_that_does_not_fit_is_refused_by_row_and_family(
    family: str, store: Store
) -> None:
    params = params_with()
    rows = [
        *plan_screen(params), *plan_confirmation(params, {}), *plan_data_size(params),
        *plan_stability(params),
    ]  # fmt: skip
    check_cells(plan_cells(rows, params), store)
    number = next(n for n, row in enumerate(rows) if row.family == family and not row.is_probe)
    own = rows[number].train
    long = own.schedule.model_copy(update={"warmup": "9 epochs"})
    warm = own.model_copy(update={"schedule": long})
    rows[number] = replace(rows[number], train=warm)
    with pytest.raises(
        ParamsError, match=rf"row {rows[number].name} of the {family}: .*warmup is 9 epochs"
    ):
        check_cells(plan_cells(rows, params), store)


def test_the_head_alone_has_no_schedule_to_fit(store: Store) -> None:
    long = {"train.schedule.warmup": "2 epochs", "train.epochs": 2, "train.head.method": "solve"}
    cells = confirming(**long)
    check_cells([cell for cell in cells if cell.row.is_probe], store)
    with pytest.raises(ParamsError, match="row none of the confirm"):
        check_cells(cells, store)
