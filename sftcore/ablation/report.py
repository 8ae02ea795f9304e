"""The report of a study: one HTML file with its figures inside, and Markdown beside them."""

import base64
import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TEMPLATE = "report.html.j2"
_QUESTIONS = (
    ("worth", "Is fine-tuning worth it?"),
    ("overfitting", "Does it over-fit?"),
    ("helped", "What helps?"),
    ("failures", "What failed?"),
    ("more_data", "Does more data help?"),
    ("stable", "Which learning rates are safe?"),
    ("advice", "What to set?"),
)

CELLS_FILE = "cells.csv"


@dataclass(frozen=True)
class Section:
    """A part of the report: words, figures by name, and a table of texts."""

    title: str
    text: str
    figures: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def section(title: str, text: str, figures: tuple[str, ...], table: pd.DataFrame | None) -> Section:
    """A section whose table is shown with three decimals."""
    if table is None:
        return Section(title, text, figures, (), ())
    rows = tuple(tuple(_cell(value) for value in row) for row in table.itertuples(index=False))
    return Section(title, text, figures, tuple(str(name) for name in table.columns), rows)


def _cell(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float):  # NumPy's double precision numbers are floats too
        return (
            "–" if np.isnan(value) else f"{value:.4g}" if 0 < abs(value) < 0.01 else f"{value:.3f}"
        )
    return str(value)


def _answers(verdict: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Questions with their answers; with the advice stands what it rests on."""
    answers = [(question, str(verdict[key])) for key, question in _QUESTIONS if verdict[key]]
    question, advice = answers[-1]
    return [*answers[:-1], (question, f"{advice} {verdict['evidence']}".strip())]


def render_html(
    intro: str, verdict: Mapping[str, Any], sections: list[Section], figures: Mapping[str, bytes]
) -> str:
    """The whole report as one page; every text is escaped.

    Args:
        intro: what was done, in a sentence.
        verdict: see :func:`sftcore.ablation.verdict.write_verdict`.
        sections: in their order.
        figures: PNG bytes by name.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    shown = [
        {
            **vars(part),
            "figures": [
                {"name": name, "base64": base64.b64encode(figures[name]).decode()}
                for name in part.figures
            ],
        }
        for part in sections
    ]
    return environment.get_template(TEMPLATE).render(
        intro=intro,
        answers=_answers(verdict),
        sections=shown,
    )


def render_markdown(intro: str, verdict: Mapping[str, Any], sections: list[Section]) -> str:
    """The same report as Markdown, with the figures as files beside it."""
    lines = ["# What fine-tuning is worth, what helps, and what is safe", "", _escape(intro), ""]
    for question, answer in _answers(verdict):
        lines += [f"**{question}** {_escape(answer)}", ""]
    for part in sections:
        lines += [f"## {part.title}", "", _escape(part.text), ""]
        lines += [f"![{name}]({name}.png)\n" for name in part.figures]
        if part.header:
            lines += [_line(part.header), _line(["---"] * len(part.header))]
            lines += [*(_line(row) for row in part.rows), ""]
    return "\n".join(lines)


def _line(cells: Any) -> str:
    return "| " + " | ".join(_escape(str(cell)) for cell in cells) + " |"


def _escape(text: str) -> str:
    return html.escape(text, quote=False).replace("|", r"\|")
