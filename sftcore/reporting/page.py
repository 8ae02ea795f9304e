"""The report of a whole run: one HTML page that needs no other file."""

import base64
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sftcore.reporting.numbers import format_column, is_numeric
from sftcore.reporting.parts import Figure, Part, Table

if TYPE_CHECKING:
    from markupsafe import Markup

_CODE = re.compile(r"`([^`]+)`")
_TEMPLATE = "page.html.j2"
_MOST_EMBEDDED_BYTES = 300_000  # of a CSV; a larger one stays a file beside the report


@dataclass(frozen=True)
class Chapter:
    """What one stage has to say.

    Attributes:
        title: of the chapter.
        folder: of the stage, which holds the files that the parts name.
        parts: in their order.
    """

    title: str
    folder: Path
    parts: Sequence[Part]


@dataclass(frozen=True)
class Article:
    """What stands above the chapters.

    Attributes:
        title: of the page.
        question: what was asked, in a sentence or two.
        answers: plain sentences.
        figure: that shows the answer, in the folder of ``chapter``; None without one.
        chapter: title of the chapter that the figure is from.
    """

    title: str
    question: str
    answers: Sequence[str]
    figure: Figure | None = None
    chapter: str = ""


def render_page(article: Article, chapters: Sequence[Chapter]) -> str:
    """The page; every text is escaped.

    Args:
        article: what stands at the top.
        chapters: below it; those without parts are left out.

    Raises:
        FileNotFoundError: a part names a file that is not there.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["code"] = _with_code
    folders = {chapter.title: chapter.folder for chapter in chapters}
    shown = [
        {"title": chapter.title, "parts": [_part(part, chapter.folder) for part in chapter.parts]}
        for chapter in chapters
        if chapter.parts
    ]
    first = _figure(article.figure, folders[article.chapter]) if article.figure else None
    return environment.get_template(_TEMPLATE).render(article=article, first=first, chapters=shown)


def _with_code(text: str) -> "Markup":
    """A text, escaped, with what stands between backticks as code."""
    from markupsafe import Markup, escape

    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def _part(part: Part, folder: Path) -> dict[str, object]:
    return {
        "title": part.title,
        "text": part.text,
        "is_folded": part.is_folded,
        "figures": [_figure(figure, folder) for figure in part.figures],
        "tables": [_table(table, folder) for table in part.tables],
    }


def _figure(figure: Figure, folder: Path) -> dict[str, str]:
    content = base64.b64encode((folder / figure.file).read_bytes()).decode()
    return {
        "caption": figure.caption,
        "image": f"data:image/png;base64,{content}",
        "name": figure.data,
        "link": _link(folder / figure.data) if figure.data else "",
    }


def _table(table: Table, folder: Path) -> dict[str, object]:
    with (folder / table.file).open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    columns, kinds = [], []
    for name in table.columns:
        cells = [table.words.get(line[name], line[name]) for line in lines]
        columns.append(format_column(cells, has_own_digits=name in table.own_digits))
        kinds.append("number" if is_numeric(cells) else "text")
    rows = list(zip(*columns, strict=True))
    return {
        "caption": table.caption,
        "header": list(table.columns.values()),
        "kinds": kinds,
        "rows": rows[: table.most_rows],
        "num_more": max(0, len(rows) - table.most_rows),
        "name": table.file,
        "link": _link(folder / table.file),
    }


def _link(file: Path) -> str:
    """Where a table can be had: inside the page, or where it lies if it is large."""
    content = file.read_bytes()
    if len(content) > _MOST_EMBEDDED_BYTES:
        return f"{file.parent.name}/{file.name}"
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(content).decode()}"
