"""Results of cells as one table: a line per training."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sftcore.ablation.cells import CellResult
from sftcore.ablation.plan import CONFIRM
from sftcore.tasks.contract import Task

FINISHED, DIVERGED, COLLAPSED = "finished", "diverged", "collapsed"


def cells_table(results: Sequence[CellResult], task: type[Task]) -> pd.DataFrame:
    """One line per cell.

    Columns without a prefix are of the parameters that the choosing pictures took, on the pictures
    that had no say; those with ``last_`` of the last epoch's parameters, on the same pictures.
    ``loss_scaled`` and ``ece_scaled`` are at the temperature that the choosing pictures want.
    ``loss_rise`` and ``ece_rise`` are how far the last epoch stands above the one that the choosing
    pictures find best: the harm of going on. ``gap`` is the headline score on training pictures
    minus that on these.
    ``status`` is ``finished``, ``diverged`` (left the finite numbers, or the guard gave up) or
    ``collapsed`` (ends no better on training pictures than guessing).
    ``ends_on_last`` says that the last epoch was the best: the training may not have converged.
    Each probe of the confirmation is followed by the rows to beat that are simpler still.

    Args:
        results: of the cells.
        task: what is measured.
    """
    lines: list[dict[str, Any]] = []
    for result in results:
        lines.append(_line(result, task))
        if result.cell.row.family == CONFIRM:
            lines += [_simpler_line(lines[-1], name, of) for name, of in result.simpler.items()]
    return pd.DataFrame(lines)


def _line(result: CellResult, task: type[Task]) -> dict[str, Any]:
    cell, history, best = result.cell, result.history, result.best
    row, nan = cell.row, float("nan")
    last = [record for record in history if record.phase == history[-1].phase]
    headline, calibration = task.scores[0], task.outcomes[:1]
    judged = {name: result.judged.get(name, nan) for name in (*task.metrics(), *calibration)}
    ended = {name: result.last.get(name, nan) for name in ("loss", headline, *calibration)}
    at_best = {n: result.best_judged.get(n, judged[n]) for n in ("loss", *calibration)}
    train_score = best.scores[f"train_{headline}"] if best else nan
    has_trained = row.train.epochs > 0 and bool(history)
    return {
        "family": row.family,
        "row": row.name,
        "setting": row.setting,
        "replicate": cell.replicate,
        "seed": cell.seed,
        "fraction": row.fraction,
        "num_train": result.num_train,
        "num_choose": result.num_choose,
        "num_judge": result.num_judge,
        "learning_rate": row.train.learning_rate,
        "schedule": row.train.schedule.name,
        "answer": row.answer,
        "status": status_of(result),
        "best_epoch": result.best_epoch,
        "last_epoch": history[-1].epoch if history else -1,
        "ends_on_last": has_trained and result.best_epoch == history[-1].epoch,
        "chosen": best.name if best else "",
        **judged,
        **{name: result.judged.get(name, nan) for name in task.outcomes[1:]},
        **{f"last_{name}": value for name, value in ended.items()},
        **{f"{name}_rise": ended[name] - value for name, value in at_best.items()},
        "train_loss": best.train_loss if best else nan,
        f"train_{headline}": train_score,
        "gap": train_score - judged[headline],
        "weight_norm": best.weight_norm if best else nan,
        "weight_distance": best.weight_distance if best else nan,
        "num_incidents": result.num_incidents,
        "clipped_fraction": float(np.mean([r.clipped_fraction for r in last])) if last else nan,
        "batch_norm_gap": history[-1].batch_norm_gap if history else nan,
    }  # fmt: skip


def _simpler_line(probe: dict[str, Any], row: str, judged: dict[str, float]) -> dict[str, Any]:
    """Nothing was trained: all that is known besides the pictures is what those judged."""
    shared = ("family", "setting", "replicate", "seed", "fraction", "num_train", "num_choose",
              "num_judge", "answer", "status", "ends_on_last")  # fmt: skip
    return {"row": row} | {name: probe[name] for name in shared} | judged


def status_of(result: CellResult) -> str:
    """How the training ended; see :func:`cells_table`."""
    history = result.history
    measured = [r.train_loss for r in history if not math.isnan(r.train_loss)]  # not every epoch is
    if result.diverged or not measured or not math.isfinite(history[-1].val_loss):
        return DIVERGED
    if not math.isfinite(measured[-1]):
        return DIVERGED
    return COLLAPSED if measured[-1] >= result.guessing_loss else FINISHED


def trained_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of the confirmation that are trainings; see :func:`cells_table`."""
    return table[(table["family"] == CONFIRM) & table["last_epoch"].notna()]


def pairs_of(table: pd.DataFrame, name: str, other: str, metric: str) -> pd.DataFrame:
    """Values of two rows in the replicates in which both finished.

    Args:
        table: lines of one family; see :func:`cells_table`.
        name: of a row.
        other: of the row it is compared with.
        metric: a column.

    Returns:
        Columns ``name`` and ``other`` by replicate.
    """
    usable = table[table["status"] == FINISHED]
    values = usable.pivot(index="replicate", columns="row", values=metric)
    return values.reindex(columns=[name, other]).dropna()


def judging_ratio(table: pd.DataFrame) -> float:
    """Pictures that judge over all others of a replicate, mean over the lines.

    Those that choose count with those that are learnt from: two replicates go together by how much
    their judges overlap, whatever the others do.
    """
    others = table["num_train"] + table["num_choose"]
    return float((table["num_judge"] / others).mean()) if len(table) else 0.0
