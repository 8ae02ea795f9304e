"""Figures of a study, as PNG bytes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sftcore.ablation.cells import CellResult
from sftcore.ablation.data_size import PowerLaw
from sftcore.ablation.effects import COMPARED
from sftcore.ablation.plan import DATA_SIZE, REGULARIZATION
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
_ERROR_TICKS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5,
                0.6, 0.7, 0.8, 0.9, 1.0)  # fmt: skip
_VERDICT_COLOURS = {"better": GREEN, "worse": RED, "within noise": GREY}


@own_style()
def effects_figure(effects: pd.DataFrame, title: str) -> bytes:
    """Differences from the baseline with their intervals, a panel per metric.

    Args:
        effects: see :func:`sftcore.ablation.effects.paired_effects`.
        title: what the rows are.
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
    figure.suptitle(f"{title}: difference from the baseline, with simultaneous intervals")
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
    """Training and validation loss by epoch, a panel per regularization row, mean over seeds.

    Args:
        results: of the whole study; seeds that stopped early are left out.
    """
    shown = [r for r in results if r.cell.row.family == REGULARIZATION and not r.diverged]
    names = list(dict.fromkeys(result.cell.row.name for result in shown))
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, axes = new_figure(2.9 * columns, 2.2 * rows + 0.4, rows, columns, share=True)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, names, strict=False):
        histories = [r.history for r in shown if r.cell.row.name == name]
        length = min(len(history) for history in histories)
        for split, colour in (("train", BLUE), ("val", ORANGE)):
            losses = [[getattr(e, f"{split}_loss") for e in h[:length]] for h in histories]
            axis.plot(range(length), np.mean(losses, axis=0), color=colour, label=split)
        axis.set_title(plain_label(name), fontsize=10)
    axes[0, 0].legend(frameon=False, fontsize=8)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("loss (nats)", fontsize=9)
    return to_png(figure)


@own_style()
def calibration_figure(cells: pd.DataFrame) -> bytes:
    """Calibration error of every row, as trained and at a fitted temperature; means over seeds.

    Args:
        cells: the regularization rows of :func:`sftcore.ablation.effects.cells_table`.
    """
    means = cells.groupby("row", sort=False)[["ece", "ece_scaled"]].mean()[::-1]
    figure, axes = new_figure(7.5, 1.4 + 0.36 * len(means))
    axis, place = axes[0, 0], range(len(means))
    axis.hlines(place, means["ece_scaled"], means["ece"], color="#cccccc", linewidth=3, zorder=1)
    axis.scatter(means["ece"], place, color=BLUE, s=28, label="as trained", zorder=2)
    axis.scatter(means["ece_scaled"], place, color=GREEN, s=28, label="at temperature", zorder=2)
    axis.set_yticks(place, [plain_label(str(name)) for name in means.index])
    axis.set(xlabel="expected calibration error, validation", ylim=(-0.6, len(means) + 0.1))
    axis.set_xlim(left=0)
    axis.legend(frameon=False, fontsize=9, loc="upper center", ncols=2)
    return to_png(figure)


@own_style()
def data_size_figure(cells: pd.DataFrame, laws: Sequence[PowerLaw]) -> bytes:
    """Error rate by number of training pictures in logarithms, with the fitted power laws.

    Args:
        cells: see :func:`sftcore.ablation.effects.cells_table`.
        laws: see :func:`sftcore.ablation.data_size.fit_power_laws`.
    """
    table = cells[(cells["family"] == DATA_SIZE) & (cells["status"] == "finished")]
    figure, axes = new_figure(7, 4)
    axis = axes[0, 0]
    for (name, points), colour in zip(
        table.groupby("row", sort=False), (BLUE, ORANGE, GREEN, RED, GREY), strict=False
    ):
        label = plain_label(str(name))
        axis.plot(points["num_train"], 1 - points["val_accuracy"], "o", color=colour, label=label)
        for law in (law for law in laws if law.row == name):
            inside = np.geomspace(points["num_train"].min(), law.num_train)
            beyond = np.geomspace(law.num_train, 2 * law.num_train)
            for part, style in ((inside, "-"), (beyond, "--")):
                axis.plot(part, law.scale * part ** -law.exponent[0], style, color=colour)
    axis.set(xscale="log", yscale="log", xlabel="training pictures", ylabel="validation error")
    sizes = table.groupby("fraction")["num_train"].mean()
    marks = [*sizes, 2 * sizes.max()] if laws else list(sizes)
    axis.set_xticks(marks, [f"{mark:.0f}" for mark in marks])
    axis.minorticks_off()
    low, high = axis.get_ylim()
    ticks = [tick for tick in _ERROR_TICKS if low <= tick <= high]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_title("Does more data help? One dot per seed; dashed: extrapolated")
    axis.legend(frameon=False, fontsize=9)
    return to_png(figure)
