"""The table of predictions: a row for every example, also for those that have no answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from sftcore.evaluation.predict import Seen
from sftcore.foundations.artifacts import CSV_FLOAT_FORMAT
from sftcore.foundations.tables import printable, safe_cells
from sftcore.use.contract import REASON, Usage
from sftcore.use.opening import Opened


@dataclass(frozen=True)
class RowMaker:
    """Makes lines of CSV.

    Attributes:
        usage: of the model's task.
        decision: the rules with what the distance is measured to, or None without rules.
        with_probabilities: whether the network's own probabilities of all outputs stand there too.
        notes: names of what is said of how the network sees an example.
    """

    usage: Usage[Any, Any]
    decision: tuple[Any, Tensor] | None
    with_probabilities: bool
    notes: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        columns = self.usage.columns(
            has_rules=self.decision is not None, with_probabilities=self.with_probabilities
        )
        at = columns.index(REASON)
        return [*columns[:at], *self.notes, *columns[at:]]

    @property
    def header(self) -> str:
        """The first line."""
        return ",".join(self.columns) + "\n"

    def lines(self, opened: Sequence[Opened], seen: Seen | None) -> list[str]:
        """A line for each example, in their order.

        Args:
            opened: files or rows of tables.
            seen: what the network says of those of them that could be read; None without any.
        """
        table = pd.DataFrame(
            {
                "file": [of.named.name for of in opened],
                REASON: [printable(of.reason) for of in opened],
            }
            | {name: [of.notes.get(name) for of in opened] for name in self.notes}
        )
        is_read = np.array([of.example is not None for of in opened])
        if seen is not None:
            answers = pd.DataFrame(
                self.usage.cells(seen, self.decision), index=np.flatnonzero(is_read)
            )
            table = table.join(answers)
        table = safe_cells(table.reindex(columns=self.columns))
        text = table.to_csv(
            header=False, index=False, lineterminator="\n", float_format=CSV_FLOAT_FORMAT
        )
        return [f"{line}\n" for line in text.split("\n")[:-1]]  # no cell holds a line end
