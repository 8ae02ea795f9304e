"""Train the cells of a study side by side, each only once for its content."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sftcore.ablation.plan import Cell
from sftcore.artifacts import read_json, sha256_file, sha256_json, write_json
from sftcore.data.store import Store, open_store
from sftcore.params import ModelParams, TrainParams
from sftcore.recipe import train
from sftcore.runtime import set_up
from sftcore.training.inputs import FEATURE_BUDGET_BYTES, FeatureCache
from sftcore.training.loop import EpochRecord

# What a cell's numbers depend on: a change in these files makes new cells.
_CODE = (
    "artifacts.py", "params.py", "randomness.py", "recipe.py", "runtime.py", "data/augment.py",
    "data/loader.py", "data/store.py", "models", "optimization", "regularization", "stability",
    "tasks", "training",
)  # fmt: skip
_CELL_THREADS = 1  # one-thread cells side by side are faster than one cell with all threads


@dataclass(frozen=True)
class CellResult:
    """What came of one training.

    Attributes:
        cell: the row and the seed.
        key: hash of everything the numbers depend on.
        history: one record per finished epoch.
        best_epoch: chosen on validation; -1 if no epoch finished.
        diverged: why it stopped early; empty if it did not.
    """

    cell: Cell
    key: str
    history: list[EpochRecord]
    best_epoch: int
    diverged: str

    @property
    def best(self) -> EpochRecord | None:
        """The chosen epoch's record."""
        return self.history[self.best_epoch] if self.best_epoch >= 0 else None


def run_cells(
    cells: Sequence[Cell],
    *,
    prepared: Path,
    environment: Path,
    device: str,
    num_workers: int,
    cache_folder: Path,
) -> list[CellResult]:
    """Results of all cells, in their order.

    A finished cell is kept in ``cache_folder`` at once, so a killed study goes on where it was, and
    cells with the same content are trained once.

    Args:
        cells: to train.
        prepared: folder of the prepared data.
        environment: lock file of the installed packages, part of every key.
        device: where to compute.
        num_workers: processes of one thread each; changes no number.
        cache_folder: one JSON file per finished cell.
    """
    digest = open_store(prepared, ("train", "val")).digest
    common = [digest, str(set_up(device, _CELL_THREADS)), sha256_file(environment), code_digest()]
    keys = [_cell_key(cell, common) for cell in cells]
    missing: dict[str, Cell] = {}
    for key, cell in zip(keys, cells, strict=True):
        if _read_result(cache_folder, key) is None:
            missing.setdefault(key, cell)
    _train_missing(missing, prepared, device, num_workers, cache_folder)
    results = []
    for key, cell in zip(keys, cells, strict=True):
        found = _read_result(cache_folder, key)
        if found is None:
            raise RuntimeError(f"cell {cell.row.name} with seed {cell.seed} left no result")
        history = [EpochRecord(**_with_nan(record)) for record in found["history"]]
        results.append(CellResult(cell, key, history, found["best_epoch"], found["diverged"]))
    return results


def _cell_key(cell: Cell, common: list[str]) -> str:
    row = cell.row
    return sha256_json([row.model.model_dump(), row.train.model_dump(), cell.seed, *common])


def code_digest() -> str:
    """Hash of the source files that a cell's numbers depend on."""
    package = Path(__file__).parent.parent
    files = [
        path
        for name in _CODE
        for path in ([package / name] if name.endswith(".py") else (package / name).rglob("*.py"))
    ]
    return sha256_json({str(path.relative_to(package)): sha256_file(path) for path in files})


def _train_missing(
    missing: dict[str, Cell], prepared: Path, device: str, num_workers: int, cache_folder: Path
) -> None:
    from joblib import Parallel, delayed
    from tqdm import tqdm

    groups = group_cells(missing)
    jobs = (delayed(_train_group)(group, prepared, device, cache_folder) for group in groups)
    workers = Parallel(
        n_jobs=max(1, min(num_workers, len(groups))), return_as="generator_unordered", batch_size=1
    )
    with tqdm(total=len(missing), desc="cells", disable=None) as progress:
        for count in workers(jobs):
            progress.update(count)


def group_cells(missing: dict[str, Cell]) -> list[dict[str, Cell]]:
    """Cells that share augmented features together, the others one by one.

    The shared features are computed once if one process trains the group. Augmented cells take
    longest, so they come first: no worker is idle at the end.
    """
    groups: dict[tuple[object, ...], dict[str, Cell]] = {}
    for key, cell in missing.items():
        strength = cell.row.train.augmentation
        shared = (strength, cell.seed) if strength > 0 else (0.0, key)
        groups.setdefault(shared, {})[key] = cell
    return [groups[shared] for shared in sorted(groups, key=lambda s: (s[0] == 0, str(s)))]


def _train_group(group: dict[str, Cell], prepared: Path, device: str, cache_folder: Path) -> int:
    for key, cell in group.items():
        row = cell.row
        _train_cell(key, row.model, row.train, cell.seed, prepared, device, cache_folder)
    return len(group)


def _train_cell(
    key: str,
    model: ModelParams,
    train_params: TrainParams,
    seed: int,
    prepared: Path,
    device: str,
    cache_folder: Path,
) -> None:
    store, cache = _worker_state(prepared)
    result = train(
        store,
        model,
        train_params,
        seed=seed,
        device=set_up(device, _CELL_THREADS),
        cache=cache,
        on_epoch=lambda record: None,
    ).result
    content = {
        "history": [asdict(record) for record in result.history],
        "best_epoch": result.best_epoch,
        "diverged": result.diverged,
    }
    write_json(cache_folder / f"{key}.json", content)


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
    return {name: float("nan") if value is None else value for name, value in record.items()}
