"""Loss by epoch of the confirmed rows, as a table and as a figure."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sftcore.ablation.cells import CellResult
from sftcore.ablation.figures import shown_row
from sftcore.ablation.plan import CONFIRM
from sftcore.reporting.drawing import BLUE, ORANGE, new_figure, own_style, plain_label, to_png
from sftcore.tasks.contract import Task

_COLUMNS = ["row", "epoch", "num_replicates", "train_loss", "val_loss"]


def curves_table(results: Sequence[CellResult]) -> pd.DataFrame:
    """Means over the replicates of each confirmed row, as far as all of them came.

    Args:
        results: of the whole study; trainings that stopped early are left out.

    Returns:
        Columns row, epoch (0 is the head alone), num_replicates, train_loss and val_loss; NaN where
        an epoch was not measured on training pictures.
    """
    histories: dict[str, list[CellResult]] = {}
    for result in results:
        row = result.cell.row
        if row.family == CONFIRM and not row.is_probe and not result.diverged:
            histories.setdefault(row.name, []).append(result)
    lines = []
    for name, group in histories.items():
        for epoch in range(min(len(result.history) for result in group)):
            records = [result.history[epoch] for result in group]
            lines.append([
                name, epoch, len(group),
                float(np.mean([record.train_loss for record in records])),
                float(np.mean([record.val_loss for record in records])),
            ])  # fmt: skip
    return pd.DataFrame(lines, columns=_COLUMNS)


@own_style()
def curves_figure(table: pd.DataFrame, task: type[Task]) -> bytes:
    """A panel per confirmed row.

    Args:
        table: see :func:`curves_table`.
    """
    names = list(dict.fromkeys(table["row"]))
    columns = max(1, min(3, len(names)))
    rows = max(1, -(-len(names) // columns))
    figure, axes = new_figure(2.5 * columns, 2.2 * rows + 0.6, rows, columns, share=True)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, names, strict=False):
        lines = table[table["row"] == name]
        for split, colour, label in (("train", BLUE, "training"), ("val", ORANGE, "choosing")):
            known = lines.dropna(subset=f"{split}_loss")
            axis.plot(known["epoch"], known[f"{split}_loss"], color=colour, label=label)
        axis.set_title(plain_label(shown_row(name, task)), fontsize=10)
    if names:
        axes[0, 0].legend(frameon=False, fontsize=8)
    figure.supxlabel("epoch; 0 is the head alone", fontsize=9)
    figure.supylabel(f"loss ({task.loss_unit})", fontsize=9)
    return to_png(figure)
