"""From a source of texts or pictures with any target to prepared data, and back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sftcore.data.kinds import Kind
from sftcore.data.prepare import prepare
from sftcore.data.store import Store, open_store
from sftcore.data.targets.target import Target
from sftcore.data.texts.decode import decode_text
from sftcore.data.texts.kind import TextKind
from sftcore.foundations.artifacts import sha256_bytes, sha256_file
from sftcore.foundations.errors import DataError
from tests.conftest import PREPARE
from tests.pictures import CLASSES, write_folders
from tests.texts import compose, write_text_folders

TEXTS = PREPARE | {"source": "auto", "kind": TextKind(500), "near_duplicate_distance": 64}
COUNT = 60
LABELS, NUMBERS = Target("labels"), Target("numbers")


def audit_of(folder: Path) -> dict[str, str]:
    return pd.read_csv(folder / "audit.csv").set_index("id")["reason"].to_dict()


def write_table(root: Path, **columns: Any) -> Path:
    """A table of 60 texts with these columns beside them."""
    root.mkdir(exist_ok=True)
    texts = [compose("harbour", seed) for seed in range(COUNT)]
    pd.DataFrame({"text": texts, **columns}).to_csv(root / "t.csv", index=False)
    return root


def tags() -> list[str]:
    return ["[]" if i % 6 == 0 else "|".join("ab"[: 1 + i % 2] + "c" * (i % 3 == 0))
            for i in range(COUNT)]  # fmt: skip


def numbers() -> list[float]:
    return (0.1 + np.random.default_rng(0).normal(size=COUNT)).tolist()


def test_texts_go_the_same_way_as_pictures(tmp_path: Path) -> None:
    root = write_text_folders(tmp_path / "set", per_class=14)
    (root / "harbour" / "latin.txt").write_bytes("größer".encode("cp1252"))
    (root / "harbour" / "blank.txt").write_text(" \n")
    (root / "harbour" / "long.txt").write_text("word " * 200)
    (root / "harbour" / "mark.txt").write_bytes(compose("harbour", 3).encode("utf-16"))
    (root / "kitchen" / "copy.txt").write_text(compose("orchard", 5) + "\r\n")
    (root / "kitchen" / "twin.txt").write_text(compose("kitchen", 4).upper().replace(" ", ", "))
    (root / "kitchen" / "one").write_text("x")
    summary = prepare(**TEXTS, path=root, output=tmp_path / "out")
    assert audit_of(tmp_path / "out") == {
        "harbour/blank.txt": "empty",
        "harbour/latin.txt": "not UTF-8",
        "harbour/long.txt": "over the character limit",
        "harbour/mark.txt": "same characters as another text",
        "kitchen/copy.txt": "same characters under two labels",
        "orchard/005.txt": "same characters under two labels",
    }
    assert (summary["num_texts"], summary["num_refused"]) == (43, 6)
    store = open_store(tmp_path / "out", ("train", "val", "test"))
    assert (store.kind, store.target, store.names) == (
        "texts", "class", ["harbour", "kitchen", "orchard"],
    )  # fmt: skip
    for row in store.samples.itertuples():
        content = (root / row.id).read_bytes()
        assert store.texts.read([row.row]) == [decode_text(content)]
        assert row.sha256 == sha256_bytes(content)
    by_id = store.samples.set_index("id")
    pair = by_id.loc[["kitchen/004.txt", "kitchen/twin.txt"]]
    assert pair["group"].nunique() == pair["split"].nunique() == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "audit.csv", "classes.json", "manifest.json", "offsets.npy", "samples.csv",
        "summary.json", "texts.bin",
    }  # fmt: skip
    with pytest.raises(ValueError, match="holds texts, not pictures"):
        _ = store.images


def test_the_split_of_a_text_does_not_depend_on_its_encoding(tmp_path: Path) -> None:
    for name, encoding in (("a", "utf-8"), ("b", "utf-16")):
        root = write_text_folders(tmp_path / name)
        for file in root.rglob("*.txt"):
            file.write_bytes(file.read_text().encode(encoding))
        prepare(**TEXTS, path=root, output=tmp_path / f"{name}-out")
    first, second = (
        pd.read_csv(tmp_path / f"{name}-out" / "samples.csv").drop(columns="sha256")
        for name in "ab"
    )
    pd.testing.assert_frame_equal(first, second)
    assert sha256_file(tmp_path / "a-out" / "texts.bin") == sha256_file(
        tmp_path / "b-out" / "texts.bin"
    )


def opened(folder: Path) -> tuple[Store, Store]:
    return open_store(folder, ("train", "val")), open_store(folder, ("train", "val", "test"))


def test_labels(tmp_path: Path) -> None:
    root = write_table(tmp_path / "set", tags=tags())
    summary = prepare(**TEXTS, target=LABELS, path=root, output=tmp_path / "out")
    assert summary["num_labels"] == 3
    hidden, everything = opened(tmp_path / "out")
    assert hidden.names == ["a", "b", "c"]
    assert everything.targets.dtype == np.float32
    for row, cell in enumerate(tags()):
        names = [] if cell == "[]" else cell.split("|")
        wanted = [float(name in names) for name in "abc"]
        assert everything.targets[row].tolist() == wanted
        assert json.loads(everything.samples["labels"][row]) == sorted(set(names))
    test = everything.split("test")
    assert len(test)
    assert np.isnan(hidden.targets[test]).all()
    assert not np.isnan(np.delete(hidden.targets, test, axis=0)).any()
    assert set(hidden.samples["split"]) == {"train", "val"}
    assert (hidden.strata[test] == "").all()
    assert (everything.strata != "").all()
    assert summary["labels"]["a"]["test"] == everything.targets[test, 0].sum()
    assert not (tmp_path / "out" / "classes.json").exists()
    for name in ("labels", "classes"):
        with pytest.raises(ValueError, match="are labels, not classes"):
            getattr(hidden, name)


def test_labels_in_columns_keep_their_order(tmp_path: Path) -> None:
    flags = np.random.default_rng(1).integers(0, 2, (COUNT, 2))
    root = write_table(tmp_path / "set", z=flags[:, 0], a=flags[:, 1], label="x")
    target = Target("labels", ("z", "a"))
    prepare(**TEXTS, target=target, path=root, output=tmp_path / "out")
    _, everything = opened(tmp_path / "out")
    assert everything.names == ["z", "a"]
    np.testing.assert_array_equal(everything.targets, flags)


def test_numbers_are_exact_and_hidden(tmp_path: Path) -> None:
    first, second = numbers(), list(range(COUNT))
    root = write_table(tmp_path / "set", x=first, w=second)
    target = Target("numbers", ("w", "x"))
    summary = prepare(**TEXTS, target=target, path=root, output=tmp_path / "out")
    hidden, everything = opened(tmp_path / "out")
    assert everything.targets.dtype == np.float64
    np.testing.assert_array_equal(everything.targets, np.stack([second, first], axis=1))
    np.testing.assert_allclose(everything.samples[["w", "x"]], everything.targets, rtol=1e-8)
    test = everything.split("test")
    assert np.isnan(hidden.targets[test]).all()
    assert set(summary["numbers"]["w"]) == {"train", "val"}, "nothing of the test split"
    rows = everything.split("val")
    assert summary["numbers"]["x"]["val"]["mean"] == pytest.approx(
        everything.targets[rows, 1].mean()
    )
    tenths = pd.Series(everything.targets[:, 0]).rank(pct=True).mul(10).sub(1e-9).astype(int)
    for _, part in everything.samples.groupby(tenths.to_numpy()):
        assert set(part["split"]) == {"train", "val", "test"}


@pytest.mark.parametrize("target", [LABELS, NUMBERS], ids=lambda target: target.kind)
def test_pictures_have_labels_and_numbers_too(tmp_path: Path, target: Target) -> None:
    root = write_folders(tmp_path / "set", per_class=12)
    names = sorted(file.relative_to(root).as_posix() for file in root.rglob("*.png"))
    cells = [json.dumps(CLASSES[: i % 3]) if target is LABELS else i for i in range(len(names))]
    column = "labels" if target is LABELS else "target"
    pd.DataFrame({"path": names, column: cells}).to_csv(root / "t.csv", index=False)
    prepare(**PREPARE | {"source": "auto"}, target=target, path=root, output=tmp_path / "out")
    store = open_store(tmp_path / "out", ("train", "val"))
    assert (store.kind, store.target, store.images.shape) == (
        "pictures", target.kind, (36, 32, 32, 3),
    )  # fmt: skip
    assert store.background == (255, 255, 255)


@pytest.mark.parametrize(
    ("kind", "target"),
    [(PREPARE["kind"], Target()), (TEXTS["kind"], Target()), (TEXTS["kind"], LABELS)],
)
def test_the_manifest_names_what_is_not_usual(tmp_path: Path, kind: Kind, target: Target) -> None:
    if target is LABELS:
        root = write_table(tmp_path / "set", tags=tags())
    else:
        write = write_folders if kind is PREPARE["kind"] else write_text_folders
        root = write(tmp_path / "set")
    prepare(**TEXTS | {"kind": kind}, target=target, path=root, output=tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest.get("kind") == (None if kind is PREPARE["kind"] else "texts")
    assert manifest.get("target") == (None if target.kind == "class" else "labels")


def test_tables_for_each_split_with_lists_of_class_numbers(tmp_path: Path) -> None:
    feature = {"_type": "Sequence", "feature": {"_type": "ClassLabel", "names": ["red", "blue"]}}
    info = json.dumps({"info": {"features": {"labels": feature}}})
    sets: list[list[int]] = [[], [0], [1], [1, 0]]
    (tmp_path / "set").mkdir()
    for place, split in enumerate(("train", "test")):
        seeds = range(40 * place, 40 * place + 40)
        cells = pa.table({"text": [compose("kitchen", seed) for seed in seeds],
                          "labels": [sets[seed % 4] for seed in seeds]})  # fmt: skip
        pq.write_table(cells.replace_schema_metadata({"huggingface": info}),
                       tmp_path / "set" / f"{split}-00000-of-00001.parquet")  # fmt: skip
    prepare(**TEXTS, target=LABELS, path=tmp_path / "set", output=tmp_path / "out")
    hidden, everything = opened(tmp_path / "out")
    assert everything.names == ["blue", "red"]
    assert len(everything.split("test")) == 40
    first = everything.samples[everything.samples["split"] == "test"].iloc[:4]
    assert [json.loads(cell) for cell in first["labels"]] == [
        [],
        ["red"],
        ["blue"],
        ["blue", "red"],
    ]
    assert set(hidden.samples["split"]) == {"train", "val"}


@pytest.mark.parametrize("file", ["targets.npy", "names.json", "samples.csv", "offsets.npy"])
def test_a_changed_store_is_not_opened(tmp_path: Path, file: str) -> None:
    root = write_table(tmp_path / "set", y=numbers())
    prepare(**TEXTS, target=NUMBERS, path=root, output=tmp_path / "out")
    content = (tmp_path / "out" / file).read_bytes()
    (tmp_path / "out" / file).write_bytes(content[:-8] + b"\x7f" * 8)
    with pytest.raises(DataError, match="dvc repro prepare"):
        open_store(tmp_path / "out", ("train",))
