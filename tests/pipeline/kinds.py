"""Small data of every kind with every target, and tasks that learn from them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sftcore.data.pictures.settings import PictureSettings
from sftcore.data.settings import DataSettings
from sftcore.data.targets.settings import TargetSettings
from sftcore.pipeline.prepare import PrepareParams
from sftcore.tasks.names import LEARNT
from sftcore.tasks.registry import TASKS
from tests.conftest import PREPARE
from tests.pictures import draw, encode
from tests.texts import compose

COUNT = 48
PLAIN = {"class": "classification", "labels": "multilabel", "numbers": "regression"}
COMBINATIONS = [(kind, target) for kind in ("pictures", "texts") for target in PLAIN]


def targets_of(row: int) -> dict[str, Any]:
    """The class, labels and numbers of an example, as columns of a table."""
    labels = [name for name, every in (("a", 2), ("b", 3), ("=c|d", 4)) if row % every == 0]
    return {
        "label": ("harbour", "kitchen", "orchard")[row % 3],
        "labels": json.dumps(labels),
        "place": 5.0 - row // 4,
        "@width": row * 0.5,
    }


def write_kind(root: Path, kind: str) -> pd.DataFrame:
    """A table with all targets, one twin pair, and a broken example; returns the table."""
    root.mkdir(parents=True)
    rows = []
    for row in range(COUNT):
        seed = row - 1 if row == 13 else row  # 13 is a twin of 12
        if kind == "pictures":
            example = {"path": f"{row:03d}.png"}
            picture = draw("circle", seed).resize((44, 44)) if row == 13 else draw("circle", seed)
            (root / example["path"]).write_bytes(encode(picture))
        else:
            text = compose("harbour", seed, num_words=40)
            example = {"text": text.upper().replace(" ", ", ") if row == 13 else text}
        rows.append({**example, **targets_of(row)})
    table = pd.DataFrame(rows)
    broken = {table.columns[0]: "999.png" if kind == "pictures" else " ", **targets_of(0)}
    (root / "999.png").write_bytes(b"no picture")
    pd.concat([table, pd.DataFrame([broken])]).to_csv(root / "t.csv", index=False)
    if kind == "texts":
        (root / "999.png").unlink()
    return table


def task_of(kind: str, target: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a task of this kind; one that learns from texts is made."""
    name = PLAIN[target]
    if kind == "texts":
        made, learnt = f"text_{name}", LEARNT[name]
        monkeypatch.setitem(LEARNT, made, replace(learnt, kind="texts"))
        monkeypatch.setitem(TASKS, made, TASKS[name])
        name = made
    return name


def params_of(task: str, path: str, **changes: Any) -> PrepareParams:
    """What prepare reads, for data of :func:`write_kind`."""
    fields = {name: value for name, value in PREPARE.items() if name != "kind"}
    columns = ["place", "@width"] if LEARNT[task].target == "numbers" else []
    data = fields | {
        "source": "table", "path": path, "table": "t.csv", "near_duplicate_distance": 64,
        "pictures": PictureSettings(image_size=32), "targets": TargetSettings(columns=columns),
    }  # fmt: skip
    return PrepareParams(task=task, data=DataSettings(**data | changes))
