"""What was found wrong with annotations, for people: counts, what was done, and every line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sftcore.data.annotations.faults import (
    MALFORMED_OUTLINE,
    NO_FILE,
    NO_PICTURE,
    ORPHAN_FILE,
    OUTWARD_NAME,
    PARTLY_OUTSIDE,
    TURNED,
    advice_of,
)
from sftcore.data.sources.items import counted
from sftcore.foundations.artifacts import write_csv
from sftcore.foundations.tables import safe_cells
from sftcore.reporting.parts import Part, Table

_FAULTS_FILE, _LINES_FILE = "annotation_faults.csv", "annotations.csv"
_MOST_NAMED = 4  # faults in a line of a terminal
_DONE = {
    "remark": "used as it is",
    "annotation": "annotation left out",
    "picture": "picture left out",
}
_DONE_OF_FAULT = {
    PARTLY_OUTSIDE: "clipped to the picture",
    MALFORMED_OUTLINE: "outline left out",
    TURNED: "used on the turned picture",
    NO_FILE: "picture left out",
    NO_PICTURE: "its annotations left out",
    ORPHAN_FILE: "file left out",
    OUTWARD_NAME: "its annotations left out",
}
_ORDER = ("picture", "annotation", "remark")


def annotation_sentences(summary: Mapping[str, Any]) -> list[str]:
    """The commonest faults with their counts, in a sentence; none where nothing is annotated.

    Args:
        summary: content of ``data/prepared/summary.json``.
    """
    if "annotations" not in summary:
        return []
    counts: dict[str, int] = {}
    for of_severity in summary["annotations"]["faults"].values():
        for fault, count in of_severity.items():
            counts[fault] = counts.get(fault, 0) + count
    begin = f"Annotations: {summary['annotations']['num_annotations']:,}"
    if not counts:
        return [f"{begin}, nothing to note."]
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{count:,} x {fault}" for fault, count in ordered[:_MOST_NAMED]]
    if rest := [count for _, count in ordered[_MOST_NAMED:]]:
        named.append(f"{sum(rest):,} of {len(rest)} other kind{'s' * (len(rest) > 1)}")
    return [f"{begin}; noted {', '.join(named)} (data/prepared/annotations.csv)."]


def faults_table(lines: pd.DataFrame) -> pd.DataFrame:
    """How often each fault was found, the gravest first, then the commonest, then by name.

    Args:
        lines: see :func:`sftcore.data.annotations.faults.audit_table`.

    Returns:
        Columns fault, severity, count, num_pictures, done, advice; pictures without a name do not
        count.
    """
    rows = [
        {
            "fault": fault,
            "severity": severity,
            "count": len(of),
            "num_pictures": of["picture"][of["picture"] != ""].nunique(),
            "done": _DONE_OF_FAULT.get(fault, _DONE[severity]),
            "advice": advice_of(fault),
        }
        for (fault, severity), of in lines.groupby(["fault", "severity"])
    ]
    rows.sort(key=lambda row: (_ORDER.index(row["severity"]), -row["count"], row["fault"]))
    columns = ["fault", "severity", "count", "num_pictures", "done", "advice"]
    return pd.DataFrame(rows, columns=columns)


def annotations_part(folder: Path, lines: pd.DataFrame, summary: Mapping[str, Any]) -> Part:
    """The part of the report on annotations.

    Args:
        folder: gets the tables.
        lines: see :func:`sftcore.data.annotations.faults.audit_table`; may be empty.
        summary: content of ``data/prepared/summary.json``.
    """
    title = "Annotations"
    begin = (
        f"Annotations in the files of all splits: {summary['annotations']['num_annotations']:,}."
    )
    if lines.empty:
        return Part(title, (f"{begin} Nothing to note of any.",))
    write_csv(folder / _FAULTS_FILE, safe_cells(faults_table(lines)))
    write_csv(folder / _LINES_FILE, safe_cells(lines))
    headings = {"fault": "fault", "count": "lines", "num_pictures": "pictures", "done": "done"}
    counts = Table(
        _FAULTS_FILE,
        "What was found in annotations, what was done, and what to do. Pictures are those that a "
        "line names.",
        {**headings, "advice": "what to do"},
        most_rows=60,
    )
    names = ("picture", "file", "where", "fault", "detail")
    every = Table(_LINES_FILE, "Every line, by picture.", {name: name for name in names})
    return Part(title, (f"{begin} {_left_out(lines)}",), (), (counts, every), is_folded=True)


def _left_out(lines: pd.DataFrame) -> str:
    num_alone = int((lines["severity"] == "annotation").sum())
    is_lost = (lines["severity"] == "picture") | (lines["fault"] == NO_FILE)
    num_lost = lines[is_lost & (lines["picture"] != "")]["picture"].nunique()
    return (
        f"Noted: {counted(len(lines), 'line')}. Left out: {counted(num_alone, 'annotation')} by "
        f"themselves, and {counted(num_lost, 'picture')} that a line names, with all that is "
        "annotated there."
    )
