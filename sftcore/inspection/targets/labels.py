"""Any number of labels for each example, in the report of the data."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from sftcore.inspection.overview import count_lines, count_table
from sftcore.inspection.targets.classes import SPLIT_HEADINGS, select_of_each
from sftcore.inspection.targets.contract import Prepared, Selection


class LabelReport:
    """See :class:`sftcore.inspection.targets.contract.TargetReport`."""

    plural = column = heading = "labels"
    score = "exact match"
    right = "right in all labels"

    def begin(self, data: Prepared) -> str:
        """Examples and labels, and how many an example has."""
        mean = self.table(data)["all"].sum() / data.num_examples
        bare = int((data.store.samples["labels"] == "[]").sum())
        return (
            f"{data.num_examples:,} {data.names.plural} of {data.summary['num_labels']:,} labels, "
            f"with {mean:.2f} each on average."
            + (f" Without any: {bare:,} of train and validation." if bare else "")
        )

    def table(self, data: Prepared) -> pd.DataFrame:
        """Examples with every label by split."""
        return count_table(data.summary["labels"], "label")

    def caption(self, data: Prepared) -> tuple[str, dict[str, str]]:
        """The rarest label is first."""
        caption = (
            f"{data.names.plural.capitalize()} with each label, the rarest first; one with several "
            "counts for each of them."
        )
        return caption, {"label": "label", **SPLIT_HEADINGS}

    def lines(self, data: Prepared) -> list[str]:
        """Examples with the labels by split."""
        total = f"all {data.names.plural}"
        table, splits = self.table(data), data.summary["splits"]
        return count_lines(table, splits, data.names, self.plural, total)

    def select(self, data: Prepared, per_row: int) -> Selection:
        """A row of every label; an example with several may stand in several."""
        samples = data.store.samples
        of_each = samples.assign(label=samples["labels"].map(json.loads)).explode("label")
        return select_of_each(data, of_each.dropna(subset=["label"]), per_row, "label", self.plural)

    def note(self, data: Prepared, sample: Mapping[Any, Any]) -> str:
        """The labels in alphabetical order."""
        return ", ".join(json.loads(sample["labels"])) or "no label"
