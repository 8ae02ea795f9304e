"""The screen: what looks worth confirming. Estimates, no verdict."""

from collections.abc import Sequence

import pandas as pd

from sftcore.ablation.plan import SCREEN, Row
from sftcore.ablation.table import FINISHED
from sftcore.settings.grids import ALL_TOGETHER_ROW, BASELINE_ROW, WITHOUT, Changes
from sftcore.tasks.contract import Task, is_less_better


def screen_table(
    rows: Sequence[Row], cells: pd.DataFrame, metric: str, task: type[Task]
) -> pd.DataFrame:
    """A line per row and setting: means, and mean differences from the baseline by replicate.

    Args:
        rows: of the screen.
        cells: see :func:`sftcore.ablation.table.cells_table`.
        metric: that ``gain`` is in; above 0 is better.
        task: knows the metrics.

    Returns:
        ``setting`` in words; loss and headline score, and their differences. A setting that failed
        anywhere has no gain.
    """
    table, headline = cells[cells["family"] == SCREEN], task.scores[0]
    usable = table[table["status"] == FINISHED]
    base = usable[usable["row"] == BASELINE_ROW].set_index("replicate")
    lines = []
    for row in rows:
        own = (table["row"] == row.name) & (table["setting"] == row.setting)
        group, finished = table[own], usable[own.loc[usable.index]].set_index("replicate")
        failed = len(group) - len(finished)
        differences = {m: float((finished[m] - base[m]).mean()) for m in {"loss", headline, metric}}
        gain = -differences[metric] if is_less_better(metric) else differences[metric]
        lines.append({
            "row": row.name,
            "setting": in_words(row.changes),
            "num_replicates": len(group),
            "num_failed": failed,
            "num_on_last_epoch": int(group["ends_on_last"].sum()),
            "loss": float(finished["loss"].mean()),
            headline: float(finished[headline].mean()),
            "loss_difference": differences["loss"],
            f"{headline}_difference": differences[headline],
            "gain": float("nan") if failed else gain,
        })  # fmt: skip
    return pd.DataFrame(lines)


def choose_rows(rows: Sequence[Row], table: pd.DataFrame, num_rows: int) -> dict[str, Changes]:
    """Changes of the rows that look best, best first, each by its best setting.

    Rows that look no better than the baseline are left out, and so are those made of several
    others: what is composed is composed of the best.

    Args:
        rows: of the screen, in the order of the table.
        table: see :func:`screen_table`.
        num_rows: most that are chosen.
    """
    ranked = sorted(
        (
            (gain, row)
            for row, gain in zip(rows, table["gain"], strict=True)
            if gain > 0 and row.changes and not _is_made_of_others(row)
        ),
        key=lambda pair: -pair[0],
    )
    best: dict[str, Changes] = {}
    for _, row in ranked:
        if len(best) < num_rows:
            best.setdefault(row.name, row.changes)
    return best


def _is_made_of_others(row: Row) -> bool:
    return row.name == ALL_TOGETHER_ROW or row.name.startswith(WITHOUT)


def in_words(changes: Changes) -> str:
    """Changes as one line."""
    return ", ".join(f"{name} {value}" for name, value in changes.items())
