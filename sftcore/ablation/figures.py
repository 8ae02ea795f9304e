"""Figures of a study, as PNG bytes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from sftcore.ablation.data_size import PowerLaw
from sftcore.ablation.effects import BETTER, WORSE
from sftcore.ablation.plan import DATA_SIZE
from sftcore.ablation.table import FINISHED, trained_rows
from sftcore.reporting.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    new_figure,
    note,
    own_style,
    plain_label,
    to_png,
)
from sftcore.settings.grids import BASELINE_ROW, PROBE_ROW, row_words
from sftcore.tasks.contract import Task, is_less_better

_ERROR_TICKS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5,
                0.6, 0.7, 0.8, 0.9, 1.0)  # fmt: skip
_VERDICT_COLOURS = {BETTER: GREEN, WORSE: RED}


@own_style()
def effects_figure(effects: pd.DataFrame, title: str, task: type[Task]) -> bytes:
    """Differences with their intervals, a panel per metric; coloured by the row's verdict.

    An interval that is far wider than the others is cut off, with an arrow where it goes on.

    Args:
        effects: see :func:`sftcore.ablation.effects.effects_table`.
        title: what is compared with what.
        task: knows the metrics.
    """
    names = list(dict.fromkeys(effects["row"]))[::-1]
    metrics = [metric for metric in task.metrics() if metric in set(effects["metric"])]
    columns = min(2, len(metrics))
    rows = -(-len(metrics) // columns)
    figure, axes = new_figure(7.5, 1.2 + rows * (0.9 + 0.32 * len(names)), rows, columns)
    for axis in axes.flat[len(metrics) :]:
        axis.axis("off")
    for axis, metric in zip(axes.flat, metrics, strict=False):
        lines = effects[effects["metric"] == metric].set_index("row").loc[names]
        least, most = _limits(lines)
        for place, (_, line) in enumerate(lines.iterrows()):
            colour = _VERDICT_COLOURS.get(line["verdict"], GREY)
            low, high = max(line["low"], least), min(line["high"], most)
            axis.hlines(place, low, high, color=colour, linewidth=2)
            axis.plot(line["difference"], place, "o", color=colour)
            for end, edge, marker in ((line["low"], least, "<"), (line["high"], most, ">")):
                if not least <= end <= most:
                    axis.plot(edge, place, marker, color=colour, clip_on=False)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_xlim(least, most)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_yticks(range(len(names)), [plain_label(shown_row(name, task)) for name in names])
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.set_title(_panel(metric, task).replace("\n", ", "), fontsize=10)
        if axis not in axes[:, 0]:
            axis.tick_params(labelleft=False)
    figure.suptitle(title, fontsize=11)
    note(
        figure,
        f"line: interval over new {task.examples} and new seeds; arrow: it goes on beyond the axis",
    )
    return to_png(figure)


def _limits(lines: pd.DataFrame) -> tuple[float, float]:
    """An axis that holds 0, all means, and intervals up to four times the median width."""
    ends = lines[["low", "high", "difference"]].dropna()
    if ends.empty:
        return -1.0, 1.0
    reach = 2 * float((ends["high"] - ends["low"]).median())
    low = np.maximum(ends["low"], ends["difference"] - reach).min()
    high = np.minimum(ends["high"], ends["difference"] + reach).max()
    least, most = min(float(low), 0.0), max(float(high), 0.0)
    margin = 0.06 * (most - least) or 1.0
    return least - margin, most + margin


def shown_row(name: str, task: type[Task]) -> str:
    """A row's name as people read it."""
    return row_words(task).get(name, name)


def _panel(metric: str, task: type[Task]) -> str:
    """A metric over its panel, and where it is better."""
    name = f"loss ({task.loss_unit})" if metric == "loss" else task.words[metric]
    return f"{name}\n← better" if is_less_better(metric) else f"{name}\nbetter →"


@own_style()
def screen_figure(table: pd.DataFrame, task: type[Task]) -> bytes:
    """Mean differences of the screen in loss and headline; filled where a row was confirmed.

    Args:
        table: see :func:`sftcore.ablation.screen.screen_table`, with a column ``is_confirmed``.
        task: knows the metrics.
    """
    lines = table[table["row"] != BASELINE_ROW][::-1]
    figure, axes = new_figure(9, 1.4 + 0.34 * max(len(lines), 1), 1, 2)
    for axis, metric in zip(axes.flat, ("loss", task.scores[0]), strict=True):
        for place, (_, line) in enumerate(lines.iterrows()):
            face = BLUE if line["is_confirmed"] else "white"
            axis.plot(line[f"{metric}_difference"], place, "o", color=BLUE, markerfacecolor=face)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks(range(len(lines)), [plain_label(str(name)) for name in lines["row"]])
        axis.set_ylim(-0.6, max(len(lines), 1) - 0.4)
        axis.set_title(_panel(metric, task), fontsize=10)
        if metric != "loss":
            axis.tick_params(labelleft=False)
    figure.suptitle("The screen: mean difference from its baseline; filled: confirmed", fontsize=11)
    return to_png(figure)


