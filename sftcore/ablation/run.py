"""Train the cells of a study side by side, each only once for its content."""

import json
import math
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from sftcore.ablation.plan import Cell
from sftcore.artifacts import read_json, remove_abandoned, write_json
from sftcore.data.augment import Augmentation
from sftcore.data.portions import take_portion
from sftcore.data.store import Store, open_store
from sftcore.errors import ParamsError, ResourceError
from sftcore.interruption import leave_on_signals_for_good
from sftcore.metrics.calibration import cross_fitted_probabilities
from sftcore.metrics.classification import classification_metrics
from sftcore.planning import changed_pictures, check_lengths
from sftcore.recipe import WHOLE, train, training_key
from sftcore.runtime import set_up
from sftcore.training.checkpoints import Checkpoints
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.records import Candidate, EpochRecord, FitResult

_NUM_BINS = 15  # of the calibration error
CELL_THREADS = 1  # one-thread cells side by side are faster than one cell with all threads


@dataclass(frozen=True)
class CellResult:
    """What came of one training.

    Attributes:
        cell: the row and the seed.
        key: hash of everything the numbers depend on.
        history: one record per finished epoch.
        best_epoch: chosen on validation; -1 if no epoch finished.
        diverged: why it stopped early; empty if it did not.
        candidates: parameters that it could end with.
        chosen: position among them of what validation chose; -1 if no epoch finished.
        calibration: of the chosen parameters on validation pictures, by name; empty without them.
        num_train: pictures trained on.
        num_incidents: of the guard.
        seconds: the training took; NaN if it was continued. For MLflow alone: no output holds it.
    """

    cell: Cell
    key: str
    history: list[EpochRecord]
    best_epoch: int
    diverged: str
    candidates: list[Candidate]
    chosen: int
    calibration: dict[str, float]
    num_train: int
    num_incidents: int = 0
    seconds: float = field(default=math.nan, compare=False)

    @property
    def best(self) -> Candidate | None:
        """What validation chose: the best epoch, or an average of parameters."""
        return self.candidates[self.chosen] if self.chosen >= 0 else None


def run_cells(
    cells: Sequence[Cell],
    *,
    prepared: Path,
    environment: Path,
    device: str,
    mode: str,
    precision: str,
    num_workers: int,
    scratch: Path,
    checkpoint_seconds: float,
) -> list[CellResult]:
    """Results of all cells, in their order.

    A finished cell is kept in ``scratch/cells`` at once and one under way leaves checkpoints, so a
    killed study goes on where it was. Cells with the same content are trained once.

    Args:
        cells: to train.
        prepared: folder of the prepared data.
        environment: lock file of the installed packages, part of every key.
        device: where to compute.
        mode: ``portable`` or ``native``, as the process was started; part of every key.
        precision: of the updates; part of every key.
        num_workers: processes of one thread each; changes no number.
        scratch: keeps one JSON file per finished cell, and checkpoints.
        checkpoint_seconds: least time between two checkpoints of a cell.

    Raises:
        ResourceError: a worker process was ended from outside.
        ParamsError: the schedule of a row does not fit into its phases; nothing has been trained.
    """
    work = _Work(prepared, device, precision, scratch, checkpoint_seconds)
    store = open_store(prepared, ("train", "val"))
    place = set_up(device, CELL_THREADS, precision)
    check_cells(cells, store)
    keys = [
        training_key(
            cell.row.model,
            cell.row.train,
            seed=cell.seed,
            data=store.digest,
            device=place,
            num_threads=CELL_THREADS,
            mode=mode,
            environment=environment,
            portion=cell.row.portion,
            precision=precision,
        )
        for cell in cells
    ]
    remove_abandoned(work.results)
    missing: dict[str, Cell] = {}
    for key, cell in zip(keys, cells, strict=True):
        if _read_result(work.results, key) is None:
            missing.setdefault(key, cell)
    _train_missing(missing, num_workers, work)
    results = []
    for key, cell in zip(keys, cells, strict=True):
        found = _read_result(work.results, key)
        if found is None:
            raise RuntimeError(f"cell {cell.row.name} with seed {cell.seed} left no result")
        results.append(
            CellResult(
                cell=cell,
                key=key,
                history=[EpochRecord(**_with_nan(record)) for record in found["history"]],
                best_epoch=found["best_epoch"],
                diverged=found["diverged"],
                candidates=[Candidate(**_with_nan(each)) for each in found["candidates"]],
                chosen=found["chosen"],
                calibration=found["calibration"],
                num_train=found["num_train"],
                num_incidents=found["num_incidents"],
                seconds=_number(found["seconds"]),
            )
        )
    return results


@dataclass(frozen=True)
class _Work:
    """How cells are trained; sent to the worker processes."""

    prepared: Path
    device: str
    precision: str
    scratch: Path
    checkpoint_seconds: float

    @property
    def results(self) -> Path:
        return self.scratch / "cells"


def check_cells(cells: Sequence[Cell], store: Store) -> None:
    """Refuse a row whose schedule does not fit into its phases.

    Raises:
        ParamsError: names the row and the length.
    """
    for cell in cells:
        num_train = len(take_portion(store.samples, cell.row.portion, cell.seed)[0])
        try:
            check_lengths(cell.row.train, num_train)
        except ParamsError as error:
            raise ParamsError(f"row {cell.row.name} of the {cell.row.family}: {error}") from error


