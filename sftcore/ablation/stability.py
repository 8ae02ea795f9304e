"""What is stable: every rate, schedule and answer against the head alone."""

import pandas as pd

from sftcore.ablation.plan import STABILITY
from sftcore.ablation.table import COLLAPSED, DIVERGED
from sftcore.metrics.intervals import failure_bound
from sftcore.settings.grids import BASELINE_ROW, PROBE_ROW
from sftcore.tasks.contract import Task


def stability_columns(task: type[Task]) -> list[str]:
    """Columns of the map."""
    return ["answer", "schedule", "learning_rate", "num_replicates", "num_diverged",
            "num_collapsed", "num_worse", "failure_bound", "last_loss", f"last_{task.scores[0]}",
            "probe_loss", "num_incidents", "clipped_fraction", "batch_norm_gap",
            "is_safe"]  # fmt: skip


def stability_map(cells: pd.DataFrame, confidence: float, task: type[Task]) -> pd.DataFrame:
    """Every learning rate, schedule and answer: where it ended, and against the head alone.

    Safe means that in every replicate the last epoch's loss is below that of the head alone on the
    same pictures, which had no say in either.

    Args:
        cells: see :func:`sftcore.ablation.table.cells_table`.
        confidence: of the upper bound of the rate of failures (diverged or collapsed).
        task: names the headline score.

    Returns:
        The columns of :func:`stability_columns` in the order of the grid; ``num_worse`` counts the
        replicates that did not fail and ended no better than the head alone. Means are over the
        replicates that have a value; ``num_incidents`` is a sum.
    """
    table = cells[cells["family"] == STABILITY]
    probe = table[table["row"] == PROBE_ROW].set_index("replicate")["loss"]
    lines = []
    for (answer, schedule, rate), group in table[table["row"] != PROBE_ROW].groupby(
        ["answer", "schedule", "learning_rate"], sort=False
    ):
        diverged = int((group["status"] == DIVERGED).sum())
        collapsed = int((group["status"] == COLLAPSED).sum())
        num_failed = diverged + collapsed
        ended = group.set_index("replicate")["last_loss"]
        num_better = int((ended < probe.reindex(ended.index)).sum())
        is_failed = group["status"].isin([DIVERGED, COLLAPSED]).to_numpy()
        num_worse = int((~(ended < probe.reindex(ended.index)).to_numpy() & ~is_failed).sum())
        lines.append({
            "answer": answer,
            "schedule": schedule,
            "learning_rate": float(rate),
            "num_replicates": len(group),
            "num_diverged": diverged,
            "num_collapsed": collapsed,
            "num_worse": num_worse,
            "failure_bound": failure_bound(num_failed, len(group), confidence),
            "last_loss": float(ended.mean()),
            f"last_{task.scores[0]}": float(group[f"last_{task.scores[0]}"].mean()),
            "probe_loss": float(probe.mean()),
            "num_incidents": int(group["num_incidents"].sum()),
            "clipped_fraction": float(group["clipped_fraction"].mean()),
            "batch_norm_gap": float(group["batch_norm_gap"].mean()),
            "is_safe": num_failed == 0 and num_better == len(group),
        })  # fmt: skip
    return pd.DataFrame(lines, columns=stability_columns(task))


def stability_words(table: pd.DataFrame) -> pd.DataFrame:
    """The map in words: a line per schedule and answer, a column per rate.

    Args:
        table: see :func:`stability_map`.
    """
    lines = []
    for (schedule, answer), group in table.groupby(["schedule", "answer"], sort=False):
        cells = {f"{line.learning_rate:g}": _cell(line) for line in group.itertuples()}
        shown = "nothing" if answer == BASELINE_ROW else answer
        lines.append({"schedule": schedule, "answer": shown, **cells})
    return pd.DataFrame(lines)


def _cell(line: object) -> str:
    count = getattr(line, "num_replicates")  # noqa: B009 - a row of itertuples has no type
    diverged, collapsed = getattr(line, "num_diverged"), getattr(line, "num_collapsed")  # noqa: B009
    if getattr(line, "is_safe"):  # noqa: B009
        return "safe"
    parts = [
        f"{verb} in {num} of {count}"
        for verb, num in (
            ("diverges", diverged),
            ("collapses", collapsed),
            ("worse than the head alone", getattr(line, "num_worse")),  # noqa: B009
        )
        if num
    ]
    return ", ".join(parts)


def stability_sentence(table: pd.DataFrame) -> str:
    """Which rates of the recipe are safe, and the answer that makes most others safe.

    Args:
        table: see :func:`stability_map`.
    """
    if table.empty:
        return ""
    rates = sorted(table["learning_rate"].unique().tolist())
    safe = {str(name): _safe_rates(group) for name, group in table.groupby("answer", sort=False)}
    alone = safe.pop(BASELINE_ROW)
    text = f"Safe in all {int(table['num_replicates'].iloc[0])} replicates: {_listed(alone, rates)}"
    added = {name: len(set(found) - set(alone)) for name, found in safe.items()}
    best = max(added, key=lambda name: added[name], default="")  # the first of equals
    if added.get(best):
        text = f"{text}; with {best} {_listed(safe[best], rates)}"
    return f"{text}."


def _safe_rates(group: pd.DataFrame) -> list[float]:
    """Rates that are safe under every schedule of the map, rising."""
    safe = group.groupby("learning_rate")["is_safe"].all()
    return [float(rate) for rate in safe.index[safe.to_numpy(dtype=bool)]]


def _listed(safe: list[float], rates: list[float]) -> str:
    """Neighbours on the map as a range, others one by one."""
    if not safe:
        return "no rate of the map"
    inside = [rate for rate in rates if safe[0] <= rate <= safe[-1]]
    if len(safe) > 2 and safe == inside:
        return f"rate {safe[0]:g} to {safe[-1]:g}"
    return "rate " + ", ".join(f"{rate:g}" for rate in safe)