@own_style()
def gap_figure(cells: pd.DataFrame, task: type[Task]) -> bytes:
    """The headline score on training pictures and on those that had no say, by confirmed row.

    Args:
        cells: see :func:`sftcore.ablation.table.cells_table`.
        task: knows the metrics.
    """
    cells = trained_rows(cells[cells["status"] == FINISHED])
    names = list(dict.fromkeys(cells["row"]))[::-1]
    figure, axes = new_figure(7.5, 1.6 + 0.42 * len(names))
    axis = axes[0, 0]
    for place, name in enumerate(names):
        rows = cells[cells["row"] == name]
        train, judged = rows[f"train_{task.scores[0]}"], rows[task.scores[0]]
        axis.hlines(place, judged.mean(), train.mean(), color="#cccccc", linewidth=3, zorder=1)
        axis.scatter(train, [place] * len(rows), color=BLUE, s=22, zorder=2,
                     label=f"training {task.examples}" if place == 0 else None)  # fmt: skip
        axis.scatter(judged, [place] * len(rows), color=ORANGE, s=22, zorder=2,
                     label=f"{task.examples} that had no say" if place == 0 else None)  # fmt: skip
    axis.set_yticks(range(len(names)), [plain_label(shown_row(name, task)) for name in names])
    axis.set(
        xlabel=f"{task.words[task.scores[0]]} at the chosen epoch",
        title="The gap: one dot per replicate",
    )
    if names:
        axis.legend(frameon=False, fontsize=9, loc="upper center", ncols=2)
    axis.set_ylim(-0.6, len(names) + 0.1)
    return to_png(figure)


@own_style()
def calibration_figure(cells: pd.DataFrame, task: type[Task]) -> bytes:
    """Loss of every confirmed row as trained and at a temperature; means over replicates.

    Args:
        cells: see :func:`sftcore.ablation.table.cells_table`.
        task: knows the metrics.
    """
    cells = trained_rows(cells[cells["status"] == FINISHED])
    means = cells.groupby("row", sort=False)[["loss", "loss_scaled"]].mean()[::-1]
    figure, axes = new_figure(7.5, 1.6 + 0.36 * len(means))
    axis, place = axes[0, 0], range(len(means))
    axis.hlines(place, means["loss_scaled"], means["loss"], color="#cccccc", linewidth=3, zorder=1)
    axis.scatter(means["loss"], place, color=BLUE, s=28, label="as trained", zorder=2)
    axis.scatter(means["loss_scaled"], place, color=GREEN, s=28, label="at temperature", zorder=2)
    axis.set_yticks(place, [plain_label(shown_row(str(name), task)) for name in means.index])
    axis.set(
        xlabel=f"loss ({task.loss_unit}) on {task.examples} that had no say",
        ylim=(-0.6, len(means) + 0.1),
    )
    axis.legend(frameon=False, fontsize=9, loc="upper center", ncols=2)
    return to_png(figure)


@own_style()
def data_size_figure(cells: pd.DataFrame, laws: Sequence[PowerLaw], task: type[Task]) -> bytes:
    """What is left of the headline score to 1 by number of training pictures, in logarithms.

    A law is drawn through its range, and dashed to twice its end only where the fit supports it.

    Args:
        cells: see :func:`sftcore.ablation.table.cells_table`.
        laws: see :func:`sftcore.ablation.data_size.fit_power_laws`.
        task: names the headline score.
    """
    table = cells[(cells["family"] == DATA_SIZE) & (cells["status"] == FINISHED)]
    figure, axes = new_figure(7, 4)
    axis = axes[0, 0]
    for name, colour, label in (
        (BASELINE_ROW, BLUE, "your recipe"),
        (PROBE_ROW, ORANGE, task.probe_phrase()),
    ):
        points = table[table["row"] == name]
        if points.empty:
            continue
        axis.plot(points["num_train"], 1 - points[task.scores[0]], "o", color=colour, alpha=0.3,
                  markersize=4)  # fmt: skip
        means = points.groupby("fraction")[["num_train", task.scores[0]]].mean()
        axis.plot(means["num_train"], 1 - means[task.scores[0]], "o", color=colour, label=label)
        for law in (law for law in laws if law.row == name):
            inside = np.geomspace(points["num_train"].min(), law.num_train)
            axis.plot(inside, law.scale * inside**-law.exponent.mean, "-", color=colour)
            if law.is_supported:
                beyond = np.geomspace(law.num_train, 2 * law.num_train)
                axis.plot(beyond, law.scale * beyond**-law.exponent.mean, "--", color=colour)
    axis.set(xscale="log", yscale="log", xlabel=f"training {task.examples}", ylabel=task.remainder)
    sizes = list(table.groupby("fraction")["num_train"].mean())
    if any(law.is_supported for law in laws):
        sizes.append(2 * max(sizes))
    axis.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
    axis.minorticks_off()
    low, high = axis.get_ylim()
    ticks = [tick for tick in _ERROR_TICKS if low <= tick <= high]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_title("Does more data help? Equal work at every size; small dots: replicates")
    axis.legend(frameon=False, fontsize=9)
    return to_png(figure)
