"""One small data set, written in every layout that the sources read."""

import base64
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.pictures import CLASSES, draw, encode

SPLITS = ("train", "val", "test")
Sample = tuple[str, str, str, bytes]  # split, class, file name, content


def samples(splits: Iterable[str] = SPLITS) -> list[Sample]:
    """Pictures of three classes, as many in each split; sorted by split, class and name."""
    return [
        (split, kind, f"{number + 20 * SPLITS.index(split):03d}.png",
         encode(draw(kind, number + 20 * SPLITS.index(split))))
        for split in splits
        for kind in CLASSES
        for number in range(6)
    ]  # fmt: skip


def _write(root: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    for name, content in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def names(rows: Iterable[Sample], prefix: str = "") -> list[tuple[str, bytes]]:
    return [(f"{prefix}{split}/{kind}/{name}", content) for split, kind, name, content in rows]


def splits(root: Path, rows: list[Sample]) -> Path:
    return _write(root, names(rows))


def other_names(root: Path, rows: list[Sample]) -> Path:
    usual = {"train": "Training", "val": "VALID", "test": "testing"}
    return _write(root, names([(usual[s], *rest) for s, *rest in rows]))


def zipped(root: Path, rows: list[Sample]) -> Path:
    root.mkdir()
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        for name, content in [("set/README.txt", b"hello"), *names(rows, "set/")]:
            archive.writestr(name, content)
        archive.writestr("__MACOSX/set/train/circle/._000.png", b"junk")
    return root / "set.zip"


def tar_of(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    mode = {".gz": "w:gz", ".tgz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def tarred(name: str) -> Callable[[Path, list[Sample]], Path]:
    def write(root: Path, rows: list[Sample]) -> Path:
        root.mkdir()
        # Another order than that of the names: reading follows the archive.
        tar_of(root / name, names(reversed(rows), "./"))
        return root

    return write


def table(suffix: str) -> Callable[[Path, list[Sample]], Path]:
    def write(root: Path, rows: list[Sample]) -> Path:
        _write(root, [(f"files/{s}-{k}-{n}", content) for s, k, n, content in rows])
        cells = pd.DataFrame(
            [(f"files/{s}-{k}-{n}", k, s) for s, k, n, _ in rows],
            columns=["file_name", "class", "split"],
        )
        if suffix == "parquet":
            cells.to_parquet(root / "mine.parquet")
        elif suffix == "jsonl":
            cells.to_json(root / "mine.jsonl", orient="records", lines=True)
        else:
            cells.to_csv(root / f"mine.{suffix}", index=False, sep="\t" if suffix == "tsv" else ",")
        return root

    return write


def base64_lines(root: Path, rows: list[Sample]) -> Path:
    lines = [
        json.dumps({"image": base64.b64encode(content).decode(), "label": k, "split": s})
        for s, k, _, content in rows
    ]
    return _write(root, [("mine.jsonl", "\n".join(lines).encode())]) / "mine.jsonl"


def byte_parquet(root: Path, rows: list[Sample]) -> Path:
    root.mkdir()
    cells = {"image": [r[3] for r in rows], "label": [r[1] for r in rows]}
    pq.write_table(pa.table(cells | {"split": [r[0] for r in rows]}), root / "a.parquet")
    return root / "a.parquet"


def image_folder(suffix: str) -> Callable[[Path, list[Sample]], Path]:
    def write(root: Path, rows: list[Sample]) -> Path:
        for split in SPLITS:
            _write(root / split, [(f"{k}-{n}", c) for s, k, n, c in rows if s == split])
            cells = pd.DataFrame(
                [(f"{k}-{n}", k) for s, k, n, _ in rows if s == split],
                columns=["file_name", "label"],
            )
            if suffix == "csv":
                cells.to_csv(root / split / "metadata.csv", index=False)
            else:
                cells.to_json(root / split / "metadata.jsonl", orient="records", lines=True)
        return root

    return write


FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": list(CLASSES), "_type": "ClassLabel"},
}


def arrow_table(rows: list[Sample], *, with_info: bool) -> pa.Table:
    """As ``datasets`` keeps pictures: structs of bytes and path, classes by number."""
    cells = pa.table(
        {
            "image": [{"bytes": content, "path": name} for _, _, name, content in rows],
            "label": pa.array([CLASSES.index(kind) for _, kind, _, _ in rows], pa.int64()),
        }
    )
    info = json.dumps({"info": {"features": FEATURES}})
    return cells.replace_schema_metadata({"huggingface": info}) if with_info else cells


def hub_shards(root: Path, rows: list[Sample]) -> Path:
    (root / "data").mkdir(parents=True)
    (root / "README.md").write_text("# a data set")
    for split, name in zip(SPLITS, ("train", "validation", "test"), strict=True):
        part = [row for row in rows if row[0] == split]
        halves = [part[: len(part) // 2], part[len(part) // 2 :]]
        for index, half in enumerate(halves if part else []):
            file = root / "data" / f"{name}-{index:05d}-of-00002.parquet"
            pq.write_table(arrow_table(half, with_info=True), file, row_group_size=4)
    return root


def saved(root: Path, rows: list[Sample]) -> Path:
    for split in SPLITS:
        folder = root / split
        folder.mkdir(parents=True)
        part = arrow_table([row for row in rows if row[0] == split], with_info=False)
        with pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file:  # noqa: SIM117
            with pa.ipc.new_stream(file, part.schema) as writer:
                writer.write_table(part, max_chunksize=5)
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
        (folder / "state.json").write_text(json.dumps(state))
        (folder / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    (root / "dataset_dict.json").write_text(json.dumps({"splits": list(SPLITS)}))
    return root


def shards(suffix: str, label: str) -> Callable[[Path, list[Sample]], Path]:
    def write(root: Path, rows: list[Sample]) -> Path:
        root.mkdir()
        for split in SPLITS:
            part = [row for row in rows if row[0] == split]
            for index in range(2):
                files: list[tuple[str, bytes]] = []
                for number, (_, kind, _, content) in enumerate(part[index::2]):
                    note = {"cls": str(CLASSES.index(kind)), "txt": kind,
                            "json": json.dumps({"label": kind, "size": 40})}[label]  # fmt: skip
                    files += [
                        (f"{number:06d}.png", content),
                        (f"{number:06d}.{label}", note.encode()),
                    ]
                tar_of(root / f"{split}-{index:06d}{suffix}", files)
        (root / "classnames.txt").write_text("\n".join(CLASSES))
        return root

    return write


# Every layout with a word that its one line must hold.
LAYOUTS: dict[str, tuple[Callable[[Path, list[Sample]], Path], str]] = {
    "splits": (splits, "splits test, train, val with class folders in each"),
    "other names": (other_names, "splits Training, VALID, testing with class folders in each"),
    "zip": (zipped, "splits test, train, val with class folders in each, in set/"),
    "tar": (tarred("set.tar"), "splits test, train, val"),
    "tar.gz": (tarred("set.tar.gz"), "splits test, train, val"),
    "tgz": (tarred("set.tgz"), "splits test, train, val"),
    "tar.xz": (tarred("set.tar.xz"), "splits test, train, val"),
    "csv": (table("csv"), "table mine.csv"),
    "tsv": (table("tsv"), "table mine.tsv"),
    "jsonl": (table("jsonl"), "table mine.jsonl"),
    "parquet": (table("parquet"), "table mine.parquet"),
    "base64": (base64_lines, "table mine.jsonl with the pictures in it"),
    "bytes": (byte_parquet, "table a.parquet with the pictures in it"),
    "imagefolder csv": (image_folder("csv"), "pictures with test/metadata.csv"),
    "imagefolder jsonl": (image_folder("jsonl"), "pictures with test/metadata.jsonl"),
    "hub": (hub_shards, "6 Parquet shards"),
    "saved": (saved, "a data set saved with save_to_disk"),
    "webdataset cls": (shards(".tar", "cls"), "6 WebDataset shards"),
    "webdataset json": (shards(".tar", "json"), "6 WebDataset shards"),
    "webdataset txt gz": (shards(".tar.gz", "txt"), "6 WebDataset shards"),
}
