"""What a stage has to say in the report of the whole run, left beside its tables and figures.

A stage writes ``parts.json`` into its own folder; it names figures and tables by their files there.
The report is made from these files alone, so that no stage has to run again for it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sftcore.foundations.artifacts import read_json, write_json

PARTS_FILE = "parts.json"


@dataclass(frozen=True)
class Figure:
    """A picture of a part.

    Attributes:
        file: a PNG in the stage's folder.
        caption: what it shows, and what its intervals cover.
        data: a CSV in the same folder that holds its numbers; empty without one.
    """

    file: str
    caption: str
    data: str = ""


@dataclass(frozen=True)
class Table:
    """A table of a part.

    Attributes:
        file: a CSV in the stage's folder.
        caption: what a row is.
        columns: heading by the CSV's column, in the order in which they are shown.
        most_rows: rows that are shown; all of them are in the CSV.
        words: what is shown instead of some cells.
        own_digits: columns whose numbers differ by orders of magnitude, such as learning rates.
    """

    file: str
    caption: str
    columns: dict[str, str]
    most_rows: int = 20
    words: dict[str, str] = field(default_factory=dict)
    own_digits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A section of the report.

    Attributes:
        title: of the section.
        text: paragraphs, each a sentence or a few.
        figures: shown below the text.
        tables: shown below the figures.
        is_folded: whether it is a detail that opens with a click.
    """

    title: str
    text: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    is_folded: bool = False


def write_parts(folder: Path, parts: Sequence[Part]) -> None:
    """Leave the parts beside the files that they name.

    Args:
        folder: of the stage's report; it holds the files.
        parts: in their order.

    Raises:
        ValueError: a part names a file that is not there.
    """
    for part in parts:
        named = [table.file for table in part.tables]
        for figure in part.figures:
            named += [figure.file, figure.data] if figure.data else [figure.file]
        for file in named:
            if not (folder / file).is_file():
                raise ValueError(f"{part.title!r} shows {folder / file}: no such file")
    content = [asdict(part) for part in parts]
    for table in (table for part in content for table in part["tables"]):
        table["columns"] = list(table["columns"].items())  # a JSON object has no order
    write_json(folder / PARTS_FILE, {"parts": content})


def read_parts(folder: Path) -> list[Part]:
    """The parts that :func:`write_parts` left; none where the stage has not run.

    Args:
        folder: of the stage's report.
    """
    if not (folder / PARTS_FILE).is_file():
        return []
    return [_part(**found) for found in read_json(folder / PARTS_FILE)["parts"]]


def _part(
    title: str,
    text: Sequence[str],
    figures: Sequence[dict[str, Any]],
    tables: Sequence[dict[str, Any]],
    is_folded: bool,
) -> Part:
    return Part(
        title=title,
        text=tuple(text),
        figures=tuple(Figure(**figure) for figure in figures),
        tables=tuple(_table(**table) for table in tables),
        is_folded=is_folded,
    )


def _table(columns: Sequence[tuple[str, str]], own_digits: Sequence[str], **others: Any) -> Table:
    return Table(columns=dict(columns), own_digits=tuple(own_digits), **others)
