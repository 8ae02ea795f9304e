"""One class for each example, in the report of the data."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sftcore.inspection.choice import choose_of_classes
from sftcore.inspection.overview import count_lines, count_table
from sftcore.inspection.targets.contract import Prepared, Selection

MOST_SHOWN = 80  # classes or labels
SPLIT_HEADINGS = {"train": "train", "val": "validation", "test": "test", "all": "all"}


class ClassReport:
    """See :class:`sftcore.inspection.targets.contract.TargetReport`."""

    plural = "classes"
    column, heading = "label", "class"
    score = "accuracy"
    right = "right"

    def begin(self, data: Prepared) -> str:
        """Examples and classes."""
        count, names = data.num_examples, data.names
        return f"{count:,} {names.plural} of {data.summary['num_classes']:,} classes."

    def table(self, data: Prepared) -> pd.DataFrame:
        """Examples of every class by split."""
        return count_table(data.summary["classes"], "class")

    def caption(self, data: Prepared) -> tuple[str, dict[str, str]]:
        """The smallest class is first."""
        caption = f"{data.names.plural.capitalize()} of each class, the smallest first."
        return caption, {"class": "class", **SPLIT_HEADINGS}

    def lines(self, data: Prepared) -> list[str]:
        """Examples of the classes by split."""
        table = self.table(data)
        total = f"all {len(table)} classes"
        return count_lines(table, data.summary["splits"], data.names, self.plural, total)

    def select(self, data: Prepared, per_row: int) -> Selection:
        """A row of every class."""
        return select_of_each(data, data.store.samples, per_row, "class", self.plural)

    def note(self, data: Prepared, sample: Mapping[Any, Any]) -> str:
        """The class's name."""
        return str(sample["label"])


def select_of_each(
    data: Prepared,
    samples: pd.DataFrame,
    per_row: int,
    noun: str,
    plural: str,
    chosen_by: str = "the hash of their content",
) -> Selection:
    """Some examples of every class or label.

    Args:
        data: whose classes or labels are counted.
        samples: with the name of one in the column ``label``.
        per_row: examples of each.
        noun: class or label.
        plural: classes or labels.
        chosen_by: what says which of them; the column ``sha256`` is hashed.
    """
    shown = choose_of_classes(samples, MOST_SHOWN, per_row)
    examples = data.names.plural
    text = [
        f"Up to {per_row} {examples} of every {noun} from train and validation, chosen by "
        f"{chosen_by}. {examples.capitalize()} of the test split are not shown."
    ]
    if len(shown) < len(data.store.names):
        text.append(
            f"{len(shown)} of {len(data.store.names):,} {plural}, chosen by the hash of their name."
        )
    title = f"{examples.capitalize()} of every {noun}"
    return Selection(title, tuple(text), noun, "of those shown, by name", shown)
