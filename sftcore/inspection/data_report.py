"""What prepare leaves for people: tables, contact sheets, and what the test split can show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.store import Store
from sftcore.foundations.artifacts import output_folder, write_bytes, write_csv
from sftcore.foundations.tables import safe_cells
from sftcore.inspection.choice import Shown, choose_groups, choose_of_classes
from sftcore.inspection.overview import class_table, groups_name, overview_sentences
from sftcore.inspection.sheets import Cell, Layout, Row, draw_sheet, pack, wrap
from sftcore.inspection.visible import (
    SplitSize,
    visible_figure,
    visible_sentences,
    visible_table,
)
from sftcore.reporting.parts import Figure, Part, Table, write_parts

_OF_CLASSES = Layout(title_width=136, cell_width=71, picture_size=66, num_lines=0)
_OF_GROUPS = Layout(title_width=0, cell_width=123, picture_size=84, num_lines=3)
_OF_REFUSED = Layout(title_width=0, cell_width=164, picture_size=96, num_lines=2)
_CLASSES_A_SHEET, _MOST_CLASSES = 20, 80
_ROWS_A_SHEET, _MOST_GROUPS = 12, 72
MOST_REFUSED = 36
_CLASS_COLUMNS = {
    "class": "class", "train": "train", "val": "validation", "test": "test", "all": "all",
}  # fmt: skip


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


def write_data_report(
    output: Path,
    store: Store,
    summary: Mapping[str, Any],
    audit: pd.DataFrame,
    refused: Sequence[RefusedPicture],
    test_group_sizes: Sequence[int],
) -> list[str]:
    """Write the report of the prepared data.

    Args:
        output: folder to write.
        store: opened for train and validation alone.
        summary: content of the prepared data's ``summary.json``.
        audit: columns id, label, reason, detail of all refused pictures.
        refused: those of them that are shown.
        test_group_sizes: pictures of each group of near-duplicates in the test split.

    Returns:
        The sentences on what the test split can show.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    split = SplitSize.of_groups(test_group_sizes)
    sentences = visible_sentences(split)
    with output_folder(output) as folder:
        parts = [
            _data_part(folder, summary),
            _visible_part(folder, split, sentences),
            _classes_part(folder, store),
            _groups_part(folder, store, summary),
            _refused_part(folder, audit, refused),
        ]
        write_parts(folder, [part for part in parts if part is not None])
    return sentences


def _data_part(folder: Path, summary: Mapping[str, Any]) -> Part:
    write_csv(folder / "classes.csv", safe_cells(class_table(summary)))
    begin = f"{summary['num_pictures']:,} pictures of {summary['num_classes']:,} classes."
    shown = Table("classes.csv", "Pictures of each class, the smallest first.", _CLASS_COLUMNS)
    return Part("Pictures and classes", (begin, *overview_sentences(summary)), tables=(shown,))


def _visible_part(folder: Path, split: SplitSize, sentences: Sequence[str]) -> Part:
    title = "What the test split can show"
    if not split.num_pictures:
        return Part(title, tuple(sentences))
    table = visible_table(split)
    write_csv(folder / "visible.csv", table)
    write_bytes(folder / "visible.png", visible_figure(table))
    caption = (
        "The least true difference in accuracy that four of five test splits of a size show "
        "(exact McNemar test, two-sided 5 %), at two assumed shares of pictures on which exactly "
        "one of two models is right. Points: this split."
    )
    return Part(title, tuple(sentences), (Figure("visible.png", caption, "visible.csv"),))


def _classes_part(folder: Path, store: Store) -> Part:
    columns = _OF_CLASSES.num_columns
    shown = choose_of_classes(store.samples, _MOST_CLASSES, columns)
    rows = [Row((of.name, f"{len(of.rows)} of {of.num_all:,}"), _cells(store, of)) for of in shown]
    files = _write_sheets(folder, "pictures", rows, _CLASSES_A_SHEET, _OF_CLASSES)
    text = [
        f"Up to {columns} pictures of every class from train and validation, chosen by the hash of "
        "their content. Pictures of the test split are not shown."
    ]
    if len(shown) < len(store.classes):
        text.append(f"{len(shown)} of {len(store.classes):,} classes, chosen by the hash of "
                    "their name.")  # fmt: skip
    captions = [
        f"Classes {a + 1} to {min(a + _CLASSES_A_SHEET, len(rows))} of those shown, by name."
        for a in range(0, len(rows), _CLASSES_A_SHEET)
    ]
    figures = tuple(Figure(*pair) for pair in zip(files, captions, strict=True))
    return Part("Pictures of every class", tuple(text), figures, is_folded=True)


