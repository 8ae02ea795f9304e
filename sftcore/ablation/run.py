"""Train the cells of a study side by side, each only once for its content."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from sftcore.ablation.cells import (
    CELL_CODE,
    CELL_THREADS,
    CellResult,
    Work,
    read_result,
    train_cell,
)
from sftcore.ablation.plan import Cell
from sftcore.ablation.workers import Workers
from sftcore.data.pictures.augment import AugmentationSettings
from sftcore.data.portions import Portion, take_portion
from sftcore.data.store import Store, open_store
from sftcore.foundations.artifacts import remove_abandoned
from sftcore.foundations.errors import ParamsError
from sftcore.foundations.progress import show_progress
from sftcore.foundations.runtime import set_up
from sftcore.training.keys import training_key
from sftcore.training.planning import check_lengths


def run_cells(
    cells: Sequence[Cell],
    *,
    prepared: Path,
    task: str,
    environment: Path,
    device: str,
    mode: str,
    precision: str,
    workers: Workers,
    scratch: Path,
    checkpoint_seconds: float,
) -> list[CellResult]:
    """Results of all cells, in their order.

    A finished cell is kept in ``scratch/cells`` at once and one under way leaves checkpoints, so a
    killed study goes on where it was. Cells with the same content are trained once, and one
    without a guard is not trained where the same with a guard has met no trouble.

    Args:
        cells: to train.
        prepared: folder of the prepared data.
        task: in :data:`sftcore.tasks.registry.TASKS`.
        environment: lock file of the installed packages, part of every key.
        device: where to compute.
        mode: ``portable`` or ``native``, as the process was started; part of every key.
        precision: of the updates; part of every key.
        workers: processes of one thread each; their number changes no result.
        scratch: keeps one JSON file per finished cell, and checkpoints.
        checkpoint_seconds: least time between two checkpoints of a cell.

    Raises:
        ResourceError: a worker process was ended from outside.
        ParamsError: the schedule of a row does not fit into its phases; nothing has been trained.
    """
    store = open_store(prepared, ("train", "val"))
    check_cells(cells, store)
    place = set_up(device, CELL_THREADS, precision)
    keys = [
        training_key(
            cell.row.model,
            cell.row.train,
            task=task,
            seed=cell.seed,
            data=store.digest,
            device=place,
            num_threads=CELL_THREADS,
            mode=mode,
            environment=environment,
            portion=cell.portion,
            precision=precision,
            extra_code=CELL_CODE,
        )
        for cell in cells
    ]
    guarded = pair_guarded(dict(zip(keys, cells, strict=True)))
    work = Work(prepared, task, device, precision, scratch, checkpoint_seconds, guarded)
    remove_abandoned(work.results)
    missing: dict[str, Cell] = {}
    leaders = {*guarded.values()}  # come first, and those that wait for them last
    in_turn = sorted(
        zip(keys, cells, strict=True),
        key=lambda each: (each[0] in guarded) - (each[0] in leaders),
    )
    for key, cell in in_turn:
        if read_result(work.results, key, cell) is None:
            missing.setdefault(key, cell)
    _train_missing(missing, workers, work)
    results = []
    for key, cell in zip(keys, cells, strict=True):
        found = read_result(work.results, key, cell)
        if found is None:
            raise RuntimeError(f"cell {cell.row.name}, replicate {cell.replicate}, left no result")
        results.append(found)
    return results


def pair_guarded(cells: Mapping[str, Cell]) -> dict[str, str]:
    """By the key of each cell without a guard, that of the same with one, where there is one."""
    with_guard = {
        _apart_from_answers(cell): key for key, cell in cells.items() if _is_guarded(cell)
    }
    return {
        key: with_guard[same]
        for key, cell in cells.items()
        if not _is_guarded(cell) and (same := _apart_from_answers(cell)) in with_guard
    }


def _is_guarded(cell: Cell) -> bool:
    return bool(cell.row.train.guard.in_order)


def _apart_from_answers(cell: Cell) -> tuple[str, str, int, Portion]:
    """All that a cell's numbers depend on, but for the answers of its guard."""
    train = cell.row.train.model_dump_json(exclude={"guard": {"answers"}})
    return cell.row.model.model_dump_json(), train, cell.seed, cell.portion


def check_cells(cells: Sequence[Cell], store: Store) -> None:
    """Refuse a row whose schedule does not fit into its phases.

    Raises:
        ParamsError: names the row and the length.
    """
    for cell in cells:
        num_train = len(take_portion(store.samples, cell.portion, cell.seed).train)
        try:
            check_lengths(cell.row.train, num_train)
        except ParamsError as error:
            raise ParamsError(f"row {cell.row.name} of the {cell.row.family}: {error}") from error


def _train_missing(missing: dict[str, Cell], workers: Workers, work: Work) -> None:
    with show_progress("study", len(missing), "trainings") as progress:
        for count in workers.each(partial(_train_group, work=work), group_cells(missing)):
            progress.advance(count)


def group_cells(missing: dict[str, Cell]) -> list[dict[str, Cell]]:
    """Cells that share what takes long in one group, the others one by one.

    Of one replicate, cells that look at their pictures in the same changed way share the features
    of the frozen blocks, and a probe has the head that the recipe starts from; it is computed once
    if one process trains the group. Changed pictures take longest, so they come first: no worker is
    idle at the end. Otherwise the order stays.
    """
    groups: dict[tuple[AugmentationSettings, int | str], dict[str, Cell]] = {}
    first: dict[tuple[int, Portion], str] = {}  # cell of these pictures: the recipe, as a rule
    for key, cell in missing.items():
        look, drawn = cell.row.train.augmentation, (cell.seed, cell.portion)
        is_shared = not look.is_off and cell.row.fraction == 1 and cell.row.train.epochs > 0
        leader = first.setdefault(drawn, key)
        is_solved = cell.row.is_probe and cell.row.train.head.method == "solve"
        shared = cell.replicate if is_shared else leader if is_solved else key
        groups.setdefault((look, shared), {})[key] = cell
    return [groups[s] for s in sorted(groups, key=lambda s: s[0].is_off)]


def _train_group(group: dict[str, Cell], work: Work) -> int:
    for key, cell in group.items():
        train_cell(key, cell, work)
    return len(group)
