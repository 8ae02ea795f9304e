"""Studies made by hand: grids, lines of the table of cells, and cells that nothing has trained."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sftcore.ablation.cells import CellResult
from sftcore.ablation.plan import Cell, Row
from sftcore.settings.tree import Params, check_params
from sftcore.training.records import EpochRecord, candidate_of
from tests.training.test_loop import small

SCREEN = {
    "num_replicates": 2,
    "base": {"train.epochs": 1},
    "rows": {
        "none": {},
        "l1": {"train.penalties.l1": [1e-4, 1e-3]},
        "dropout": {"model.dropout": [0.2, 0.5]},
        "proximal": {"train.penalties.l2": [0.1, 0.2], "train.penalties.form": "proximal"},
    },
    "all_together": ["l1", "dropout", "proximal"],
    "leave_one_out": True,
}
GRID: dict[str, Any] = {
    "screen": SCREEN,
    "confirm": {"num_replicates": 3, "num_rows": 2},
    "data_size": {"num_replicates": 2, "fractions": [0.5, 0.7, 1.0]},
    "stability": {
        "num_replicates": 2,
        "base": {"train.epochs": 1},
        "learning_rates": [0.01, 100.0],
        "schedules": ["cosine"],
        "answers": {"none": {}, "guard": {"train.guard.answers": "rollback"}},
    },
}
SMALL_PARTS = {"judge_fraction": 0.25, "choose_fraction": 0.25}


def params_with(
    screen: dict[str, Any] | None = None,
    ablation: dict[str, Any] | None = None,
    recipe: dict[str, Any] | None = None,
    **parts: Any,
) -> Params:
    """Parameters of a small study.

    Args:
        screen: changes of the screen.
        ablation: changes of the section besides its grid.
        recipe: changes of model and train, by dotted name.
        parts: changes of the grid's parts.
    """
    changes = {"model.trainable_blocks": 1, "train.epochs": 2} | (recipe or {})
    tree = small(**changes).model_dump()
    grid = GRID | {"screen": SCREEN | (screen or {})} | parts
    tree["ablation"] |= {"grid": grid, **SMALL_PARTS} | (ablation or {})
    return check_params(tree, "test")


LINE: dict[str, Any] = {
    "family": "confirm", "row": "none", "setting": 1, "replicate": 0, "fraction": 1.0,
    "num_train": 200, "num_choose": 0, "num_judge": 50, "learning_rate": 0.01,
    "schedule": "cosine", "answer": "",
    "status": "finished", "ends_on_last": False, "loss": 1.0, "accuracy": 0.5,
    "balanced_accuracy": 0.5, "macro_f1": 0.5, "ece": 0.1, "temperature": 1.0, "loss_scaled": 1.0,
    "last_loss": 1.1, "last_accuracy": 0.5, "loss_rise": 0.1, "ece_rise": 0.01, "gap": 0.3,
    "train_loss": 0.1, "train_accuracy": 0.8, "weight_distance": 1.0, "num_incidents": 0,
    "clipped_fraction": 0.0, "batch_norm_gap": 0.0,
}  # fmt: skip


def lines(row: str, metric: str, values: Sequence[float], **columns: Any) -> list[dict[str, Any]]:
    """Lines of the table of cells, one per replicate; a NaN value is a training that failed."""
    return [
        LINE
        | {"row": row, "replicate": 1000 + number, metric: value}
        | {"status": "diverged" if np.isnan(value) else "finished"}
        | {name: col[number] if isinstance(col, list) else col for name, col in columns.items()}
        for number, value in enumerate(values)
    ]


def table(*groups: list[dict[str, Any]]) -> pd.DataFrame:
    """Groups of lines as one table of cells."""
    return pd.DataFrame([line for group in groups for line in group])


def record(epoch: int, train: float, val: float) -> EpochRecord:
    """One epoch."""
    scores = {"train_accuracy": 1.0, "val_accuracy": 1 - val / 4}
    return EpochRecord(epoch, "full", train, val, 0.1, 1.0, 0.5, 1.0, 1.0, 0.5, 0.2, 1, scores)


def result(
    cell: Cell, loss: float, rise: float = 0.1, diverged: str = "", train: float = 0.1
) -> CellResult:
    """A training of two epochs, the first of which is the best; or one that failed at once."""
    history = [] if diverged else [record(0, train, loss), record(1, train, loss + rise)]
    if rise < 0:
        raise ValueError("the first epoch is the best")
    return CellResult(
        cell=cell,
        key=f"{cell.row.family} {cell.row.name} {cell.replicate}",
        history=history,
        best_epoch=0 if history else -1,
        diverged=diverged,
        candidates=[candidate_of(history[0])] if history else [],
        chosen=0 if history else -1,
        judged=scores(loss) | {"temperature": 1.1, "loss_scaled": loss, "ece_scaled": 0.1}
        if history
        else {},
        last=scores(loss + rise) if history else {},
        num_train=round(300 * cell.row.fraction),
        num_judge=90,
        guessing_loss=math.log(10),
        num_incidents=len(history),
        seconds=1.0,
    )


def scores(loss: float) -> dict[str, float]:
    """An accuracy that goes with a loss."""
    accuracy = float(np.exp(-loss))
    return {"loss": loss, "ece": 0.1, "accuracy": accuracy, "balanced_accuracy": accuracy,
            "macro_f1": accuracy}  # fmt: skip


def simulated(
    effect: Callable[[Row], float], seed: int, noise: float = 0.02
) -> Callable[[Sequence[Cell]], list[CellResult]]:
    """Trains nothing: a loss of 1 with noise of the pictures and of the training, plus an effect.

    Args:
        effect: of a row on the loss; NaN is a training that fails.
        seed: of the noise.
        noise: standard deviation of the training alone, in nats; that of the pictures is 0.1.
    """

    def train_cells(cells: Sequence[Cell]) -> list[CellResult]:
        found = []
        for cell in cells:
            name = [ord(letter) for letter in f"{cell.row.name}{cell.row.setting}"]
            pictures = np.random.default_rng([seed, cell.replicate]).normal(0, 0.1)
            own = np.random.default_rng([seed, cell.replicate, *name]).normal(0, noise)
            shift = effect(cell.row)
            failed = "at update 0" if np.isnan(shift) else ""
            found.append(result(cell, 1 + pictures + own + (0 if failed else shift),
                                diverged=failed))  # fmt: skip
        return found

    return train_cells