def _groups_part(folder: Path, store: Store, summary: Mapping[str, Any]) -> Part | None:
    sizes = store.samples.groupby("group")["row"].transform("size")
    members = store.samples[sizes > 1].assign(size=sizes[sizes > 1])
    if members.empty:
        return None
    members = members.sort_values(["size", "group", "id"], ascending=[False, True, True])
    columns = ["group", "size", "split", "label", "id"]
    write_csv(folder / "near_duplicates.csv", safe_cells(members[columns]))
    shown = choose_groups(store.samples, _MOST_GROUPS, _OF_GROUPS.num_columns)
    by_row = store.samples.set_index("row")
    groups = [
        _cells(store, of, [(_file(by_row.at[row, "id"]), by_row.at[row, "label"],
                            f"{number} of {of.num_all:,}, {by_row.at[row, 'split']}")
                           for number, row in enumerate(of.rows, start=1)])
        for of in shown
    ]  # fmt: skip
    rows = pack(groups, _OF_GROUPS)
    files = _write_sheets(folder, "near_duplicates", rows, _ROWS_A_SHEET, _OF_GROUPS)
    num_open = int(members["group"].nunique())
    near = summary["near_duplicates"]
    num_test = near["num_groups"] - num_open
    text = (
        f"The {len(shown)} largest of {num_open:,} groups ({groups_name(near)}) in train and "
        f"validation, up to {_OF_GROUPS.num_columns} pictures of each with file name and class. "
        f"The {num_test:,} groups of the test split are not shown. A group is wholly in one split.",
    )
    figures = tuple(Figure(file, "An empty place parts two groups.") for file in files)
    table = Table(
        "near_duplicates.csv", "Pictures in groups, the largest group first.",
        {"group": "group", "split": "split", "label": "class", "id": "picture"},
    )  # fmt: skip
    return Part("Near-duplicates", text, figures, (table,), is_folded=True)


def _refused_part(
    folder: Path, audit: pd.DataFrame, refused: Sequence[RefusedPicture]
) -> Part | None:
    if audit.empty:
        return None
    write_csv(folder / "refused.csv", safe_cells(audit))
    figures: tuple[Figure, ...] = ()
    if refused:
        cells = [Cell(one.image, (_file(one.id), one.reason)) for one in refused]
        write_bytes(folder / "refused.png", draw_sheet(wrap(cells, _OF_REFUSED), _OF_REFUSED))
        caption = (
            f"{len(refused)} of the refused pictures: those that can be opened, without copies and "
            f"near-duplicates of test pictures; at most {MOST_REFUSED}, the first by name."
        )
        figures = (Figure("refused.png", caption),)
    table = Table(
        "refused.csv", "Every refused picture and why.",
        {"id": "picture", "label": "class", "reason": "reason", "detail": "detail"},
    )  # fmt: skip
    text = (f"Refused pictures: {len(audit):,}.",)
    return Part("Refused pictures", text, figures, (table,), is_folded=True)


def _cells(
    store: Store, shown: Shown, lines: Sequence[tuple[str, ...]] | None = None
) -> tuple[Cell, ...]:
    below = lines or [()] * len(shown.rows)
    return tuple(
        Cell(np.asarray(store.images[row]), line)
        for row, line in zip(shown.rows, below, strict=True)
    )


def _file(id_: str) -> str:
    """The last part of a picture's id."""
    return id_.rsplit("/", 1)[-1]


def _write_sheets(
    folder: Path, name: str, rows: Sequence[Row], rows_a_sheet: int, layout: Layout
) -> list[str]:
    """Draw rows onto as many sheets as they need; returns the names of the files."""
    files = []
    for number, start in enumerate(range(0, len(rows), rows_a_sheet)):
        files.append(f"{name}_{number + 1}.png")
        sheet = draw_sheet(rows[start : start + rows_a_sheet], layout)
        write_bytes(folder / files[-1], sheet)
    return files
