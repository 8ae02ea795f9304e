"""Figures of a study, as PNG bytes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sftcore.ablation.effects import COMPARED
from sftcore.ablation.run import CellResult
from sftcore.evaluation.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    new_figure,
    own_style,
    plain_label,
    to_png,
)

_TITLES = {
    "val_loss": "validation loss (nats)\n← better",
    "val_accuracy": "validation accuracy\nbetter →",
    "gap": "train − validation accuracy\n← smaller gap",
}
_VERDICT_COLOURS = {"better": GREEN, "worse": RED, "within noise": GREY}


@own_style()
def effects_figure(effects: pd.DataFrame) -> bytes:
    """Differences from the baseline with their intervals, a panel per metric.

    Args:
        effects: see :func:`sftcore.ablation.effects.regularization_effects`.
    """
    names = list(dict.fromkeys(effects["row"]))[::-1]
    figure, axes = new_figure(11, 1.6 + 0.42 * len(names), 1, len(COMPARED))
    for axis, metric in zip(axes.flat, COMPARED, strict=True):
        lines = effects[effects["metric"] == metric].set_index("row").loc[names]
        widest = 3 * lines["difference"].abs().max()
        for place, (_, line) in enumerate(lines.iterrows()):
            colour = _VERDICT_COLOURS[line["verdict"]]
            axis.hlines(place, line["low"], line["high"], color=colour, linewidth=2)
            axis.plot(line["difference"], place, "o", color=colour)
        axis.axvline(0, color="black", linewidth=0.8)
        if np.isfinite(widest) and widest > 0:
            axis.set_xlim(-widest, widest)
        axis.set_yticks(range(len(names)), [plain_label(name) for name in names])
        axis.set_title(_TITLES[metric], fontsize=10)
        if axis is not axes.flat[0]:
            axis.tick_params(labelleft=False)
    figure.suptitle("Difference from the baseline, paired by seed, with simultaneous intervals")
    return to_png(figure)


@own_style()
def gap_figure(cells: pd.DataFrame) -> bytes:
    """Training and validation accuracy by regularization row: points are seeds, lines the gap.

    Args:
        cells: the regularization rows of :func:`sftcore.ablation.effects.cells_table`.
    """
    names = list(dict.fromkeys(cells["row"]))[::-1]
    figure, axes = new_figure(7.5, 1.4 + 0.42 * len(names))
    axis = axes[0, 0]
    for place, name in enumerate(names):
        rows = cells[cells["row"] == name]
        train, val = rows["train_accuracy"], rows["val_accuracy"]
        axis.hlines(place, val.mean(), train.mean(), color="#cccccc", linewidth=3, zorder=1)
        axis.scatter(train, [place] * len(rows), color=BLUE, s=22, zorder=2,
                     label="train" if place == 0 else None)  # fmt: skip
        axis.scatter(val, [place] * len(rows), color=ORANGE, s=22, zorder=2,
                     label="validation" if place == 0 else None)  # fmt: skip
    axis.set_yticks(range(len(names)), [plain_label(name) for name in names])
    axis.set(xlabel="accuracy at the chosen epoch", title="Over-fitting by method")
    axis.legend(frameon=False, fontsize=9, loc="upper center", ncols=2)
    axis.set_ylim(-0.6, len(names) + 0.1)
    return to_png(figure)


@own_style()
def curves_figure(results: Sequence[CellResult]) -> bytes:
    """Training and validation loss of the baseline by epoch, a line per seed.

    Args:
        results: of the whole study.
    """
    figure, axes = new_figure(7.5, 3.8)
    axis = axes[0, 0]
    for result in (r for r in results if r.cell.row.is_baseline):
        epochs = [record.epoch for record in result.history]
        for name, colour in (("train", BLUE), ("val", ORANGE)):
            losses = [getattr(record, f"{name}_loss") for record in result.history]
            axis.plot(epochs, losses, color=colour, alpha=0.8)
        if result.best is not None:
            axis.plot(result.best_epoch, result.best.val_loss, "o", color=ORANGE, markersize=6)
    axis.plot([], [], color=BLUE, label="train")
    axis.plot([], [], color=ORANGE, marker="o", label="validation (dot: chosen epoch)")
    axis.set(xlabel="epoch", ylabel="loss (nats)", title="The baseline's loss, one line per seed")
    axis.legend(frameon=False, fontsize=9)
    return to_png(figure)


@own_style()
def learning_rate_figure(cells: pd.DataFrame, num_classes: int) -> bytes:
    """Last validation loss by learning rate and schedule; crosses are failed seeds.

    Args:
        cells: the learning-rate rows of :func:`sftcore.ablation.effects.cells_table`.
        num_classes: C; guessing has the loss ln C.
    """
    figure, axes = new_figure(7.5, 4)
    axis = axes[0, 0]
    guessing = float(np.log(num_classes))
    failed_at = guessing * 1.12
    colours = (BLUE, ORANGE, GREEN, RED, GREY)
    for (schedule, group), colour in zip(cells.groupby("schedule"), colours, strict=False):
        finished = group[group["status"] == "finished"]
        means = finished.groupby("learning_rate")["last_val_loss"].mean()
        axis.plot(means.index, means, color=colour, label=str(schedule))
        axis.plot(finished["learning_rate"], finished["last_val_loss"], "o", color=colour,
                  markersize=4)  # fmt: skip
        failed = group[group["status"] != "finished"]
        axis.plot(failed["learning_rate"], [failed_at] * len(failed), "x", color=colour)
    axis.axhline(guessing, color=GREY, linestyle="--", linewidth=1)
    axis.text(cells["learning_rate"].min(), guessing, " guessing", va="bottom", fontsize=9,
              color=GREY)  # fmt: skip
    axis.set_xscale("log")
    axis.set_ylim(0, guessing * 1.25)
    axis.set(xlabel="peak learning rate", ylabel="validation loss at the end (nats)")
    axis.set_title("Stability: dots are seeds, crosses seeds that diverged or collapsed")
    axis.legend(frameon=False, fontsize=9)
    return to_png(figure)
