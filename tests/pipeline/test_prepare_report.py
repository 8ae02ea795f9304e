"""What prepare shows of data with all that can happen to data, and what it never shows."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sftcore.data.pictures.settings import PictureSettings
from sftcore.data.settings import DataSettings
from sftcore.foundations.artifacts import sha256_file
from sftcore.inspection.examples import pictures as sheets_of_pictures
from sftcore.inspection.sheets import Cell
from sftcore.pipeline.prepare import PrepareParams, prepare_and_show
from sftcore.reporting.parts import read_parts
from tests.conftest import DECODING, PREPARE
from tests.pictures import draw, encode, write_folders

REPORT = Path("reports/prepare")
CLASS_NAMES = ("=1+1|кошки", "日本語<b>", "a$b\u202e")


def settings(image_size: int = DECODING.image_size, **changes: Any) -> PrepareParams:
    pictures = {**vars(DECODING), "background": list(DECODING.background), "image_size": image_size}
    fields = {name: value for name, value in PREPARE.items() if name != "kind"}
    data = fields | {"path": "pictures", "pictures": PictureSettings(**pictures)} | changes
    return PrepareParams(data=DataSettings(**data))


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures with copies, broken files and odd names, in the current folder."""
    monkeypatch.chdir(tmp_path)
    plain = write_folders(tmp_path / "plain", per_class=14)
    for folder, name in zip(sorted(plain.iterdir()), CLASS_NAMES, strict=True):
        shutil.copytree(folder, tmp_path / "pictures" / name)
    first, second, _ = ((tmp_path / "pictures" / name) for name in CLASS_NAMES)
    shutil.copyfile(first / "001.png", first / "@copy-ü.png")
    shutil.copyfile(first / "002.png", second / "two labels.png")
    (second / "-empty.png").write_bytes(b"")
    (second / "+text\u202e.png").write_text("no picture")
    (second / "twin.png").write_bytes(encode(draw("square", 3).resize((44, 44)), "PNG"))
    return tmp_path


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Collects every picture that is put on a sheet."""
    seen: list[Cell] = []
    real = sheets_of_pictures.draw_sheet

    def spy(rows: Any, layout: Any, legend: Any = ()) -> bytes:
        seen.extend(cell for row in rows for cell in row.cells if cell is not None)
        return real(rows, layout, legend)

    monkeypatch.setattr(sheets_of_pictures, "draw_sheet", spy)
    return seen


def digests() -> dict[str, str]:
    return {
        path.as_posix(): sha256_file(path)
        for folder in (REPORT, Path("data/prepared"))
        for path in sorted(folder.iterdir())
    }


def test_everything_is_shown_safely_and_the_same_twice(hostile: Path) -> None:
    lines = prepare_and_show(settings())
    assert max(map(len, lines)) <= 96
    assert all(line.isprintable() for line in lines)
    before = digests()
    assert prepare_and_show(settings()) == lines
    assert digests() == before
    parts = {part.title: part for part in read_parts(REPORT)}
    assert list(parts) == [
        "Pictures and classes", "What the test split can show", "Pictures of every class",
        "Near-duplicates",
        "Refused pictures",
    ]  # fmt: skip
    refused = pd.read_csv(REPORT / "refused.csv")
    assert len(refused) == 5
    assert refused["reason"].value_counts().to_dict() == {
        "same bytes under two labels": 2, "empty file": 1, "not a picture": 1,
        "same bytes as another picture": 1,
    }  # fmt: skip
    for path in REPORT.glob("*.csv"):
        for value in pd.read_csv(path, dtype=str, na_filter=False).to_numpy().ravel():
            assert not value.startswith(("=", "+", "-", "@")), path
    for path in REPORT.glob("*.png"):
        with Image.open(path) as image:
            image.load()
            assert image.width <= 1000
    assert sum(path.stat().st_size for path in REPORT.iterdir()) < 1_500_000
    for figure in (figure for part in parts.values() for figure in part.figures):
        assert (REPORT / figure.file).is_file()


def test_no_test_picture_is_drawn_not_even_as_a_copy(
    hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = drawn(monkeypatch)
    kinds = ["train", "val", "test"]
    table = pd.DataFrame(
        [
            {"path": f"{CLASS_NAMES[0]}/{n:03d}.png", "label": CLASS_NAMES[0],
             "split": kinds[n % 3]} for n in range(12)
        ] + [
            {"path": f"{CLASS_NAMES[1]}/{n:03d}.png", "label": CLASS_NAMES[1],
             "split": kinds[n % 3]} for n in range(12)
        ] + [
            # Copies of a test and of a train picture, and a larger twin of a test picture.
            {"path": "copy-test.png", "label": CLASS_NAMES[0], "split": "train"},
            {"path": "copy-train.png", "label": CLASS_NAMES[0], "split": "train"},
            {"path": "twin-test.png", "label": CLASS_NAMES[0], "split": "train"},
        ]
    )  # fmt: skip
    table.to_csv("pictures/labels.csv", index=False)
    folder = Path("pictures") / CLASS_NAMES[0]
    shutil.copyfile(folder / "002.png", "pictures/copy-test.png")
    shutil.copyfile(folder / "000.png", "pictures/copy-train.png")
    with Image.open(folder / "005.png") as picture:
        picture.resize((80, 80)).save("pictures/twin-test.png")
    prepare_and_show(settings(source="table", image_size=40, max_refused_fraction=0.3))
    audit = pd.read_csv("data/prepared/audit.csv").set_index("id")["reason"].to_dict()
    assert audit == {
        "copy-test.png": "same bytes as another picture",
        "copy-train.png": "same bytes as another picture",
        "twin-test.png": "near-duplicate across splits",
    }
    samples = pd.read_csv("data/prepared/samples.csv")
    images = np.load("data/prepared/images.npy")
    hidden = images[samples["split"] == "test"].astype(int)
    assert len(seen) == 1 + (samples["split"] != "test").sum()
    for cell in seen:
        assert np.abs(hidden - cell.image).mean(axis=(1, 2, 3)).min() > 5, cell.lines
    assert [cell.lines[0] for cell in seen if cell.lines] == ["copy-train.png"]
    text = " ".join(part.text[0] for part in read_parts(REPORT))
    assert "24 pictures of 2 classes" in text
    assert json.loads((REPORT / "parts.json").read_text())


def test_many_classes_are_shown_up_to_the_stated_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = [[encode(draw("circle", 100 * k + n, 20)) for n in range(3)] for k in range(100)]
    for k, pictures in enumerate(content):
        folder = tmp_path / "pictures" / f"class {k:03d}"
        folder.mkdir(parents=True)
        for n, picture in enumerate(pictures):
            (folder / f"{n}.png").write_bytes(picture)
    lines = prepare_and_show(settings(near_duplicate_distance=-1, image_size=16))
    assert len(lines) < 22
    assert any("94 classes between" in line for line in lines)
    (part,) = [part for part in read_parts(REPORT) if part.title == "Pictures of every class"]
    assert len(part.figures) == 4
    assert "80 of 100 classes" in " ".join(part.text)
    assert not (REPORT / "refused.csv").exists()
    assert sum(path.stat().st_size for path in REPORT.glob("pictures_*.png")) < 1_500_000
