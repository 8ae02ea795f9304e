"""Figures of a training's stability: its updates with the guard's incidents, and range tests."""

from typing import Any

import pandas as pd

from sftcore.reporting.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    new_figure,
    own_style,
    to_png,
)

_MARKERS = {"skip": "x", "clip": "v", "rollback": "<", "give up": "*"}


@own_style()
def updates_figure(updates: pd.DataFrame, incidents: pd.DataFrame) -> bytes:
    """Loss, gradient norm and learning rate of every update, with incidents marked, as PNG.

    Args:
        updates: columns of :class:`sftcore.training.records.UpdateLog`, phase, loss_limit and
            gradient_norm_limit.
        incidents: columns phase, step, loss, gradient_norm, answer.
    """
    figure, axes = new_figure(7.5, 6, 3, 1)
    offsets = _offsets(updates)
    place = [step + offsets[phase] for phase, step in zip(updates["phase"], updates["step"],
                                                          strict=True)]  # fmt: skip
    where = [step + offsets.get(phase, 0) for phase, step in zip(
        incidents["phase"], incidents["step"], strict=True)]  # fmt: skip
    for axis, name, colour, title in (
        (axes[0, 0], "loss", BLUE, "loss as trained on"),
        (axes[1, 0], "gradient_norm", ORANGE, "gradient norm, before clipping"),
        (axes[2, 0], "learning_rate", GREEN, "learning rate"),
    ):
        values = updates[name]
        axis.plot(place, values, color=colour, linewidth=1, alpha=0.8)
        if name != "learning_rate":
            axis.plot(place, updates[f"{name}_limit"], color=GREY, linewidth=1, linestyle="--",
                      label="limit of the guard")  # fmt: skip
            _mark(axis, where, incidents, name)
            axis.legend(frameon=False, fontsize=8, ncols=5, loc="lower right",
                        bbox_to_anchor=(1, 1))  # fmt: skip
        if name != "learning_rate" and len(values) and values.min() > 0:
            axis.set_yscale("log")
        axis.set_title(title, loc="left", fontsize=10)
    axes[2, 0].set_xlabel("update")
    return to_png(figure)


def _offsets(updates: pd.DataFrame) -> dict[str, int]:
    """Where each phase begins on the axis: behind the last update of the one before."""
    begins, end = {}, 0
    for phase, group in updates.groupby("phase", sort=False):
        begins[str(phase)] = end
        end += int(group["step"].max()) + 1
    return begins


def _mark(axis: Any, where: list[int], incidents: pd.DataFrame, name: str) -> None:
    """Incidents at their value; those that are not finite at the upper edge."""
    for answer, group in incidents.assign(place=where).groupby("answer", sort=False):
        finite = group[pd.notna(group[name]) & (group[name].abs() < float("inf"))]
        marker = _MARKERS.get(str(answer), "o")
        axis.plot(finite["place"], finite[name], marker, color=RED, label=str(answer))
        for place in set(group["place"]) - set(finite["place"]):
            axis.axvline(place, color=RED, linestyle=":", linewidth=1)


@own_style()
def range_test_figure(tests: pd.DataFrame, suggestions: pd.DataFrame) -> bytes:
    """Loss by learning rate, a panel per phase, with both suggestions, as PNG.

    Args:
        tests: columns phase, learning_rate, loss, smoothed.
        suggestions: columns phase, steepest, valley, learning_rate (used; NaN where not known).
    """
    phases = list(suggestions["phase"])
    figure, axes = new_figure(5 * len(phases), 3.8, 1, len(phases))
    for axis, phase in zip(axes.flat, phases, strict=True):
        curve = tests[tests["phase"] == phase]
        axis.plot(curve["learning_rate"], curve["loss"], color="#cccccc", label="batch")
        axis.plot(curve["learning_rate"], curve["smoothed"], color=BLUE, label="smoothed")
        line = suggestions[suggestions["phase"] == phase].iloc[0]
        for name, colour, style in (
            ("valley", GREEN, "-"), ("steepest", ORANGE, "--"), ("learning_rate", GREY, ":"),
        ):  # fmt: skip
            if pd.notna(line[name]):
                label = "used" if name == "learning_rate" else name
                axis.axvline(line[name], color=colour, linestyle=style, linewidth=1.3,
                             label=f"{label} {line[name]:.2g}")  # fmt: skip
        axis.set(xscale="log", xlabel="learning rate", title=f"{phase} phase")
        if len(curve):
            axis.set_ylim(0, 1.3 * curve["smoothed"].iloc[: max(1, len(curve) // 2)].max())
        axis.legend(frameon=False, fontsize=8)
    axes[0, 0].set_ylabel("loss as trained on")
    return to_png(figure)
