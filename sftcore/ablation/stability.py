"""What is stable, and how much runs differ by their seeds alone: two tables and their sentences."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from sftcore.ablation.plan import ALL_SOURCES, SOURCES, SPREAD, STABILITY
from sftcore.grids import BASELINE_ROW

MAX_SWING_NATS = 0.5  # a larger rise of validation loss within one epoch counts as unstable


def stability_map(cells: pd.DataFrame) -> pd.DataFrame:
    """Every learning rate, schedule and answer: what it reached and whether it is stable.

    Stable means that no seed diverged or collapsed and that validation loss never rose by more
    than :data:`MAX_SWING_NATS` within one epoch.

    Args:
        cells: see :func:`sftcore.ablation.effects.cells_table`.

    Returns:
        Columns answer, schedule, learning_rate, num_seeds, num_diverged, num_collapsed,
        failed_fraction, val_loss, val_accuracy, last_val_loss, max_swing, num_incidents,
        clipped_fraction, batch_norm_gap, is_stable, in the order of the grid. Means over the seeds
        that have a value; the worst for ``max_swing``, the sum for ``num_incidents``.
    """
    table = cells[cells["family"] == STABILITY]
    lines = []
    for (answer, schedule, rate), group in table.groupby(
        ["answer", "schedule", "learning_rate"], sort=False
    ):
        num_diverged = int((group["status"] == "diverged").sum())
        num_collapsed = int((group["status"] == "collapsed").sum())
        swing = float(group["max_swing"].max())
        lines.append(
            {
                "answer": answer,
                "schedule": schedule,
                "learning_rate": float(rate),
                "num_seeds": len(group),
                "num_diverged": num_diverged,
                "num_collapsed": num_collapsed,
                "failed_fraction": (num_diverged + num_collapsed) / len(group),
                "val_loss": float(group["val_loss"].mean()),
                "val_accuracy": float(group["val_accuracy"].mean()),
                "last_val_loss": float(group["last_val_loss"].mean()),
                "max_swing": swing,
                "num_incidents": int(group["num_incidents"].sum()),
                "clipped_fraction": float(group["clipped_fraction"].mean()),
                "batch_norm_gap": float(group["batch_norm_gap"].mean()),
                "is_stable": num_diverged + num_collapsed == 0 and swing <= MAX_SWING_NATS,
            }
        )
    return pd.DataFrame(lines)


def stability_sentence(table: pd.DataFrame) -> str:
    """Up to which rate each schedule is safe alone and with each answer, and what fails beyond.

    Args:
        table: see :func:`stability_map`.
    """
    parts = []
    for schedule, group in table.groupby("schedule", sort=False):
        alone = group[group["answer"] == BASELINE_ROW]
        text = f"{schedule}: {_reach(alone)} is safe"
        faults = [f"{line.learning_rate:g} {_fault(line)}" for line in _unstable(alone)]
        if faults:
            text += f"; {', '.join(faults)}"
        answers = [
            f"with {answer} {_reach(lines)}"
            for answer, lines in group.groupby("answer", sort=False)
            if answer != BASELINE_ROW
        ]
        if answers:
            text += f". Safe {', '.join(answers)}"
        parts.append(text + _survivors(group))
    return f"{'. '.join(parts)}." if parts else ""


def _reach(lines: pd.DataFrame) -> str:
    """The rates that are stable: up to one of them, or which if a lower one is not."""
    ordered = lines.sort_values("learning_rate")
    safe = [rate for rate, is_stable in zip(ordered["learning_rate"], ordered["is_stable"],
                                            strict=True) if is_stable]  # fmt: skip
    if not safe:
        return "no rate"
    if ordered["is_stable"].iloc[: len(safe)].all():
        return f"up to {safe[-1]:g}"
    return f"at {' and '.join(f'{rate:g}' for rate in safe)}"


def _unstable(lines: pd.DataFrame) -> list[Any]:
    return [line for line in lines.sort_values("learning_rate").itertuples() if not line.is_stable]


def _survivors(group: pd.DataFrame) -> str:
    """The largest rate at which all seeds fail alone, and with which answers none does."""
    alone = group[(group["answer"] == BASELINE_ROW) & (group["failed_fraction"] == 1)]
    if alone.empty:
        return ""
    rate = alone["learning_rate"].max()
    saved = group[(group["learning_rate"] == rate) & (group["failed_fraction"] == 0)]
    if saved.empty:
        return f". Nothing survives {rate:g}"
    seeds = alone.loc[alone["learning_rate"] == rate, "num_seeds"].iloc[0]
    return (
        f". {rate:g}, which fails in every seed alone, survives in {seeds} of {seeds} seeds with "
        f"{', '.join(saved['answer'])}"
    )


def _fault(line: Any) -> str:
    failed = [
        f"{verb} in {count} of {line.num_seeds} seeds"
        for verb, count in (("diverges", line.num_diverged), ("collapses", line.num_collapsed))
        if count
    ]
    if failed:
        return " and ".join(failed)
    return f"swings (validation loss rises by {line.max_swing:.2f} in an epoch)"


def seed_spread(cells: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Standard deviations over seeds, of all sources of randomness together and of each alone.

    Args:
        cells: see :func:`sftcore.ablation.effects.cells_table`.
        confidence: of the interval of each deviation, for normal values (chi-squared).

    Returns:
        Columns source, num_seeds, num_failed, val_loss, val_loss_spread, low, high, val_accuracy,
        val_accuracy_spread. No rows if the grid does not ask.
    """
    table = cells[cells["family"] == SPREAD]
    lines = []
    for source, group in table.groupby("row", sort=False):
        finished = group[group["status"] == "finished"]
        spread = float(finished["val_loss"].std()) if len(finished) > 1 else float("nan")
        low, high = _spread_interval(spread, len(finished), confidence)
        lines.append(
            {
                "source": source,
                "num_seeds": len(group),
                "num_failed": len(group) - len(finished),
                "val_loss": float(finished["val_loss"].mean()),
                "val_loss_spread": spread,
                "low": low,
                "high": high,
                "val_accuracy": float(finished["val_accuracy"].mean()),
                "val_accuracy_spread": float(finished["val_accuracy"].std()),
            }
        )
    return pd.DataFrame(lines)


