"""The label audit for people: a table of suspects, their pictures, and what it does not know."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.store import Store
from sftcore.foundations.artifacts import output_folder, write_bytes, write_csv, write_json
from sftcore.foundations.tables import safe_cells
from sftcore.inspection.out_of_fold import NUM_FOLDS, OutOfFold
from sftcore.inspection.sheets import Cell, Layout, draw_sheet, wrap
from sftcore.inspection.suspects import self_confidence, suspect_rows
from sftcore.reporting.parts import Figure, Part, Table, write_parts

_LAYOUT = Layout(title_width=0, cell_width=141, picture_size=96, num_lines=3)
_MOST_SHOWN = 63
_TITLE = "Labels that may be wrong"


_NOT_AUDITED = {
    "labels": "a probe judges one class against the others, and each example here has any number "
    "of labels",
    "numbers": "a number is not right or wrong but more or less far off, so there is no number of "
    "wrong ones to estimate",
    "texts": "the probe stands on what a network of pictures sees",
}


def why_not_audited(store: Store) -> str:
    """Why labels of such data are not looked through; empty where they are."""
    return _NOT_AUDITED.get(store.target, "") or _NOT_AUDITED.get(store.kind, "")


def write_no_label_report(output: Path, reason: str) -> list[str]:
    """Say that nothing was looked through.

    Args:
        output: folder to write.
        reason: see :func:`why_not_audited`.

    Returns:
        The sentence that says so.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    sentence = f"{_TITLE}: not looked for in these data, since {reason}."
    with output_folder(output) as folder:
        write_parts(folder, [Part(_TITLE, (sentence,))])
    return [sentence]


def suspects_table(store: Store, labels: np.ndarray, judged: OutOfFold) -> pd.DataFrame:
    """Pictures whose label may be wrong, the least probable label first.

    Args:
        store: opened for the splits that were judged.
        labels: class indices [N] of the store's samples.
        judged: their out-of-fold probabilities.

    Returns:
        Columns rank, id, split, label, suggested, self_confidence, suggested_confidence, row.
    """
    places = np.flatnonzero(judged.is_judged)
    found = places[suspect_rows(labels[places], judged.probability[places])]
    samples = store.samples.iloc[found]
    suggested = judged.probability[found].argmax(axis=1)
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(found) + 1),
            "id": samples["id"].to_numpy(),
            "split": samples["split"].to_numpy(),
            "label": samples["label"].to_numpy(),
            "suggested": np.array(store.classes, dtype=object)[suggested],
            "self_confidence": self_confidence(labels[found], judged.probability[found]),
            "suggested_confidence": judged.probability[found, suggested],
            "row": samples["row"].to_numpy(),
        }
    )


def write_label_report(
    output: Path, store: Store, labels: np.ndarray, judged: OutOfFold
) -> list[str]:
    """Write table, pictures, numbers and the report's part.

    Args:
        output: folder to write.
        store: opened for train and validation alone.
        labels: class indices [N] of the store's samples.
        judged: their out-of-fold probabilities.

    Returns:
        Sentences on what was found.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    table = suspects_table(store, labels, judged)
    summary = _summarize(table, labels, judged)
    sentences = _sentences(summary)
    with output_folder(output) as folder:
        write_csv(folder / "suspects.csv", safe_cells(table.drop(columns="row")))
        write_json(folder / "summary.json", summary)
        figures = _draw(folder, store, table)
        shown = Table(
            "suspects.csv", "A row is a picture; the least probable label comes first.",
            {"rank": "rank", "id": "picture", "split": "split", "label": "label",
             "suggested": "suggested", "self_confidence": "probability of the label"},
        )  # fmt: skip
        part = Part(_TITLE, tuple(sentences), figures, (shown,))
        write_parts(folder, [part])
    return sentences


def _summarize(table: pd.DataFrame, labels: np.ndarray, judged: OutOfFold) -> dict[str, Any]:
    is_right = judged.probability.argmax(axis=1) == labels
    return {
        "num_pictures": len(labels),
        "num_judged": int(judged.is_judged.sum()),
        "num_suspects": len(table),
        "num_disagreeing": int((~is_right & judged.is_judged).sum()),
        "out_of_fold_accuracy": round(float(is_right[judged.is_judged].mean()), 6),
        "num_folds": NUM_FOLDS,
        "strength": judged.strength,
    }


def _sentences(summary: dict[str, Any]) -> list[str]:
    num_judged, accuracy = summary["num_judged"], summary["out_of_fold_accuracy"]
    sentences = [
        f"{summary['num_suspects']:,} of {num_judged:,} labels of train and validation may be "
        "wrong: reports/labels/suspects.csv, the least probable first. Nothing was changed.",
        "They are candidates to look at. How many are wrong is not known: the probe, logistic "
        f"regression on frozen features, agrees with {accuracy:.0%} of the labels that it had not "
        "seen, and its own mistakes are among the suspects.",
    ]
    if num_left := summary["num_pictures"] - num_judged:
        sentences.append(
            f"{num_left:,} pictures could not be judged: their classes have no second group of "
            "near-duplicates to learn from."
        )
    return sentences


def _draw(folder: Path, store: Store, table: pd.DataFrame) -> tuple[Figure, ...]:
    """The first suspects as a contact sheet; none where there are none."""
    first = table.head(_MOST_SHOWN)
    if first.empty:
        return ()
    cells = [
        Cell(np.asarray(store.images[one.row]), _lines(one.id, one.label, one.suggested))
        for one in first.itertuples()
    ]
    write_bytes(folder / "suspects.png", draw_sheet(wrap(cells, _LAYOUT), _LAYOUT))
    caption = (
        f"The first {len(first)} of {len(table):,}, by rank: file name, label, and (→) the class "
        "that the probe finds most probable."
    )
    return (Figure("suspects.png", caption, "suspects.csv"),)


def _lines(id_: str, label: str, suggested: str) -> tuple[str, ...]:
    return id_.rsplit("/", 1)[-1], label, f"→ {suggested}"
