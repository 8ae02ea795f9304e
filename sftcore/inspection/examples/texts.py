"""Texts in tables."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from sftcore.data.store import Store
from sftcore.data.texts.names import TEXT_NAMES
from sftcore.foundations.artifacts import write_csv
from sftcore.foundations.tables import printable, safe_cells
from sftcore.inspection.examples.contract import Exhibit, groups_table, write_suspects
from sftcore.inspection.overview import groups_name
from sftcore.inspection.targets.contract import Prepared, Selection, TargetReport
from sftcore.reporting.parts import Table

MOST_CHARACTERS = 200  # of a text that are shown
_MOST_ROWS = 120  # on the page; all are in the CSV
_CUT = f"Of a longer text the first {MOST_CHARACTERS} characters are shown."


class TextReport:
    """See :class:`sftcore.inspection.examples.contract.ExampleReport`."""

    per_row = 4

    def show(self, folder: Path, data: Prepared, selection: Selection) -> Exhibit:
        """A row for each text, with the name of what it has in common with others."""
        ids = data.store.samples.set_index("row")["id"]
        has_notes = any(of.notes for of in selection.shown)
        rows = [
            {selection.noun: of.name, "value": float(note), "text": text, "id": ids.at[row]}
            for of in selection.shown
            for row, note, text in zip(
                of.rows,
                of.notes or ["nan"] * len(of.rows),
                shortened(data.store, of.rows),
                strict=True,
            )
        ]
        names = [selection.noun, *(["value"] if has_notes else []), "text", "id"]
        write_csv(folder / "texts.csv", safe_cells(pd.DataFrame(rows, columns=names)))
        headings = {**{name: name for name in names}, "id": "name"}
        return Exhibit(tables=(Table("texts.csv", _CUT, headings, most_rows=_MOST_ROWS),))

    def show_groups(
        self, folder: Path, data: Prepared, target: TargetReport, members: pd.DataFrame
    ) -> Exhibit:
        """All texts in groups, side by side in a table."""
        table, headings = groups_table(target, data, members)
        table["text"] = shortened(data.store, members["row"].tolist())
        write_csv(folder / "near_duplicates.csv", safe_cells(table))
        caption = f"Texts in groups, the largest group first. {_CUT}"
        headings = {**headings, "id": "name", "text": "text"}
        text = (
            f"The {members['group'].nunique():,} groups "
            f"({groups_name(data.summary['near_duplicates'])}) in train and validation."
        )
        return Exhibit((), (Table("near_duplicates.csv", caption, headings),), text)

    def show_suspects(self, folder: Path, store: Store, suspects: pd.DataFrame) -> Exhibit:
        """All of them in a table, each with its text."""
        texts = shortened(store, suspects["row"].tolist())
        table = write_suspects(folder, suspects.assign(text=texts), TEXT_NAMES)
        headings = {**table.columns, "id": "name", "text": "text"}
        return Exhibit(
            tables=(replace(table, caption=f"{table.caption} {_CUT}", columns=headings),)
        )


def shortened(store: Store, rows: tuple[int, ...] | list[int]) -> list[str]:
    """Texts on one line each, cut where they are long.

    Args:
        store: that holds them.
        rows: of the store.
    """
    found = []
    for text in store.texts.read(rows):
        line = printable(" ".join(text.split()))
        found.append(line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]}…")
    return found
