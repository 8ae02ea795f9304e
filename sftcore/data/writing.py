"""Prepared data as files: what the other stages read, and what people look up."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.audit import Refusal
from sftcore.data.judging import Divided
from sftcore.data.kinds import Kind, Pile
from sftcore.data.store import (
    CLASSES_FILE,
    NAMES_FILE,
    SAMPLES_FILE,
    TARGETS_FILE,
    write_manifest,
)
from sftcore.data.targets.target import SETS, Target, TargetKind, Value
from sftcore.foundations.artifacts import write_csv, write_json

_GROUP_DIGITS = 12


def target_names(
    target: TargetKind, values: Sequence[Value], columns: Sequence[str], classes: Sequence[str]
) -> list[str]:
    """Names of the classes, labels or numbers, in the order of outputs.

    Args:
        target: kind of target.
        values: of the examples that are used.
        columns: that hold it; one for lists of labels. Of masks and boxes the classes themselves.
        classes: names of the classes.
    """
    if target == "class":
        return list(classes)
    if target == "labels" and len(columns) == 1:
        return sorted({str(label) for value in values for label in value})
    return list(columns)


def write_prepared(
    folder: Path,
    pile: Pile,
    divided: Divided,
    refusals: Sequence[Refusal],
    summary: Mapping[str, Any],
    kind: Kind,
    target: Target,
    names: Sequence[str],
) -> None:
    """Write all that other stages read.

    Args:
        folder: to write into.
        pile: values of all examples of the source; its own files are removed.
        divided: examples that are used.
        refusals: rows of the audit.
        summary: see :func:`sftcore.data.summary.summarize`.
        kind: of the examples.
        target: what is to be predicted.
        names: of the classes, labels or numbers, in the order of outputs.
    """
    pile.write(divided.judged.rows)
    columns = ["id", "label", "reason", "detail"]
    audit = pd.DataFrame([vars(refusal) for refusal in refusals], columns=columns)
    write_csv(folder / SAMPLES_FILE, samples_table(divided, target.kind, names))
    write_csv(folder / "audit.csv", audit.sort_values("id", kind="stable"))
    if target.kind == "class":
        write_json(folder / CLASSES_FILE, list(names))
    else:
        if not target.is_annotated:  # else the pile has written them
            np.save(folder / TARGETS_FILE, target_array(divided.judged.values, target.kind, names))
        write_json(folder / NAMES_FILE, list(names))
    write_json(folder / "summary.json", summary)
    counts = [name for name in summary if name.startswith("num_") and name != "num_refused"]
    facts: dict[str, Any] = {**kind.facts, **{name: summary[name] for name in counts}}
    # What says nothing of its kind holds pictures, and what says nothing of its target has classes.
    if kind.names.plural != "pictures":
        facts["kind"] = kind.names.plural
    if target.kind != "class":
        facts["target"] = target.kind
    write_manifest(folder, facts)


def samples_table(divided: Divided, target: TargetKind, names: Sequence[str]) -> pd.DataFrame:
    """A row for every example: what it is called, its target, split, content and group.

    Args:
        divided: examples that are used.
        target: kind of their targets.
        names: of the classes, labels or numbers.
    """
    judged = divided.judged
    index_of = {name: index for index, name in enumerate(names)}
    table: dict[str, Any] = {
        "row": range(len(judged.items)),
        "id": [item.id for item in judged.items],
    }
    if target == "class":
        table["label"] = judged.values
        table["label_index"] = [index_of[str(value)] for value in judged.values]
    elif target in SETS:
        table["labels"] = [json.dumps(value, ensure_ascii=False) for value in judged.values]
    else:
        table |= {name: [v[place] for v in judged.values] for place, name in enumerate(names)}
    table["split"] = divided.splits
    table["sha256"] = judged.sha256s
    table["group"] = [leader[:_GROUP_DIGITS] for leader in divided.leaders]
    if target != "class":
        table["stratum"] = divided.strata
    return pd.DataFrame(table)


def target_array(values: Sequence[Value], target: TargetKind, names: Sequence[str]) -> np.ndarray:
    """Labels as float32 [N, K] of 0 and 1, numbers as float64 [N, K], answers as [N, 0].

    Args:
        values: targets of N examples.
        target: kind of them.
        names: of K labels or numbers.
    """
    if target in ("numbers", "answers"):
        return np.array(values, dtype="<f8").reshape(len(values), len(names))
    return np.array([[name in value for name in names] for value in values], dtype="<f4")
