"""Targets that are missing, broken, rare, constant or doubled: each is said or stops the run."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sftcore.data.prepare import prepare
from sftcore.data.store import open_store
from sftcore.data.targets.target import Target
from sftcore.foundations.errors import DataError
from tests.conftest import PREPARE
from tests.data.test_prepare_kinds import (
    COUNT,
    LABELS,
    NUMBERS,
    TEXTS,
    audit_of,
    numbers,
    write_table,
)
from tests.pictures import draw, encode


def test_broken_targets_count_as_broken_rows(tmp_path: Path) -> None:
    cells: list[Any] = numbers()
    cells[:6] = ["", "many", "nan", "1e999", "-7", "0,5"]
    root = write_table(tmp_path / "set", y=cells)
    target = Target("numbers", low=-5.0)
    with pytest.raises(DataError, match=r"6 of 60 texts \(10%\) were refused"):
        prepare(**TEXTS | {"max_refused_fraction": 0.05}, target=target, path=root,
                output=tmp_path / "out")  # fmt: skip
    prepare(**TEXTS, target=target, path=root, output=tmp_path / "out")
    assert list(audit_of(tmp_path / "out").values()) == [
        "no target", "not a number", "not finite", "not finite", "out of range", "not a number",
    ]  # fmt: skip


def test_rare_and_constant_targets_stop_the_run(tmp_path: Path) -> None:
    rare = ["a|b|rare" if i == 0 else "ab"[i % 2] for i in range(COUNT)]
    with pytest.raises(DataError, match=r"fewer than .* usable texts: rare \(1\)"):
        prepare(**TEXTS, target=LABELS, path=write_table(tmp_path / "a", tags=rare),
                output=tmp_path / "out")  # fmt: skip
    with pytest.raises(DataError, match=r"y is 3\.0 for every text"):
        prepare(**TEXTS, target=NUMBERS, path=write_table(tmp_path / "b", y=3),
                output=tmp_path / "out")  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_too_few_for_three_splits_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,y\none thing,1\nanother matter,2\n")
    with pytest.raises(DataError, match="2 texts that differ from each other are too few"):
        prepare(**TEXTS, target=NUMBERS, path=tmp_path, output=tmp_path / "out")


def test_one_text_with_two_targets_is_refused(tmp_path: Path) -> None:
    root = write_table(tmp_path / "set", y=numbers())
    table = pd.read_csv(root / "t.csv")
    table.loc[1, "text"] = table.loc[0, "text"]
    table.loc[3, ["text", "y"]] = table.loc[2, ["text", "y"]]
    table.to_csv(root / "t.csv", index=False)
    prepare(**TEXTS, target=NUMBERS, path=root, output=tmp_path / "out")
    assert audit_of(tmp_path / "out") == {
        "t.csv/000000": "same characters under two labels",
        "t.csv/000001": "same characters under two labels",
        "t.csv/000003": "same characters as another text",
    }


def test_hostile_names_of_labels_and_classes(tmp_path: Path) -> None:
    names = ["=cmd|' /C calc'!A0", "<script>", 'a,"b"', "\u202egnp", "new\nline"]
    cells = [json.dumps(names[: 1 + i % 5]) if i % 7 else "[]" for i in range(COUNT)]
    root = write_table(tmp_path / "set", labels=cells)
    prepare(**TEXTS, target=LABELS, path=root, output=tmp_path / "out")
    store = open_store(tmp_path / "out", ("train", "val", "test"))
    assert set(store.names) == {name.replace("\n", "\\x0a") for name in names}
    found = [set(json.loads(cell)) for cell in store.samples["labels"]]
    assert found[1] == {name.replace("\n", "\\x0a") for name in names[:2]}


def test_the_same_picture_with_other_numbers(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for number in range(20):
        picture = encode(draw("circle", number // 2))
        (tmp_path / "set" / f"{number:02d}.png").write_bytes(picture)
    cells = {
        "path": [f"{n:02d}.png" for n in range(20)],
        "y": [n // 2 + (n == 1) for n in range(20)],
    }
    pd.DataFrame(cells).to_csv(tmp_path / "set" / "t.csv", index=False)
    settings = PREPARE | {"source": "auto", "max_refused_fraction": 0.2}
    prepare(**settings, target=NUMBERS, path=tmp_path / "set", output=tmp_path / "out")
    reasons = audit_of(tmp_path / "out")
    assert reasons["00.png"] == reasons["01.png"] == "same bytes under two labels"
    assert list(reasons.values()).count("same bytes as another picture") == 9