def _spread_interval(spread: float, count: int, confidence: float) -> tuple[float, float]:
    """``s·√((n − 1)/χ²)`` at both quantiles."""
    if count < 2:
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    quantiles = chi2.ppf([1 - tail, tail], count - 1)
    low, high = spread * np.sqrt((count - 1) / quantiles)
    return float(low), float(high)


def spread_sentence(table: pd.DataFrame, confidence: float) -> str:
    """The run-to-run spread as a number, and which source of it matters.

    Args:
        table: see :func:`seed_spread`.
        confidence: of the intervals.
    """
    if table.empty:
        return ""
    by_source = table.set_index("source")
    whole = by_source.loc[ALL_SOURCES]
    text = (
        f"Runs that differ by their seeds alone have a standard deviation of "
        f"{whole['val_loss_spread']:.3f} nats of validation loss ({confidence:.0%} interval "
        f"{whole['low']:.3f} to {whole['high']:.3f}) and {whole['val_accuracy_spread']:.3f} of "
        f"accuracy ({whole['num_seeds']:.0f} seeds)"
    )
    alone = by_source.loc[[s for s in SOURCES if s in by_source.index]]
    alone = alone.sort_values("val_loss_spread", ascending=False)
    listing = ", ".join(f"{name} {line['val_loss_spread']:.3f}" for name, line in alone.iterrows())
    text += f". By one source alone: {listing}"
    if len(alone) < 2:
        return f"{text}."
    if alone["low"].iloc[0] > alone["high"].iloc[1:].max():
        return f"{text}: {alone.index[0]} matters most."
    return f"{text}; their intervals overlap, so which matters most cannot be said."
