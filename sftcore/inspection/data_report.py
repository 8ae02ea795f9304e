"""What prepare leaves for people: tables, examples, and what the test split can show."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sftcore.foundations.artifacts import output_folder, write_bytes, write_csv
from sftcore.foundations.tables import safe_cells
from sftcore.inspection.annotation_report import annotations_part
from sftcore.inspection.examples.pictures import RefusedPicture, refused_figure
from sftcore.inspection.examples.registry import EXAMPLE_REPORTS
from sftcore.inspection.overview import overview_sentences
from sftcore.inspection.targets.contract import Prepared
from sftcore.inspection.targets.registry import TARGET_REPORTS
from sftcore.inspection.visible import (
    Comparison,
    SplitSize,
    size_sentences,
    visible_figure,
    visible_sentences,
    visible_table,
)
from sftcore.reporting.parts import Figure, Part, Table, write_parts


def write_data_report(
    output: Path,
    data: Prepared,
    audit: pd.DataFrame,
    refused: Sequence[RefusedPicture],
    test_group_sizes: Sequence[int],
    annotations: pd.DataFrame | None = None,
) -> list[str]:
    """Write the report of the prepared data.

    Args:
        output: folder to write.
        data: opened for train and validation alone.
        audit: columns id, label, reason, detail of all refused examples.
        refused: pictures among them that are shown; none of another kind.
        test_group_sizes: examples of each group of near-duplicates in the test split.
        annotations: what was noted of annotations, see
            :func:`sftcore.data.annotations.faults.audit_table`; None where nothing is annotated.

    Returns:
        The sentences on what the test split can show.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    visible = _Visible(data, SplitSize.of_groups(test_group_sizes))
    with output_folder(output) as folder:
        parts = [
            _data_part(folder, data),
            visible.part(folder),
            _examples_part(folder, data),
            _groups_part(folder, data),
            None if annotations is None else annotations_part(folder, annotations, data.summary),
            _refused_part(folder, data, audit, refused),
        ]
        write_parts(folder, [part for part in parts if part is not None])
    return visible.sentences


def terminal_lines(data: Prepared) -> list[str]:
    """What the splits hold, for a terminal; at most 80 columns wide."""
    return TARGET_REPORTS[data.store.target].lines(data)


def _data_part(folder: Path, data: Prepared) -> Part:
    target = TARGET_REPORTS[data.store.target]
    file = f"{target.plural}.csv"
    write_csv(folder / file, safe_cells(target.table(data)))
    sentences = overview_sentences(data.summary, data.names)
    title = f"{data.names.plural.capitalize()} and {target.plural}"
    table = Table(file, *target.caption(data))
    return Part(title, (target.begin(data), *sentences), tables=(table,))


class _Visible:
    """What the test split can show.

    Args:
        data: whose test split it is.
        split: its size.

    Attributes:
        sentences: in words.
    """

    def __init__(self, data: Prepared, split: SplitSize) -> None:
        target, names = TARGET_REPORTS[data.store.target], data.names
        self._split = split
        self._compared = (
            Comparison(target.score, target.right, names.noun) if target.right else None
        )
        self.sentences = (
            visible_sentences(split, self._compared)
            if self._compared
            else size_sentences(split, names.noun, target.score)
        )

    def part(self, folder: Path) -> Part:
        """The sentences, and the curve where there is one."""
        title, compared = "What the test split can show", self._compared
        if not self._split.num_pictures or compared is None:
            return Part(title, tuple(self.sentences))
        table = visible_table(self._split)
        column = f"num_{compared.plural}"
        write_csv(folder / "visible.csv", table.rename(columns={"num_pictures": column}))
        write_bytes(folder / "visible.png", visible_figure(table, compared))
        caption = (
            f"The least true difference in {compared.score} that four of five test splits of a "
            f"size show (exact McNemar test, two-sided 5 %), at two assumed shares of "
            f"{compared.plural} on which exactly one of two models is {compared.right}. Points: "
            "this split."
        )
        figure = Figure("visible.png", caption, "visible.csv")
        return Part(title, tuple(self.sentences), (figure,))


def _examples_part(folder: Path, data: Prepared) -> Part:
    show = EXAMPLE_REPORTS[data.store.kind]
    selection = TARGET_REPORTS[data.store.target].select(data, show.per_row)
    seen = show.show(folder, data, selection)
    return Part(selection.title, selection.text, seen.figures, seen.tables, is_folded=True)


def _groups_part(folder: Path, data: Prepared) -> Part | None:
    samples = data.store.samples
    order = samples[["group", "id"]].assign(size=samples.groupby("group")["row"].transform("size"))
    order = order[order["size"] > 1]
    if order.empty:
        return None
    order = order.sort_values(["size", "group", "id"], ascending=[False, True, True])
    members = samples.loc[order.index]
    target = TARGET_REPORTS[data.store.target]
    seen = EXAMPLE_REPORTS[data.store.kind].show_groups(folder, data, target, members)
    num_test = data.summary["near_duplicates"]["num_groups"] - members["group"].nunique()
    of_test = "1 group of the test split is" if num_test == 1 else (
        f"{num_test:,} groups of the test split are"
    )  # fmt: skip
    text = (f"{seen.text} The {of_test} not shown. A group is wholly in one split.",)
    return Part("Near-duplicates", text, seen.figures, seen.tables, is_folded=True)


def _refused_part(
    folder: Path, data: Prepared, audit: pd.DataFrame, refused: Sequence[RefusedPicture]
) -> Part | None:
    if audit.empty:
        return None
    write_csv(folder / "refused.csv", safe_cells(audit))
    figures = (refused_figure(folder, refused),) if refused else ()
    noun, plural = data.names.noun, data.names.plural
    has_labels = data.store.target == "class"  # of other targets nothing could be read
    headings = {"id": noun, **({"label": "class"} if has_labels else {})}
    table = Table(
        "refused.csv", f"Every refused {noun} and why.",
        {**headings, "reason": "reason", "detail": "detail"},
    )  # fmt: skip
    text = (f"Refused {plural}: {len(audit):,}.",)
    return Part(f"Refused {plural}", text, figures, (table,), is_folded=True)
