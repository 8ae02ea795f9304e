"""How a kind of examples is shown in the report of the data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from sftcore.data.kinds import Names
from sftcore.data.store import Store
from sftcore.foundations.artifacts import write_csv
from sftcore.foundations.tables import safe_cells
from sftcore.inspection.targets.contract import Prepared, Selection, TargetReport
from sftcore.reporting.parts import Figure, Table

SUSPECTS_FILE = "suspects.csv"


@dataclass(frozen=True)
class Exhibit:
    """Examples as they are shown.

    Attributes:
        figures: sheets of them.
        tables: rows of them.
        text: how many groups are shown, in a sentence.
    """

    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    text: str = ""


class ExampleReport(Protocol):
    """One kind of examples on sheets or in tables."""

    @property
    def per_row(self) -> int:
        """Examples of a class that are shown."""

    def show(self, folder: Path, data: Prepared, selection: Selection) -> Exhibit:
        """Examples of every class or label, or along a number.

        Args:
            folder: gets the files.
            data: that hold them.
            selection: which.
        """

    def show_groups(
        self, folder: Path, data: Prepared, target: TargetReport, members: pd.DataFrame
    ) -> Exhibit:
        """Groups of near-duplicates.

        Args:
            folder: gets the files.
            data: that hold them.
            target: of the examples.
            members: the store's samples in groups of more than one, the largest
                group first.
        """

    def show_suspects(self, folder: Path, store: Store, suspects: pd.DataFrame) -> Exhibit:
        """Examples whose label may be wrong.

        Args:
            folder: gets ``suspects.csv`` and the other files.
            store: that holds them.
            suspects: see :func:`sftcore.inspection.label_report.suspects_table`; may be empty.
        """


def write_suspects(folder: Path, suspects: pd.DataFrame, names: Names) -> Table:
    """Write ``suspects.csv``, with all columns but the row.

    Args:
        folder: gets the file.
        suspects: the least probable label first.
        names: of the kind of examples.
    """
    write_csv(folder / SUSPECTS_FILE, safe_cells(suspects.drop(columns="row")))
    headings = {name: name for name in ("rank", "id", "split", "label", "suggested")}
    headings |= {"id": names.noun, "self_confidence": "probability of the label"}
    caption = f"A row is a {names.noun}; the least probable label comes first."
    return Table(SUSPECTS_FILE, caption, headings)


def file_name(id_: str) -> str:
    """The last part of an example's id."""
    return id_.rsplit("/", 1)[-1]


def groups_table(
    target: TargetReport, data: Prepared, members: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Members of groups with their targets, and heading by column.

    Args:
        target: of the examples.
        data: that hold them.
        members: see :meth:`ExampleReport.show_groups`.
    """
    notes = [target.note(data, sample) for sample in members.to_dict("records")]
    table = pd.DataFrame(
        {
            "group": members["group"],
            "size": members.groupby("group")["row"].transform("size"),
            "split": members["split"],
            target.column: notes,
            "id": members["id"],
        }
    )
    headings = {"group": "group", "split": "split", target.column: target.heading}
    return table, {**headings, "id": data.names.noun}
