"""Numbers for each example, in the report of the data.

Those of the test split stay shut: only train and validation are described.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sftcore.inspection.choice import choose_along
from sftcore.inspection.overview import NAME_WIDTH, NUM_ENDS, cells, padded, split_lines
from sftcore.inspection.targets.contract import Prepared, Selection

MOST_SHOWN = 24  # numbers
_ROWS_EACH = 3
QUANTILES = {"low": 0.05, "quarter": 0.25, "median": 0.5, "three_quarters": 0.75, "high": 0.95}
_OPEN = ("train", "val")
_TERMINAL = ("least", "median", "mean", "most")
_HEADINGS = {
    "number": "number", "split": "split", "count": "count", "least": "least", "low": "5 %",
    "quarter": "25 %", "median": "median", "three_quarters": "75 %", "high": "95 %",
    "most": "most", "mean": "mean",
}  # fmt: skip


class NumberReport:
    """See :class:`sftcore.inspection.targets.contract.TargetReport`."""

    plural = column = heading = "numbers"
    score = "error"
    right = ""

    def begin(self, data: Prepared) -> str:
        """Examples and numbers."""
        count = len(data.store.names)
        what = f"{count:,} number{'s' * (count > 1)} each"
        return f"{data.num_examples:,} {data.names.plural} with {what}."

    def table(self, data: Prepared) -> pd.DataFrame:
        """Quantiles of every number in train and validation."""
        samples = data.store.samples
        rows = [
            {"number": name, "split": split, **quantiles(samples[name][samples["split"] == split])}
            for name in data.store.names
            for split in _OPEN
        ]
        return pd.DataFrame(rows, columns=list(_HEADINGS))

    def caption(self, data: Prepared) -> tuple[str, dict[str, str]]:
        """A row is a number in a split."""
        caption = (
            "Each number in train and validation; those of the test split stay shut. A quantile is "
            f"the least of them that so many {data.names.plural} do not exceed."
        )
        return caption, _HEADINGS

    def lines(self, data: Prepared) -> list[str]:
        """Least, median, mean and most of the numbers, and the sizes of the splits."""
        shown = [
            padded(f"  {row['number']}, {row['split']}") + cells([row[name] for name in _TERMINAL])
            for row in self.table(data).to_dict("records")
        ]
        between = len(data.store.names) - 2 * NUM_ENDS
        if between > 1:
            step = NUM_ENDS * len(_OPEN)
            shown = [*shown[:step], f"  ... {between:,} numbers between ...", *shown[-step:]]
        header = f"{'number':<{NAME_WIDTH}}" + cells(_TERMINAL)
        total = f"all {data.names.plural}"
        return [header, *shown, *split_lines(data.summary["splits"], data.num_examples, total)]

    def select(self, data: Prepared, per_row: int) -> Selection:
        """Rows of every number, from its least to its most."""
        count, examples = _ROWS_EACH * per_row, data.names.plural
        names = data.store.names[:MOST_SHOWN]
        text = [
            f"Up to {count} {examples} from train and validation for every number, from its least "
            f"to its most at even distances by rank. {examples.capitalize()} of the test split are "
            "not shown."
        ]
        if len(names) < len(data.store.names):
            text.append(f"The first {len(names)} of {len(data.store.names):,} numbers.")
        return Selection(
            f"{examples.capitalize()} from the least to the most",
            tuple(text),
            "number",
            "of those shown, each from its least to its most",
            [choose_along(data.store.samples, name, count) for name in names],
        )

    def note(self, data: Prepared, sample: Mapping[Any, Any]) -> str:
        """The numbers in the order of their names."""
        return ", ".join(f"{name} {sample[name]:g}" for name in data.store.names)


def quantiles(numbers: pd.Series) -> dict[str, float]:
    """Count, least, some quantiles, most and mean; NaN of none.

    A quantile is one of the numbers: the least that at least such a part of them does not exceed
    (Hyndman and Fan, 1996, Sample quantiles in statistical packages, definition 1), so that no
    machine rounds it.

    Args:
        numbers: any number of them, in any order.
    """
    values = numbers.to_numpy(dtype=np.float64)
    if not len(values):
        return {"count": 0}
    found = np.quantile(values, list(QUANTILES.values()), method="inverted_cdf").tolist()
    return {
        "count": len(values),
        "least": float(values.min()),
        **dict(zip(QUANTILES, found, strict=True)),
        "most": float(values.max()),
        "mean": math.fsum(values.tolist()) / len(values),
    }
