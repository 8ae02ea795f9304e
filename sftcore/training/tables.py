"""A finished training as tables: epochs, updates, incidents, range tests, candidates."""

import math
from collections.abc import Mapping
from dataclasses import asdict, fields

import pandas as pd

from sftcore.stability.guard import (
    GuardSettings,
    Incident,
    Seen,
    loss_limit,
    norm_limit,
    remember_update,
)
from sftcore.training.records import FitResult, columns_of

_NONE = (math.nan, math.nan)


def updates_table(result: FitResult, guard: GuardSettings) -> pd.DataFrame:
    """One row per update that led to the last parameters, with the guard's limits.

    Args:
        result: of the training.
        guard: whose limits for a whole batch are added as ``loss_limit``, over which a loss is
            high, and ``gradient_norm_limit``; NaN at the first update of a phase, which nothing can
            be compared with.
    """
    phases = {record.epoch: record.phase for record in result.history}
    table = pd.DataFrame(vars(result.updates))
    whole = table.astype({"epoch": int, "step": int, "is_clipped": int})
    whole.insert(0, "phase", [phases[epoch] for epoch in whole["epoch"]])
    limits: list[tuple[float, float]] = []
    for _, group in whole.groupby("phase", sort=False):
        seen = Seen()
        for loss, norm in zip(group["loss"], group["gradient_norm"], strict=True):
            has_any = bool(seen.losses)
            limits.append((loss_limit(seen, guard), norm_limit(seen, guard)) if has_any else _NONE)
            seen = remember_update(seen, loss, norm, guard)
    names = ["loss_limit", "gradient_norm_limit"]
    return whole.join(pd.DataFrame(limits, columns=names, index=whole.index, dtype=float))


def incidents_table(
    result: FitResult, ids: Mapping[int, str], examples: str = "pictures"
) -> pd.DataFrame:
    """One row per incident of the guard, in the order in which they happened.

    Args:
        result: of the training.
        ids: names of the store's training rows.
        examples: what these are called: the column that names those of the batch, beside their
            numbers in ``rows``.
    """
    columns = [field.name for field in fields(Incident) if field.name != "rows"]
    table = pd.DataFrame([asdict(i) for i in result.incidents], columns=columns)
    table["rows"] = [" ".join(map(str, incident.rows)) for incident in result.incidents]
    table[examples] = [
        " | ".join(ids.get(row, "planted") for row in i.rows) for i in result.incidents
    ]
    return table


def range_test_tables(result: FitResult) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The curves of all range tests, and their suggestions beside the rate that was used."""
    curves = [
        pd.DataFrame(
            {"phase": t.phase, "learning_rate": t.rates, "loss": t.losses, "smoothed": t.smoothed}
        )
        for t in result.range_tests
    ]
    used: dict[str, float] = {}
    for epoch, rate in zip(result.updates.epoch, result.updates.learning_rate, strict=True):
        phase = result.history[int(epoch)].phase
        used[phase] = max(rate, used.get(phase, 0.0))
    suggestions = [
        {"phase": t.phase, "steepest": t.steepest, "valley": t.valley,
         "learning_rate": used.get(t.phase, math.nan)}
        for t in result.range_tests
    ]  # fmt: skip
    return pd.concat(curves, ignore_index=True), pd.DataFrame(suggestions)


def candidates_table(result: FitResult) -> pd.DataFrame:
    """Parameters that the training could end with, one row each; ``is_chosen`` marks the model."""
    table = pd.DataFrame([columns_of(candidate) for candidate in result.candidates])
    table["epochs"] = [" ".join(map(str, c.epochs)) for c in result.candidates]
    table.insert(0, "is_chosen", [i == result.chosen for i in range(len(table))])
    return table


def history_table(result: FitResult) -> pd.DataFrame:
    """The history as a table, one row per epoch."""
    return pd.DataFrame([columns_of(record) for record in result.history])
