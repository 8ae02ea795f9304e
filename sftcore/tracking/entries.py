"""What is told to MLflow, as plain values that can wait in a file until the store is back."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sftcore.foundations.artifacts import sha256_file, sha256_json
from sftcore.tracking.store import without_login

Entry = dict[str, Any]
History = Sequence[tuple[int, Mapping[str, float]]]  # numbers by step


def params_entry(params: Mapping[str, Any]) -> Entry:
    """Parameters as text; logins in addresses are cut out."""
    text = {name: without_login(str(value)) for name, value in params.items()}
    return {"kind": "params", "params": text}


def metrics_entry(history: History) -> Entry:
    """Numbers as (name, value, time in ms, step); those that are not finite are left out."""
    now = int(time.time() * 1000)
    metrics = [
        [name, float(value), now, step]
        for step, numbers in history
        for name, value in numbers.items()
        if math.isfinite(value)
    ]
    return {"kind": "metrics", "metrics": metrics}


def tags_entry(tags: Mapping[str, str]) -> Entry:
    """Tags of the run."""
    return {"kind": "tags", "tags": {name: without_login(text) for name, text in tags.items()}}


def files_entry(kind: str, path: Path, **details: Any) -> Entry:
    """Files by their place and their content, since they may change before they are copied.

    Raises:
        FileNotFoundError: there is nothing at ``path``.
    """
    place = {"path": str(path.absolute()), "sha256": digest_of(path)}
    return {"kind": kind, **place, **details}


def digest_of(path: Path) -> str:
    """sha256 of a file, or of all files of a folder with their names.

    Raises:
        FileNotFoundError: there is nothing at ``path``.
    """
    if path.is_file():
        return sha256_file(path)
    if not path.is_dir():
        raise FileNotFoundError(f"there is no {path}")
    files = [file for file in path.rglob("*") if file.is_file()]
    return sha256_json({file.relative_to(path).as_posix(): sha256_file(file) for file in files})


def cell_entry(
    name: str,
    *,
    study: str,
    member: str,
    line: str,
    params: Mapping[str, Any],
    history: History,
    tags: Mapping[str, str],
    is_finished: bool,
) -> Entry:
    """A complete cell of a study.

    Args:
        name: of the run.
        study: name of the study in the tags.
        member: what the cell is in it: its family and row.
        line: digest of its line in the study's table.
        params: of the training.
        history: numbers by step.
        tags: of the run; that of the key names its content.
        is_finished: FINISHED, or FAILED where it is false.
    """
    return {
        "kind": "cell",
        "name": name,
        "study": study,
        "member": member,
        "line": line,
        "params": params_entry(params)["params"],
        "metrics": metrics_entry(history)["metrics"],
        "tags": dict(tags),
        "status": "FINISHED" if is_finished else "FAILED",
    }
