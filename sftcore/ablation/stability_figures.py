"""The stability map, as PNG bytes."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap

from sftcore.reporting.drawing import (
    GREEN,
    new_figure,
    own_style,
    plain_label,
    to_png,
)

_MAP = LinearSegmentedColormap.from_list("loss", ["#f3f8fb", "#9ecae1", "#fdd0a2", "#d55e00"])


@own_style()
def stability_figure(table: pd.DataFrame, guessing: float, loss_unit: str = "nats") -> bytes:
    """Heat map of the last loss by learning rate and answer, a panel per schedule.

    Numbers are the loss, and in how many replicates it failed or ended worse than the head alone;
    the outline is around what is safe.

    Args:
        table: see :func:`sftcore.ablation.stability.stability_map`.
        guessing: loss of guessing, where colours end.
        loss_unit: of both.
    """
    schedules = list(dict.fromkeys(table["schedule"]))
    answers = list(dict.fromkeys(table["answer"]))
    rates = sorted(table["learning_rate"].unique())
    width = 2.2 + len(schedules) * (0.95 * len(rates) + 0.4)
    figure, axes = new_figure(width, 1.7 + 0.62 * len(answers), 1, len(schedules), share=True)
    probe = float(table["probe_loss"].iloc[0])
    least = min(float(table["last_loss"].min(skipna=True)), 0.9 * guessing)
    least = least if np.isfinite(least) else 0.0
    image = None
    for axis, schedule in zip(axes.flat, schedules, strict=True):
        lines = table[table["schedule"] == schedule].set_index(["answer", "learning_rate"])
        losses = np.full((len(answers), len(rates)), np.nan)
        is_safe = np.zeros_like(losses, dtype=bool)
        for row, answer in enumerate(answers):
            for column, rate in enumerate(rates):
                line = lines.loc[(answer, rate)]
                losses[row, column] = line["last_loss"]
                is_safe[row, column] = line["is_safe"]
                axis.text(column, row, _text(line), ha="center", va="center", fontsize=8)
        image = axis.imshow(
            np.clip(np.nan_to_num(losses, nan=guessing), 0, guessing), cmap=_MAP,
            vmin=least, vmax=guessing, aspect="auto",
        )  # fmt: skip
        _outline(axis, is_safe)
        axis.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        axis.set_yticks(range(len(answers)), [plain_label(answer) for answer in answers])
        axis.set_title(plain_label(schedule), fontsize=10)
        axis.grid(False)
        axis.tick_params(length=0)
    figure.supxlabel("peak learning rate", fontsize=9)
    figure.suptitle(f"Loss at the end (the head alone: {probe:.2f}); outlined: safe", fontsize=11)
    if image is not None:
        bar = figure.colorbar(image, ax=axes, shrink=0.8)
        bar.set_label(f"loss, {loss_unit} (darkest: guessing or worse)", fontsize=8)
    return to_png(figure)


def _text(line: pd.Series) -> str:
    failed = int(line["num_diverged"] + line["num_collapsed"])
    loss = line["last_loss"]
    shown = "–" if np.isnan(loss) else f"{loss:.2f}" if loss < 10 else f"{loss:.0e}"
    if failed:
        return f"{shown}\n{failed}/{int(line['num_replicates'])} fail"
    worse = int(line["num_worse"])
    return f"{shown}\n{worse}/{int(line['num_replicates'])} worse" if worse else shown


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
