"""What is stable: every rate, schedule and answer against the head alone."""

import pandas as pd

from sftcore.ablation.plan import PROBE_ROW, STABILITY
from sftcore.ablation.table import COLLAPSED, DIVERGED
from sftcore.grids import BASELINE_ROW
from sftcore.metrics.intervals import failure_bound

_LINE = 100  # characters of a terminal's line
STABILITY_COLUMNS = ("answer", "schedule", "learning_rate", "num_replicates", "num_diverged",
                     "num_collapsed", "num_worse", "failure_bound", "last_loss", "last_accuracy",
                     "probe_loss", "num_incidents", "clipped_fraction", "batch_norm_gap",
                     "is_safe")  # fmt: skip


def stability_map(cells: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Every learning rate, schedule and answer: where it ended, and against the head alone.

    Safe means that in every replicate the last epoch's loss is below that of the head alone on the
    same pictures, which had no say in either.

    Args:
        cells: see :func:`sftcore.ablation.table.cells_table`.
        confidence: of the upper bound of the rate of failures (diverged or collapsed).

    Returns:
        The columns :data:`STABILITY_COLUMNS` in the order of the grid; ``num_worse`` counts the
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
            "last_accuracy": float(group["last_accuracy"].mean()),
            "probe_loss": float(probe.mean()),
            "num_incidents": int(group["num_incidents"].sum()),
            "clipped_fraction": float(group["clipped_fraction"].mean()),
            "batch_norm_gap": float(group["batch_norm_gap"].mean()),
            "is_safe": num_failed == 0 and num_better == len(group),
        })  # fmt: skip
    return pd.DataFrame(lines, columns=list(STABILITY_COLUMNS))


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
    """Up to which rate the recipe is safe, and what makes higher rates safe.

    Args:
        table: see :func:`stability_map`.
    """
    if table.empty:
        return ""
    alone = _safe_rates(table[table["answer"] == BASELINE_ROW])
    count = int(table["num_replicates"].iloc[0])
    text = f"Rates better than the head alone in {count} of {count}: {_listed(alone)}"
    helpers: dict[str, list[str]] = {}
    for answer, group in table.groupby("answer", sort=False):
        more = [rate for rate in _safe_rates(group) if rate not in alone]
        if answer != BASELINE_ROW and more:
            helpers.setdefault(_listed(more), []).append(str(answer))
    added = [f"; with {', '.join(names)} also {rates}" for rates, names in helpers.items()]
    if len(text) + len("".join(added)) >= _LINE:
        added = [f"; with {len(names)} answers also {rates}" for rates, names in helpers.items()]
    if len(text) + len("".join(added)) >= _LINE:
        added = ["; more with answers: see the map"]
    return f"{text}{''.join(added)}."


def _safe_rates(group: pd.DataFrame) -> list[float]:
    """Rates that are safe under every schedule of the map, rising."""
    safe = group.groupby("learning_rate")["is_safe"].all()
    return [float(rate) for rate in safe.index[safe.to_numpy(dtype=bool)]]


def _listed(rates: list[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates) or "none"
