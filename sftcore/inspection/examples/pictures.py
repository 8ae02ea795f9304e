"""Pictures on contact sheets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from sftcore.data.pictures.names import PICTURE_NAMES
from sftcore.data.store import Store
from sftcore.foundations.artifacts import write_bytes, write_csv
from sftcore.foundations.tables import safe_cells
from sftcore.inspection.annotated import how_drawn, is_annotated, legend_of, picture_shown
from sftcore.inspection.choice import Shown, choose_groups
from sftcore.inspection.examples.contract import (
    SUSPECTS_FILE,
    Exhibit,
    file_name,
    groups_table,
    write_suspects,
)
from sftcore.inspection.overview import groups_name
from sftcore.inspection.sheets import Cell, Layout, Legend, Row, draw_sheet, pack, wrap
from sftcore.inspection.targets.contract import Prepared, Selection, TargetReport
from sftcore.reporting.parts import Figure, Table

_OF_CLASSES = Layout(title_width=136, cell_width=71, picture_size=66, num_lines=0)
_OF_GROUPS = Layout(title_width=0, cell_width=123, picture_size=84, num_lines=3)
_OF_ANNOTATED = Layout(title_width=136, cell_width=106, picture_size=100, num_lines=0)
_OF_ANNOTATED_GROUPS = replace(_OF_GROUPS, picture_size=115)
_OF_REFUSED = Layout(title_width=0, cell_width=164, picture_size=96, num_lines=2)
_OF_SUSPECTS = Layout(title_width=0, cell_width=141, picture_size=96, num_lines=3)
_MOST_SUSPECTS = 63
_CLASS_ROWS_A_SHEET = 20
_ROWS_A_SHEET, _MOST_GROUPS = 12, 72
MOST_REFUSED = 36
_GROUPS_FILE = "near_duplicates.csv"


@dataclass(frozen=True)
class RefusedPicture:
    """A refused picture that could be opened.

    Attributes:
        id: of the picture.
        reason: why it was refused.
        image: uint8 [S, S, 3].
    """

    id: str
    reason: str
    image: np.ndarray


class PictureReport:
    """See :class:`sftcore.inspection.examples.contract.ExampleReport`."""

    per_row = _OF_CLASSES.num_columns

    def show(self, folder: Path, data: Prepared, selection: Selection) -> Exhibit:
        """Rows of pictures, each with the name of what they have in common."""
        has_notes = any(of.notes for of in selection.shown)
        layout = _OF_ANNOTATED if is_annotated(data.store) else _OF_CLASSES
        layout = replace(layout, num_lines=int(has_notes))
        of_each = [_rows(data.store, of, layout) for of in selection.shown]
        step = _CLASS_ROWS_A_SHEET // max(map(len, of_each), default=1)
        chunks = [of_each[start : start + step] for start in range(0, len(of_each), step)]
        sheets = [[row for rows in chunk for row in rows] for chunk in chunks]
        legends = [
            legend_of(data.store, [row for of in selection.shown[a : a + step] for row in of.rows])
            for a in range(0, len(of_each), step)
        ]
        files = _write_sheets(folder, "pictures", sheets, layout, legends)
        plural = "Classes" if selection.noun == "class" else f"{selection.noun.capitalize()}s"
        captions = [
            f"{plural} {a + 1} to {min(a + step, len(of_each))} {selection.order}."
            + _how(data.store)
            for a in range(0, len(of_each), step)
        ]
        return Exhibit(tuple(Figure(*pair) for pair in zip(files, captions, strict=True)))

    def show_groups(
        self, folder: Path, data: Prepared, target: TargetReport, members: pd.DataFrame
    ) -> Exhibit:
        """The largest groups side by side, and all of them in a table."""
        table, headings = groups_table(target, data, members)
        write_csv(folder / _GROUPS_FILE, safe_cells(table))
        layout = _OF_ANNOTATED_GROUPS if is_annotated(data.store) else _OF_GROUPS
        samples = data.store.samples
        shown = choose_groups(samples, _MOST_GROUPS, layout.num_columns)
        by_row = {sample["row"]: sample for sample in members.to_dict("records")}
        groups = []
        for of in shown:
            here = [by_row[row] for row in of.rows]
            lines = [(file_name(sample["id"]), target.note(data, sample),
                      f"{number} of {of.num_all:,}, {sample['split']}")
                     for number, sample in enumerate(here, start=1)]  # fmt: skip
            groups.append(_cells(data.store, of.rows, lines, layout))
        rows = pack(groups, layout)
        sheets = [rows[i : i + _ROWS_A_SHEET] for i in range(0, len(rows), _ROWS_A_SHEET)]
        legend = legend_of(data.store, [row for of in shown for row in of.rows])
        legends = [legend] * len(sheets)
        files = _write_sheets(folder, "near_duplicates", sheets, layout, legends)
        caption = f"An empty place parts two groups.{_how(data.store)}"
        return Exhibit(
            tuple(Figure(file, caption) for file in files),
            (Table(_GROUPS_FILE, "Pictures in groups, the largest group first.", headings),),
            f"The {len(shown)} largest of {members['group'].nunique():,} groups "
            f"({groups_name(data.summary['near_duplicates'])}) in train and validation, up to "
            f"{layout.num_columns} pictures of each with file name and {target.heading}.",
        )  # fmt: skip

    def show_suspects(self, folder: Path, store: Store, suspects: pd.DataFrame) -> Exhibit:
        """The first of them as a contact sheet, and all in a table."""
        table = write_suspects(folder, suspects, PICTURE_NAMES)
        first = suspects.head(_MOST_SUSPECTS)
        if first.empty:
            return Exhibit(tables=(table,))
        cells = [
            Cell(
                np.asarray(store.images[one.row]),
                (file_name(one.id), one.label, f"→ {one.suggested}"),
            )
            for one in first.itertuples()
        ]
        write_bytes(folder / "suspects.png", draw_sheet(wrap(cells, _OF_SUSPECTS), _OF_SUSPECTS))
        caption = (
            f"The first {len(first)} of {len(suspects):,}, by rank: file name, label, and (→) the "
            "class that the probe finds most probable."
        )
        return Exhibit((Figure("suspects.png", caption, SUSPECTS_FILE),), (table,))


def refused_figure(folder: Path, refused: Sequence[RefusedPicture]) -> Figure:
    """Refused pictures with their reasons.

    Args:
        folder: gets the file.
        refused: at least one, and at most :data:`MOST_REFUSED`.
    """
    cells = [Cell(one.image, (file_name(one.id), one.reason)) for one in refused]
    write_bytes(folder / "refused.png", draw_sheet(wrap(cells, _OF_REFUSED), _OF_REFUSED))
    caption = (
        f"{len(refused)} of the refused pictures: copies, near-duplicates and those under two "
        f"labels, none of which looks like a test picture; at most {MOST_REFUSED}, the first by "
        "name."
    )
    return Figure("refused.png", caption)


def _rows(store: Store, of: Shown, layout: Layout) -> list[Row]:
    """As many rows as the pictures take; the first one has the name."""
    lines: list[tuple[str, ...]] = [(note,) for note in of.notes] or [()] * len(of.rows)
    title = (of.name, f"{len(of.rows)} of {of.num_all:,}")
    step = layout.num_columns
    return [
        Row(
            title if not start else (),
            _cells(store, of.rows[start : start + step], lines[start:], layout),
        )
        for start in range(0, len(of.rows), step)
    ]


def _cells(
    store: Store, rows: Sequence[int], lines: Sequence[tuple[str, ...]], layout: Layout
) -> tuple[Cell, ...]:
    return tuple(
        Cell(picture_shown(store, row, layout.picture_size), line)
        for row, line in zip(rows, lines, strict=False)
    )


def _how(store: Store) -> str:
    """The sentence on lines and colours, behind another one."""
    words = how_drawn(store)
    return f" {words}" if words else ""


def _write_sheets(
    folder: Path,
    name: str,
    sheets: Sequence[Sequence[Row]],
    layout: Layout,
    legends: Sequence[Legend],
) -> list[str]:
    """Draw rows onto sheets, each with its legend; returns the names of the files."""
    files = []
    for number, (rows, legend) in enumerate(zip(sheets, legends, strict=True), start=1):
        files.append(f"{name}_{number}.png")
        write_bytes(folder / files[-1], draw_sheet(rows, layout, legend))
    return files
