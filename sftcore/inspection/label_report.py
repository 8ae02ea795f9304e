"""The label audit for people: a table of suspects, as they look, and what it does not know."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.store import Store
from sftcore.foundations.artifacts import output_folder, write_json
from sftcore.inspection.examples.registry import EXAMPLE_REPORTS
from sftcore.inspection.out_of_fold import NUM_FOLDS, OutOfFold
from sftcore.inspection.suspects import self_confidence, suspect_rows
from sftcore.reporting.parts import Part, write_parts

_TITLE = "Labels that may be wrong"


_NOT_AUDITED = {
    "labels": "a probe judges one class against the others, and each example here has any number "
    "of labels",
    "numbers": "a number is not right or wrong but more or less far off, so there is no number of "
    "wrong ones to estimate",
    "answers": "an answer is one of any number, and no probe judges it against the others",
    "masks": "a probe judges one class for a whole picture, and here every pixel has one",
    "boxes": "a probe judges one class for a whole picture, and here each picture has any number "
    "of boxes, whose edges may be wrong too",
}


def why_not_audited(store: Store) -> str:
    """Why labels of such data are not looked through; empty where they are."""
    return _NOT_AUDITED.get(store.target, "")


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
    """Examples whose label may be wrong, the least probable label first.

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
    """Write table, examples, numbers and the report's part.

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
    summary = _summarize(table, labels, judged, store.kind)
    sentences = _sentences(summary, store.kind)
    with output_folder(output) as folder:
        write_json(folder / "summary.json", summary)
        shown = EXAMPLE_REPORTS[store.kind].show_suspects(folder, store, table)
        part = Part(_TITLE, tuple(sentences), shown.figures, shown.tables)
        write_parts(folder, [part])
    return sentences


def _summarize(
    table: pd.DataFrame, labels: np.ndarray, judged: OutOfFold, kind: str
) -> dict[str, Any]:
    is_right = judged.probability.argmax(axis=1) == labels
    return {
        f"num_{kind}": len(labels),
        "num_judged": int(judged.is_judged.sum()),
        "num_suspects": len(table),
        "num_disagreeing": int((~is_right & judged.is_judged).sum()),
        "out_of_fold_accuracy": round(float(is_right[judged.is_judged].mean()), 6),
        "num_folds": NUM_FOLDS,
        "strength": judged.strength,
    }


def _sentences(summary: dict[str, Any], kind: str) -> list[str]:
    num_judged, accuracy = summary["num_judged"], summary["out_of_fold_accuracy"]
    sentences = [
        f"{summary['num_suspects']:,} of {num_judged:,} labels of train and validation may be "
        "wrong: reports/labels/suspects.csv, the least probable first. Nothing was changed.",
        "They are candidates to look at. How many are wrong is not known: the probe, logistic "
        f"regression on frozen features, agrees with {accuracy:.0%} of the labels that it had not "
        "seen, and its own mistakes are among the suspects.",
    ]
    if num_left := summary[f"num_{kind}"] - num_judged:
        sentences.append(
            f"{num_left:,} {kind} could not be judged: their classes have no second group of "
            "near-duplicates to learn from."
        )
    return sentences
