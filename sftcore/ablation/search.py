"""Choosing among the settings that a row lists: by validation loss, on seeds of their own."""

from collections.abc import Mapping, Sequence

import pandas as pd

from sftcore.ablation.plan import Row
from sftcore.parameter_types import Scalar


def choose_settings(
    searched: Mapping[str, Sequence[Row]], cells: pd.DataFrame
) -> tuple[dict[str, dict[str, Scalar]], pd.DataFrame]:
    """The setting of each row with the least mean validation loss; one that failed is out.

    Args:
        searched: the settings of each row that lists several.
        cells: see :func:`sftcore.ablation.effects.cells_table`.

    Returns:
        What each row changes, and a table of all settings: columns row, setting, num_seeds,
        num_failed, val_loss, is_chosen.
    """
    chosen: dict[str, dict[str, Scalar]] = {}
    lines = []
    for name, settings in searched.items():
        tried = []
        for row in settings:
            group = cells[(cells["family"] == row.family) & (cells["row"] == row.name)]
            failed = int((group["status"] != "finished").sum())
            loss = float("inf") if failed else float(group["val_loss"].mean())
            tried.append((loss, row))
            lines.append(
                {
                    "row": name,
                    "setting": ", ".join(f"{key} {value}" for key, value in row.changes.items()),
                    "num_seeds": len(group),
                    "num_failed": failed,
                    "val_loss": float(group["val_loss"].mean()),
                }
            )
        best = min(range(len(tried)), key=lambda index: tried[index][0])
        chosen[name] = tried[best][1].changes
        for index, line in enumerate(lines[-len(tried) :]):
            line["is_chosen"] = index == best
    return chosen, pd.DataFrame(lines)