def _train_missing(missing: dict[str, Cell], num_workers: int, work: _Work) -> None:
    from tqdm import tqdm

    groups = group_cells(missing)
    with tqdm(total=len(missing), desc="cells", disable=None) as progress:
        if min(num_workers, len(groups)) <= 1:
            for group in groups:
                progress.update(_train_group(group, work))
        else:
            for count in _in_processes(groups, num_workers, work):
                progress.update(count)


def _in_processes(groups: list[dict[str, Cell]], num_workers: int, work: _Work) -> Iterator[int]:
    """Train groups side by side; if this process has to leave, its workers do so in order."""
    with ProcessPoolExecutor(
        min(num_workers, len(groups)),
        multiprocessing.get_context("spawn"),
        initializer=leave_on_signals_for_good,
    ) as workers:
        try:
            for job in as_completed([workers.submit(_train_or_end, g, work) for g in groups]):
                yield job.result()
        except BrokenProcessPool as error:
            raise ResourceError(
                "a process that trained ablation cells was ended, most likely for want of memory: "
                "lower runtime.num_workers and run again; finished cells are kept"
            ) from error
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()  # it writes a checkpoint first
            raise


def _train_or_end(group: dict[str, Cell], work: _Work) -> int:
    """Train a group in a worker process, which would take up the next one after a signal."""
    try:
        return _train_group(group, work)
    except (KeyboardInterrupt, SystemExit):
        os._exit(1)


def group_cells(missing: dict[str, Cell]) -> list[dict[str, Cell]]:
    """Cells that share augmented features together, the others one by one.

    The shared features are computed once if one process trains the group. Augmented cells take
    longest, so they come first: no worker is idle at the end.
    """
    groups: dict[tuple[Augmentation, int | str], dict[str, Cell]] = {}
    for key, cell in missing.items():
        look = changed_pictures(cell.row.train)
        is_shared = not look.is_off and cell.row.portion == WHOLE
        shared = (look, cell.seed) if is_shared else (look, key)
        groups.setdefault(shared, {})[key] = cell
    return [groups[s] for s in sorted(groups, key=lambda s: (s[0].is_off, str(s)))]


def _train_group(group: dict[str, Cell], work: _Work) -> int:
    for key, cell in group.items():
        _train_cell(key, cell, work)
    return len(group)


def _train_cell(key: str, cell: Cell, work: _Work) -> None:
    store, cache = _worker_state(work.prepared)
    checkpoints = Checkpoints(work.scratch / "checkpoints" / key, work.checkpoint_seconds)
    with checkpoints.locked():
        if _read_result(work.results, key) is not None:  # another study has just trained it
            return
        is_new = not checkpoints.has_any()
        began = time.monotonic()
        result = train(
            store,
            cell.row.model,
            cell.row.train,
            seed=cell.seed,
            device=set_up(work.device, CELL_THREADS, work.precision),
            cache=cache,
            on_epoch=lambda record: None,
            checkpoints=checkpoints,
            portion=cell.row.portion,
            precision=work.precision,
        ).result
        content = {
            "history": [asdict(record) for record in result.history],
            "best_epoch": result.best_epoch,
            "diverged": result.diverged,
            "candidates": [asdict(candidate) for candidate in result.candidates],
            "chosen": result.chosen,
            "calibration": _calibration(result, store, cell),
            "seconds": time.monotonic() - began if is_new else math.nan,
            "num_incidents": len(result.incidents),
            "num_train": len(take_portion(store.samples, cell.row.portion, cell.seed)[0]),
        }
        write_json(work.results / f"{key}.json", content)
        checkpoints.discard()


def _calibration(result: FitResult, store: Store, cell: Cell) -> dict[str, float]:
    """Calibration error and loss on validation pictures, as trained and at a fitted temperature."""
    if result.val_logits is None:
        return {}
    _, rows = take_portion(store.samples, cell.row.portion, cell.seed)
    logits, labels = result.val_logits.double().cpu().numpy(), store.labels[rows]
    found = {}
    for suffix, probability in (
        ("", softmax(logits, axis=1)),
        ("_scaled", cross_fitted_probabilities(logits, labels)),
    ):
        metrics = classification_metrics(labels, probability, np.ones((1, len(rows))), _NUM_BINS)
        found[f"ece{suffix}"], found[f"nll{suffix}"] = float(metrics.ece[0]), float(metrics.nll[0])
    return found


@lru_cache(maxsize=1)
def _worker_state(prepared: Path) -> tuple[Store, FeatureCache]:
    """What all cells of one process share."""
    return open_store(prepared, ("train", "val")), FeatureCache(FEATURE_BUDGET_BYTES)


def _read_result(cache_folder: Path, key: str) -> dict[str, Any] | None:
    """A finished cell, or nothing; a file that was cut off counts as nothing."""
    try:
        found = read_json(cache_folder / f"{key}.json")
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _with_nan(record: dict[str, Any]) -> dict[str, Any]:
    """JSON's null stands for a number that was not finite."""
    return {name: _number(value) for name, value in record.items()}


def _number(value: Any) -> Any:
    return math.nan if value is None else value
