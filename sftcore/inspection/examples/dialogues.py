"""Dialogues in tables: what is asked, and what is answered."""

from pathlib import Path

import pandas as pd

from sftcore.data.dialogues.names import DIALOGUE_NAMES
from sftcore.data.store import Store
from sftcore.foundations.artifacts import write_csv
from sftcore.foundations.tables import printable, safe_cells
from sftcore.foundations.turns import read_turns
from sftcore.inspection.examples.contract import Exhibit, groups_table, write_suspects
from sftcore.inspection.examples.texts import MOST_CHARACTERS
from sftcore.inspection.overview import groups_name
from sftcore.inspection.targets.contract import Prepared, Selection, TargetReport
from sftcore.reporting.parts import Table

_CUT = f"Of a longer turn the first {MOST_CHARACTERS} characters are shown."
_HEADINGS = {"turns": "turns", "prompt": "prompt", "answer": "last answer", "id": "name"}


class DialogueReport:
    """See :class:`sftcore.inspection.examples.contract.ExampleReport`."""

    per_row = 4

    def show(self, folder: Path, data: Prepared, selection: Selection) -> Exhibit:
        """A row for each dialogue."""
        rows = [row for of in selection.shown for row in of.rows]
        table = spoken_table(data.store, rows)
        ids = data.store.samples.set_index("row")["id"]
        table["id"] = [ids.at[row] for row in rows]
        write_csv(folder / "dialogues.csv", safe_cells(table))
        return Exhibit(tables=(Table("dialogues.csv", _CUT, _HEADINGS),))

    def show_groups(
        self, folder: Path, data: Prepared, target: TargetReport, members: pd.DataFrame
    ) -> Exhibit:
        """All dialogues in groups, side by side in a table."""
        table, headings = groups_table(target, data, members)
        spoken = spoken_table(data.store, members["row"].tolist())
        for name in ("prompt", "answer"):
            table[name] = spoken[name].to_numpy()
        write_csv(folder / "near_duplicates.csv", safe_cells(table))
        caption = f"Dialogues in groups, the largest group first. {_CUT}"
        headings = {**headings, "id": "name", "prompt": "prompt", "answer": "last answer"}
        text = (
            f"The {members['group'].nunique():,} groups "
            f"({groups_name(data.summary['near_duplicates'])}) in train and validation."
        )
        return Exhibit((), (Table("near_duplicates.csv", caption, headings),), text)

    def show_suspects(self, folder: Path, store: Store, suspects: pd.DataFrame) -> Exhibit:
        """Those of another task's table: answers have no labels."""
        return Exhibit(tables=(write_suspects(folder, suspects, DIALOGUE_NAMES),))


def spoken_table(store: Store, rows: list[int]) -> pd.DataFrame:
    """Columns turns, prompt and answer: what is said before the last answer, and that.

    Args:
        store: that holds them.
        rows: of the store.
    """
    turns = [read_turns(content) for content in store.texts.read(rows)]
    return pd.DataFrame(
        {
            "turns": [len(of) for of in turns],
            "prompt": [_line(" / ".join(said for _, said in of[:-1])) for of in turns],
            "answer": [_line(of[-1][1]) for of in turns],
        }
    )


def _line(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]}…"
