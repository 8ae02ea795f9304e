"""The stability map and the spread over seeds, as PNG bytes."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap

from sftcore.evaluation.drawing import (
    BLUE,
    GREEN,
    RED,
    new_figure,
    own_style,
    plain_label,
    to_png,
)

_MAP = LinearSegmentedColormap.from_list("loss", ["#f3f8fb", "#9ecae1", "#fdd0a2", "#d55e00"])


@own_style()
def stability_figure(table: pd.DataFrame, num_classes: int) -> bytes:
    """Heat map of the last validation loss by learning rate and answer, a panel per schedule.

    Numbers are the loss, and how many seeds failed; the outline is around what is stable.

    Args:
        table: see :func:`sftcore.ablation.stability.stability_map`.
        num_classes: C; colours end at the loss of guessing, ln C.
    """
    schedules = list(dict.fromkeys(table["schedule"]))
    answers = list(dict.fromkeys(table["answer"]))
    rates = sorted(table["learning_rate"].unique())
    width = 2.2 + len(schedules) * (0.95 * len(rates) + 0.4)
    figure, axes = new_figure(width, 1.7 + 0.62 * len(answers), 1, len(schedules), share=True)
    guessing = float(np.log(num_classes))
    least = min(float(table["last_val_loss"].min(skipna=True)), 0.9 * guessing)
    least = least if np.isfinite(least) else 0.0
    image = None
    for axis, schedule in zip(axes.flat, schedules, strict=True):
        lines = table[table["schedule"] == schedule].set_index(["answer", "learning_rate"])
        losses = np.full((len(answers), len(rates)), np.nan)
        is_stable = np.zeros_like(losses, dtype=bool)
        for row, answer in enumerate(answers):
            for column, rate in enumerate(rates):
                line = lines.loc[(answer, rate)]
                losses[row, column] = line["last_val_loss"]
                is_stable[row, column] = line["is_stable"]
                axis.text(column, row, _text(line), ha="center", va="center", fontsize=8)
        image = axis.imshow(
            np.clip(np.nan_to_num(losses, nan=guessing), 0, guessing), cmap=_MAP,
            vmin=least, vmax=guessing, aspect="auto",
        )  # fmt: skip
        _outline(axis, is_stable)
        axis.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        axis.set_yticks(range(len(answers)), [plain_label(answer) for answer in answers])
        axis.set_title(plain_label(schedule), fontsize=10)
        axis.grid(False)
        axis.tick_params(length=0)
    figure.supxlabel("peak learning rate", fontsize=9)
    figure.suptitle("Validation loss at the end; failed seeds; outlined: stable", fontsize=11)
    if image is not None:
        bar = figure.colorbar(image, ax=axes, shrink=0.8)
        bar.set_label("nats (darkest: guessing or worse)", fontsize=8)
    return to_png(figure)


def _text(line: pd.Series) -> str:
    failed = int(line["num_diverged"] + line["num_collapsed"])
    loss = line["last_val_loss"]
    shown = "–" if np.isnan(loss) else f"{loss:.2f}" if loss < 10 else f"{loss:.0e}"
    return f"{shown}\n{failed}/{int(line['num_seeds'])} fail" if failed else shown


def _outline(axis: Any, is_inside: np.ndarray) -> None:
    """A line along every edge between an inner cell and the outside."""
    padded = np.pad(is_inside, 1)
    for row, column in zip(*np.nonzero(is_inside), strict=True):
        here = row + 1, column + 1
        left, right, top, bottom = column - 0.5, column + 0.5, row - 0.5, row + 0.5
        edges = {
            (0, -1): ([left, left], [top, bottom]),
            (0, 1): ([right, right], [top, bottom]),
            (-1, 0): ([left, right], [top, top]),
            (1, 0): ([left, right], [bottom, bottom]),
        }
        for (down, along), (x, y) in edges.items():
            if not padded[here[0] + down, here[1] + along]:
                axis.plot(x, y, color=GREEN, linewidth=3, solid_capstyle="projecting",
                          clip_on=False)  # fmt: skip


@own_style()
def spread_figure(cells: pd.DataFrame) -> bytes:
    """Validation loss of every seed by what it decided; bars are standard deviations.

    Args:
        cells: rows of the spread in :func:`sftcore.ablation.effects.cells_table`.
    """
    sources = list(dict.fromkeys(cells["row"]))[::-1]
    figure, axes = new_figure(7.5, 1.4 + 0.45 * len(sources))
    axis = axes[0, 0]
    for place, source in enumerate(sources):
        losses = cells[(cells["row"] == source) & (cells["status"] == "finished")]["val_loss"]
        axis.hlines(place, losses.mean() - losses.std(), losses.mean() + losses.std(),
                    color="#cccccc", linewidth=6, zorder=1)  # fmt: skip
        axis.scatter(losses, [place] * len(losses), color=BLUE, s=22, zorder=2)
        num_failed = len(cells[cells["row"] == source]) - len(losses)
        if num_failed:
            axis.annotate(f"{num_failed} failed", (1, place), xycoords=("axes fraction", "data"),
                          color=RED, fontsize=8, ha="right")  # fmt: skip
    axis.set_yticks(range(len(sources)), [plain_label(source) for source in sources])
    axis.set(xlabel="validation loss (nats)", title="What the seed decides: one dot per seed")
    return to_png(figure)
