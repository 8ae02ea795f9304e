"""What the rows did: means over seeds, and paired differences from the baseline."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from sftcore.ablation.cells import CellResult
from sftcore.ablation.plan import LEAVE_ONE_OUT, REGULARIZATION
from sftcore.grids import ALL_TOGETHER_ROW, BASELINE_ROW
from sftcore.metrics.intervals import bonferroni, holm, paired_interval

COMPARED = ("val_loss", "val_accuracy", "gap")
EFFECT_COLUMNS = ("row", "metric", "num_pairs", "baseline", "value", "difference", "low", "high",
                  "p_holm", "verdict")  # fmt: skip


def cells_table(results: Sequence[CellResult], num_classes: int) -> pd.DataFrame:
    """One line per cell.

    ``gap`` is train minus validation accuracy at the chosen epoch. ``loss_rise`` is how far the
    validation loss stands above its least value at the end, in nats. ``max_swing`` is its largest
    rise from one epoch to the next. ``status`` is ``finished``, ``diverged`` (left the finite
    numbers, also at its very end) or ``collapsed`` (ends no better on training pictures than
    guessing, loss ≥ ln C).
    ``ece`` is the calibration error on validation pictures; ``ece_scaled`` and ``nll_scaled`` are
    at the temperature that the other half of them wants. ``clipped_fraction`` is of the updates of
    the last phase, ``batch_norm_gap`` that of the last epoch.

    Args:
        results: of the cells.
        num_classes: C.
    """
    return pd.DataFrame([_cell_line(result, num_classes) for result in results])


def _cell_line(result: CellResult, num_classes: int) -> dict[str, Any]:
    row, history, best = result.cell.row, result.history, result.best
    nan = float("nan")
    calibration = result.calibration
    losses = [record.val_loss for record in history]
    last = [record for record in history if record.phase == history[-1].phase]
    swings = [
        after - before if math.isfinite(after - before) else math.inf
        for before, after in pairwise(losses)
    ]
    status = "finished"
    ends = (history[-1].train_loss, history[-1].val_loss) if history else ()
    if result.diverged or not all(map(math.isfinite, ends)):
        status = "diverged"
    elif history[-1].train_loss >= math.log(num_classes):
        status = "collapsed"
    return {
        "family": row.family,
        "row": row.name,
        "seed": result.cell.seed,
        "fraction": row.portion.fraction,
        "fold": row.portion.fold if row.portion.num_folds else -1,
        "num_train": result.num_train,
        "learning_rate": row.train.learning_rate,
        "schedule": row.train.schedule,
        "answer": row.answer,
        "status": status,
        "best_epoch": result.best_epoch,
        "chosen": best.name if best else "",
        "val_loss": best.val_loss if best else nan,
        "val_accuracy": best.val_accuracy if best else nan,
        "train_loss": best.train_loss if best else nan,
        "train_accuracy": best.train_accuracy if best else nan,
        "gap": best.train_accuracy - best.val_accuracy if best else nan,
        "loss_rise": losses[-1] - min(losses) if losses else nan,
        "max_swing": max(swings, default=0.0) if losses else nan,
        "ece": calibration.get("ece", nan),
        "nll_scaled": calibration.get("nll_scaled", nan),
        "ece_scaled": calibration.get("ece_scaled", nan),
        "weight_norm": best.weight_norm if best else nan,
        "weight_distance": best.weight_distance if best else nan,
        "num_incidents": result.num_incidents,
        "clipped_fraction": float(np.mean([r.clipped_fraction for r in last])) if last else nan,
        "batch_norm_gap": history[-1].batch_norm_gap if history else nan,
        "last_val_loss": losses[-1] if losses else nan,
        "last_val_accuracy": history[-1].val_accuracy if history else nan,
        "last_train_loss": history[-1].train_loss if history else nan,
        "last_train_accuracy": history[-1].train_accuracy if history else nan,
    }


def regularization_effects(cells: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Every regularization row against the baseline; see :func:`paired_effects`."""
    return paired_effects(cells, REGULARIZATION, BASELINE_ROW, confidence)


def leave_one_out_effects(cells: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """All methods but one against all of them; see :func:`paired_effects`."""
    return paired_effects(cells, LEAVE_ONE_OUT, ALL_TOGETHER_ROW, confidence)


def paired_effects(
    cells: pd.DataFrame, family: str, baseline: str, confidence: float
) -> pd.DataFrame:
    """Every row of a family against a baseline row, paired by seed.

    Intervals are Student's, each at a confidence that makes all rows of one metric hold together
    (Bonferroni); p values are adjusted by Holm's method over the same rows. A row of which a seed
    failed has no pair for that seed.

    Args:
        cells: see :func:`cells_table`.
        family: of the rows.
        baseline: a row of the regularization family.
        confidence: of all intervals of one metric together.

    Returns:
        Columns row, metric, num_pairs, baseline, value, difference, low, high, p_holm, verdict.
        The verdict is ``better``, ``worse`` or ``within noise``. No rows without the family.
    """
    is_baseline = (cells["family"] == REGULARIZATION) & (cells["row"] == baseline)
    table = cells[(cells["family"] == family) | is_baseline]
    usable = table[table["status"] == "finished"]
    names = [name for name in dict.fromkeys(table["row"]) if name != baseline]
    lines: list[dict[str, Any]] = []
    for metric in COMPARED:
        values = usable.pivot(index="seed", columns="row", values=metric)
        values = values.reindex(columns=[baseline, *names])
        each = bonferroni(confidence, len(names))
        block = [_effect(values, name, baseline, metric, each) for name in names]
        adjusted = holm([line["p_holm"] for line in block])
        lines += [{**line, "p_holm": p} for line, p in zip(block, adjusted, strict=True)]
    return pd.DataFrame(lines, columns=list(EFFECT_COLUMNS))


def _effect(
    values: pd.DataFrame, name: str, baseline: str, metric: str, confidence: float
) -> dict[str, Any]:
    pairs = values[[baseline, name]].dropna()
    found = paired_interval((pairs[name] - pairs[baseline]).tolist(), confidence)
    is_up_good = metric == "val_accuracy"
    verdict = "within noise"
    if found.low > 0 or found.high < 0:
        verdict = "better" if (found.low > 0) == is_up_good else "worse"
    return {
        "row": name,
        "metric": metric,
        "num_pairs": found.num_pairs,
        "baseline": float(pairs[baseline].mean()),
        "value": float(pairs[name].mean()),
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "p_holm": found.p_value,
        "verdict": verdict,
    }


def baseline_gap(cells: pd.DataFrame, confidence: float) -> dict[str, float]:
    """How far the baseline over-fits: its gap with an interval over seeds, and its loss rise.

    Args:
        cells: see :func:`cells_table`.
        confidence: of the interval.
    """
    is_baseline = (cells["family"] == REGULARIZATION) & (cells["row"] == BASELINE_ROW)
    rows = cells[is_baseline & (cells["status"] == "finished")]
    gap = paired_interval(rows["gap"].tolist(), confidence)
    return {
        "num_seeds": len(rows),
        "train_accuracy": _mean(rows["train_accuracy"]),
        "val_accuracy": _mean(rows["val_accuracy"]),
        "gap": gap.mean,
        "gap_low": gap.low,
        "gap_high": gap.high,
        "loss_rise": _mean(rows["loss_rise"]),
        "val_loss_spread": float(rows["val_loss"].std()) if len(rows) > 1 else float("nan"),
    }


def _mean(values: pd.Series) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
