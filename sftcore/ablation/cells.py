"""One cell of a study: its training, and what the pictures that had no say find of it."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from sftcore.ablation.plan import Cell
from sftcore.data.portions import Parts, take_portion
from sftcore.data.store import Store, open_store
from sftcore.foundations.artifacts import read_json, write_json
from sftcore.foundations.runtime import set_up
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.recipe import Trained, train
from sftcore.training.records import Candidate, EpochRecord

# What a cell's result depends on besides the training: part of its key.
CELL_CODE = ("ablation/cells.py",)
_MEASURE_EVERY = 4  # epochs between looks at the training pictures, a fifth of a cell's time
CELL_THREADS = 1  # one-thread cells side by side are faster than one cell with all threads


@dataclass(frozen=True)
class CellResult:
    """What came of one training.

    Attributes:
        cell: the row and the replicate.
        key: hash of everything the numbers depend on.
        history: one record per finished epoch.
        best_epoch: chosen on validation; -1 if no epoch finished.
        diverged: why it stopped early; empty if it did not.
        candidates: parameters that it could end with.
        chosen: position among them of what validation chose; -1 if no epoch finished.
        judged: outcomes of the chosen parameters on the pictures that had no say, see
            :meth:`sftcore.tasks.contract.Task.judged`; empty if no epoch finished.
        last: likewise of the last epoch's parameters, without what is chosen at the end.
        num_train: pictures trained on.
        num_judge: pictures that had no say.
        num_incidents: of the guard.
        seconds: the training took; NaN if it was continued, or is that of a guarded cell. For
            MLflow alone: no output holds it.
        best_judged: as ``last``, of the best epoch's parameters.
        num_choose: pictures that chose.
        guessing_loss: of the best answer that looks at no picture.
        simpler: of the probe alone: outcomes, as ``last``, of rows to beat that are simpler still,
            by name (``simpler_rows`` of the task).
    """

    cell: Cell
    key: str
    history: list[EpochRecord]
    best_epoch: int
    diverged: str
    candidates: list[Candidate]
    chosen: int
    judged: dict[str, float]
    last: dict[str, float]
    num_train: int
    num_judge: int
    num_incidents: int = 0
    seconds: float = field(default=math.nan, compare=False)
    best_judged: dict[str, float] = field(default_factory=dict)
    num_choose: int = 0
    guessing_loss: float = math.inf
    simpler: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def best(self) -> Candidate | None:
        """What validation chose: the best epoch, or an average of parameters."""
        return self.candidates[self.chosen] if self.chosen >= 0 else None


@dataclass(frozen=True)
class Work:
    """How cells are trained; sent to the worker processes.

    Attributes:
        guarded: by the key of a cell without a guard, that of the same cell with one.
    """

    prepared: Path
    task: str
    device: str
    precision: str
    scratch: Path
    checkpoint_seconds: float
    guarded: Mapping[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        """Folder of the finished cells."""
        return self.scratch / "cells"


def train_cell(key: str, cell: Cell, work: Work) -> None:
    """Train a cell and keep its result, unless another process has done so meanwhile.

    A guard that meets no trouble changes no bit (:mod:`sftcore.stability.guard`), so what came of a
    cell with such a guard is what comes of it without.

    Args:
        key: of the cell.
        cell: to train.
        work: where its data are and its result goes.
    """
    store, cache = _worker_state(work.prepared)
    checkpoints = Checkpoints(work.scratch / "checkpoints" / key, work.checkpoint_seconds)
    with checkpoints.locked():
        if read_result(work.results, key, cell) is not None:  # another study has just trained it
            return
        if without_trouble := _calm(work, work.guarded.get(key, "")):
            write_json(work.results / f"{key}.json", without_trouble | {"seconds": None})
            checkpoints.discard()
            return
        parts = take_portion(store.samples, cell.portion, cell.seed)
        is_new = not checkpoints.has_any()
        began = time.monotonic()
        trained = train(
            store,
            cell.row.model,
            cell.row.train,
            task=work.task,
            seed=cell.seed,
            device=set_up(work.device, CELL_THREADS, work.precision),
            cache=cache,
            on_epoch=lambda record: None,
            checkpoints=checkpoints,
            portion=cell.portion,
            precision=work.precision,
            measure_every=_MEASURE_EVERY,
        )
        result = trained.result
        content = {
            "history": [asdict(record) for record in result.history],
            "best_epoch": result.best_epoch,
            "diverged": result.diverged,
            "candidates": [asdict(candidate) for candidate in result.candidates],
            "chosen": result.chosen,
            **_outcomes(trained, parts),
            "seconds": time.monotonic() - began if is_new else math.nan,
            "num_incidents": len(result.incidents),
            "num_train": len(parts.train),
            "num_choose": len(parts.val),
            "num_judge": len(parts.judge),
            "guessing_loss": trained.plan.task.guessing_loss(),
            "simpler": _simpler(trained, parts, cache) if cell.row.is_probe else {},
        }
        write_json(work.results / f"{key}.json", content)
        checkpoints.discard()


def _outcomes(trained: Trained, parts: Parts) -> dict[str, dict[str, float]]:
    """What the pictures that had no say find."""
    result, task = trained.result, trained.plan.task
    outputs = (result.judge_logits, result.best_judge_logits, result.last_judge_logits)
    found = [x.double().cpu().numpy() for x in (*outputs, result.val_logits) if x is not None]
    if len(found) < 4:
        return {"judged": {}, "best": {}, "last": {}}
    chosen, best, last, val = found
    # The temperature is chosen by the pictures that choose everything else.
    return {
        "judged": task.judged(chosen, parts.judge, (val, parts.val)),
        "best": task.judged(best, parts.judge, None),
        "last": task.judged(last, parts.judge, None),
    }


def _simpler(trained: Trained, parts: Parts, cache: FeatureCache) -> dict[str, dict[str, float]]:
    """What the pictures that had no say find of the rows to beat that need no training.

    The probe has changed nothing before its head, so the features are those that it was given.
    """
    network = trained.start.network
    inputs = trained.plan.inputs(network, len(network.blocks), cache)
    train, val, judge = (
        (inputs.features(rows), rows) for rows in (parts.train, parts.val, parts.judge)
    )
    return trained.plan.task.simpler(train, val, *judge)


@lru_cache(maxsize=1)
def _worker_state(prepared: Path) -> tuple[Store, FeatureCache]:
    """What all cells of one process share."""
    return open_store(prepared, ("train", "val")), FeatureCache(FEATURE_BUDGET_BYTES)


def read_result(folder: Path, key: str, cell: Cell) -> CellResult | None:
    """A finished cell as :func:`train_cell` has kept it, or nothing.

    A file that was cut off counts as nothing.

    Args:
        folder: of the finished cells.
        key: of the cell.
        cell: that the result is of.
    """
    found = _content(folder, key)
    if not found:
        return None
    return CellResult(
        cell=cell,
        key=key,
        history=[EpochRecord(**_with_nan(record)) for record in found["history"]],
        best_epoch=found["best_epoch"],
        diverged=found["diverged"],
        candidates=[Candidate(**_with_nan(each)) for each in found["candidates"]],
        chosen=found["chosen"],
        judged=_with_nan(found["judged"]),
        best_judged=_with_nan(found["best"]),
        last=_with_nan(found["last"]),
        num_train=found["num_train"],
        num_judge=found["num_judge"],
        guessing_loss=found["guessing_loss"],
        num_choose=found["num_choose"],
        num_incidents=found["num_incidents"],
        simpler={name: _with_nan(each) for name, each in found["simpler"].items()},
        seconds=_number(found["seconds"]),
    )


def _calm(work: Work, key: str) -> dict[str, Any]:
    """What came of a cell whose guard met no trouble; empty if it did, or is not finished."""
    found = _content(work.results, key)
    return found if found and not found["num_incidents"] else {}


def _content(folder: Path, key: str) -> dict[str, Any]:
    """Of a finished cell's file; empty if it is not there or was cut off."""
    try:
        found = read_json(folder / f"{key}.json")
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _with_nan(record: dict[str, Any]) -> dict[str, Any]:
    """JSON's null stands for a number that was not finite."""
    return {
        name: _with_nan(value) if isinstance(value, dict) else _number(value)
        for name, value in record.items()
    }


def _number(value: Any) -> Any:
    return math.nan if value is None else value
