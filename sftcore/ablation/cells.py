"""One cell of a study: its training, and what the pictures that had no say find of it."""

import json
import math
import time
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from sftcore.ablation.plan import Cell
from sftcore.data.portions import Parts, take_portion
from sftcore.data.store import Store, open_store
from sftcore.evaluation.baselines import most_frequent, nearest_neighbours
from sftcore.foundations.artifacts import read_json, write_json
from sftcore.foundations.runtime import set_up
from sftcore.metrics.calibration import fit_temperature
from sftcore.metrics.classification import classification_metrics, scores
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.recipe import Trained, train
from sftcore.training.records import Candidate, EpochRecord, FitResult

# What a cell's result depends on besides the training: part of its key.
CELL_CODE = (
    "ablation/cells.py", "evaluation/__init__.py", "evaluation/baselines.py",
    "metrics/__init__.py", "metrics/calibration.py", "metrics/classification.py",
)  # fmt: skip
_NUM_BINS = 15  # of the calibration error
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
        judged: outcomes of the chosen parameters on the pictures that had no say: loss, accuracy,
            balanced_accuracy, macro_f1, ece, temperature (that the choosing pictures want),
            loss_scaled and ece_scaled (at it); empty if no epoch finished.
        last: likewise of the last epoch's parameters, without a temperature.
        num_train: pictures trained on.
        num_judge: pictures that had no say.
        num_incidents: of the guard.
        seconds: the training took; NaN if it was continued. For MLflow alone: no output holds it.
        best_judged: as ``last``, of the best epoch's parameters.
        num_choose: pictures that chose.
        simpler: of the probe alone: outcomes, as ``last``, of rows to beat that are simpler still,
            by name (:data:`sftcore.settings.grids.SIMPLER_ROWS`).
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
    simpler: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def best(self) -> Candidate | None:
        """What validation chose: the best epoch, or an average of parameters."""
        return self.candidates[self.chosen] if self.chosen >= 0 else None


@dataclass(frozen=True)
class Work:
    """How cells are trained; sent to the worker processes."""

    prepared: Path
    device: str
    precision: str
    scratch: Path
    checkpoint_seconds: float

    @property
    def results(self) -> Path:
        """Folder of the finished cells."""
        return self.scratch / "cells"


def train_cell(key: str, cell: Cell, work: Work) -> None:
    """Train a cell and keep its result, unless another process has done so meanwhile.

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
        parts = take_portion(store.samples, cell.portion, cell.seed)
        is_new = not checkpoints.has_any()
        began = time.monotonic()
        trained = train(
            store,
            cell.row.model,
            cell.row.train,
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
            **_outcomes(result, store, parts),
            "seconds": time.monotonic() - began if is_new else math.nan,
            "num_incidents": len(result.incidents),
            "num_train": len(parts.train),
            "num_choose": len(parts.val),
            "num_judge": len(parts.judge),
            "simpler": _simpler(trained, store, parts, cache) if cell.row.is_probe else {},
        }
        write_json(work.results / f"{key}.json", content)
        checkpoints.discard()


def _outcomes(result: FitResult, store: Store, parts: Parts) -> dict[str, dict[str, float]]:
    """What the pictures that had no say find."""
    val, judge = result.val_logits, result.judge_logits
    best, last = result.best_judge_logits, result.last_judge_logits
    if val is None or judge is None or best is None or last is None:
        return {"judged": {}, "best": {}, "last": {}}
    labels = store.labels[parts.judge]
    chosen, of_best, of_last, of_val = (x.double().cpu().numpy() for x in (judge, best, last, val))
    judged = outcome(chosen, labels)
    # The temperature is chosen by the pictures that choose everything else.
    temperature = fit_temperature(of_val, store.labels[parts.val])
    scaled = outcome(chosen / temperature, labels)
    judged |= {"temperature": temperature}
    judged |= {f"{name}_scaled": scaled[name] for name in ("loss", "ece")}
    return {"judged": judged, "best": outcome(of_best, labels), "last": outcome(of_last, labels)}


def _simpler(
    trained: Trained, store: Store, parts: Parts, cache: FeatureCache
) -> dict[str, dict[str, float]]:
    """What the pictures that had no say find of the rows to beat that need no training.

    The probe has changed nothing before its head, so the features are those that it was given.
    """
    network, num_classes = trained.start.network, len(store.classes)
    inputs = trained.plan.inputs(network, len(network.blocks), cache)
    train, val, judge = (
        (inputs.reader(rows)(rows), trained.plan.rows.labels[torch.from_numpy(rows)])
        for rows in (parts.train, parts.val, parts.judge)
    )
    found = (
        nearest_neighbours(train, val, judge[0], num_classes),
        most_frequent(train[1], len(val[1]), len(judge[1]), num_classes),
    )
    labels = store.labels[parts.judge]
    return {row.name: outcome(np.log(row.test), labels) for row in found}


def outcome(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The scores of logits [N, C] and their calibration error."""
    unit = np.ones((1, len(labels)))
    ece = classification_metrics(labels, softmax(logits, axis=1), unit, _NUM_BINS).ece[0]
    return scores(logits, labels) | {"ece": float(ece)}


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
    try:
        found = read_json(folder / f"{key}.json")
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    if not isinstance(found, dict):
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
        num_choose=found["num_choose"],
        num_incidents=found["num_incidents"],
        simpler={name: _with_nan(each) for name, each in found["simpler"].items()},
        seconds=_number(found["seconds"]),
    )


def _with_nan(record: dict[str, Any]) -> dict[str, Any]:
    """JSON's null stands for a number that was not finite."""
    return {name: _number(value) for name, value in record.items()}


def _number(value: Any) -> Any:
    return math.nan if value is None else value
