"""The committed example data are what their lists say, and within what their READMEs promise."""

import csv
import hashlib
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.make.folders import DATA, SUMS, differences, read_sums
from data.make.glosses import LEFT_OUT, NUM_PER_CLASS
from data.make.tags import LABELS
from data.make.wordnet import CLASSES

MAX_BYTES = {
    "glosses": 400_000, "tags": 3_000_000, "counts": 2_500_000, "definitions": 100_000,
    "decoder": 4_000_000, "scenes": 6_500_000,
}  # fmt: skip


def table(folder: str, name: str) -> list[dict[str, str]]:
    with (DATA / folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", MAX_BYTES)
def test_files_are_those_of_the_list(name: str) -> None:
    assert differences(DATA / name) == []


@pytest.mark.parametrize("name", MAX_BYTES)
def test_no_file_is_a_double_and_all_are_small(name: str) -> None:
    """Masks of scenes without a thing are alike."""
    files = [path for path in (DATA / name).rglob("*") if path.is_file()]
    contents = [path.read_bytes() for path in files if path.parent.name != "masks"]
    assert len({hashlib.sha256(content).digest() for content in contents}) == len(contents)
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES[name]


def test_a_changed_a_lost_and_a_new_file_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "counts"
    shutil.copytree(DATA / "counts", folder)
    (folder / "labels.csv").write_text("path,count\n")
    (folder / "pictures" / "000.jpg").unlink()
    (folder / "pictures" / "more.jpg").write_bytes(b"")
    assert differences(folder) == [
        "missing: pictures/000.jpg",
        "changed: labels.csv",
        "not listed: pictures/more.jpg",
    ]


def test_glosses_are_sixty_of_each_class_and_all_texts_differ() -> None:
    rows = table("glosses", "glosses.csv")
    labels = set(CLASSES.values()) - LEFT_OUT
    assert Counter(row["label"] for row in rows) == dict.fromkeys(labels, NUM_PER_CLASS)
    assert len({row["text"].casefold() for row in rows}) == len(rows)
    assert len({row["id"] for row in rows}) == len(rows)
    assert {row["group"] for row in rows} <= {row["id"] for row in rows}
    assert all('"' not in row["text"] and row["text"].isascii() for row in rows)
    assert "Princeton University" in (DATA / "glosses" / "LICENSE.txt").read_text()


def test_tags_are_known_sorted_and_each_on_thirty_drawings() -> None:
    rows = table("tags", "labels.csv")
    lists = [row["labels"].split("|") for row in rows]
    assert all(names == sorted(set(names)) and names[0] for names in lists)
    times = Counter(name for names in lists for name in names)
    assert set(times) == set(LABELS)
    assert min(times.values()) >= 30
    assert np.mean([len(names) > 1 for names in lists]) > 0.4


@pytest.mark.parametrize(
    ("name", "column"),
    [("tags", "openclipart_path"), ("counts", "openclipart_path"), ("scenes", "path")],
)
def test_no_drawing_is_also_in_the_clipart(name: str, column: str) -> None:
    shown = {row["openclipart_path"] for row in table("clipart", "SOURCES.csv")}
    assert shown.isdisjoint(row[column] for row in table(name, "SOURCES.csv"))


@pytest.mark.parametrize(
    ("name", "sides"), [("tags", (1, 128)), ("counts", (128, 128)), ("scenes", (256, 256))]
)
def test_pictures_are_those_of_the_table_and_can_be_read(name: str, sides: tuple[int, int]) -> None:
    paths = [row["path"] for row in table(name, "labels.csv")]
    listed = set(read_sums(DATA / name))
    assert sorted(paths) == sorted(path for path in listed if path.startswith("pictures/"))
    pixels = set()
    for path in paths:
        with Image.open(DATA / name / path) as image:
            assert image.format == "JPEG"
            assert image.mode == "RGB"
            assert sides[0] <= min(image.size) <= max(image.size) <= sides[1]
            pixels.add(hashlib.sha256(image.tobytes()).digest())
    assert len(pixels) == len(paths)


def test_every_tagged_picture_has_an_origin() -> None:
    paths = {row["path"] for row in table("tags", "labels.csv")}
    assert {row["file"] for row in table("tags", "SOURCES.csv")} == paths


def test_counts_are_balanced_and_covers_whole_pixels() -> None:
    rows = table("counts", "labels.csv")
    assert Counter(int(row["count"]) for row in rows) == dict.fromkeys(range(1, 13), 40)
    pixels = np.array([float(row["covered"]) for row in rows]) * 128**2
    assert np.abs(pixels - np.rint(pixels)).max() < 0.01
    assert pixels.min() > 0
    assert pixels.max() < 128**2


def test_no_cutout_is_in_two_groups() -> None:
    origins = table("counts", "SOURCES.csv")
    groups = Counter(row["group"] for row in table("counts", "labels.csv"))
    assert len({row["sha256"] for row in origins}) == len(origins)
    assert Counter(row["group"] for row in origins) == dict.fromkeys(groups, 5)
    assert len(groups) == 80


def test_the_list_has_the_form_of_sha256sum() -> None:
    first = (DATA / "glosses" / SUMS).read_text().splitlines()[0]
    digest = hashlib.sha256((DATA / "glosses" / "LICENSE.txt").read_bytes()).hexdigest()
    assert first == f"{digest}  LICENSE.txt"
