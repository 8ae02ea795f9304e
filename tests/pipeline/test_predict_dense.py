"""The command ``predict`` with models of masks and of boxes."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from sftcore.data.pictures.decode import Decoding, decode_square
from sftcore.evaluation.predict import ModelRecord, load_model, look_at
from sftcore.foundations.errors import DataError, OutputError, ParamsError
from sftcore.models.dense.resampling import upsample
from sftcore.pipeline import predict as predicting
from sftcore.pipeline.predict import PredictOptions, predict
from sftcore.pipeline.predict_command import add_predict
from sftcore.tasks.answers import answers_of
from sftcore.use.output_options import OutputOptions, check_outputs
from sftcore.use.pictures import PictureReading
from sftcore.use.reading import ReadingOptions, reading_of
from sftcore.use.usages import USAGES
from tests.pictures import encode
from tests.use.finished_dense import NAMES, SIDE, pictures, write_dense_model

TASKS = ("segmentation", "detection")
SIZES = {
    "a.png": (150, 90),
    "a.jpg": (40, 200),
    "sub/square.png": (SIDE, SIDE),
    "sub/b.png": (61, 60),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models with their rules, and a folder of pictures of many sizes, one of them broken."""
    root = tmp_path_factory.mktemp("dense")
    for task in TASKS:
        write_dense_model(root / task, task)
    stream = np.random.default_rng(3)
    for name, (width, height) in SIZES.items():
        file = root / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        small = stream.integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST)
        file.write_bytes(encode(picture, "JPEG" if file.suffix == ".jpg" else "PNG"))
    (root / "in" / "sub" / "broken.png").write_bytes(b"no picture")
    return root


@pytest.fixture
def here(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(root / "in", tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(root: Path, here: Path) -> Any:
    def run(task: str, *inputs: str, out: str = "out.csv", **options: Any) -> list[str]:
        places = ("draw", "masks", "coco")
        outputs = {n: Path(options.pop(n)) for n in places if n in options}
        read = {n: options.pop(n) for n in ("tile", "overlap", "max_pixels") if n in options}
        asked = PredictOptions(
            inputs or ("in",), Path(out), model=root / task / "models" / "finetuned", device="cpu",
            num_workers=options.pop("num_workers", 0), outputs=OutputOptions(**outputs),
            reading=ReadingOptions(**read), **options,
        )  # fmt: skip
        return list(predict(asked))

    return run


def all_of(task: str, **more: Any) -> dict[str, Any]:
    """Every output of a task."""
    own = {"masks": "masks"} if task == "segmentation" else {"coco": "boxes.json"}
    return {"draw": "drawn"} | own | more


def contents(folder: Path) -> dict[str, bytes]:
    """All files in a folder but the inputs, by their relative names."""
    names = {str(of.relative_to(folder)): of for of in sorted(folder.rglob("*")) if of.is_file()}
    return {name: of.read_bytes() for name, of in names.items() if not name.startswith("in/")}


def read(file: str = "out.csv") -> pd.DataFrame:
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def test_masks_are_those_that_evaluate_measures(root: Path, run: Any) -> None:
    lines = run("segmentation", **all_of("segmentation"), with_probabilities=True)
    model = load_model(root / "segmentation" / "models" / "finetuned")
    content = Path("in/sub/square.png").read_bytes()
    square = decode_square(content, Decoding(SIDE, 10**6, (9, 9, 9))).pixels
    said = look_at(model.network, square[None], model.sight, answers_of("segmentation", {})).answers
    expected = upsample(torch.from_numpy(said), (SIDE, SIDE))[0].argmax(dim=0).numpy()
    with Image.open("masks/sub/square.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask), expected)
        assert (mask.mode, len(np.unique(expected))) == ("P", 2)
    table = read().set_index("file")
    shares = table.loc["in/sub/square.png", ["p_0", "p_1", "p_2"]].astype(float).tolist()
    assert shares == pytest.approx([(expected == k).mean() for k in range(3)], abs=1e-9)
    present = json.loads(table.loc["in/sub/square.png", "classes"])
    assert present == [
        NAMES["segmentation"][k] for k in np.argsort(shares)[::-1] if shares[k] and k != 1
    ]
    assert table.loc["in/sub/broken.png", "reason"].startswith("not a picture")
    assert table.loc["in/sub/broken.png", "classes"] == ""
    assert any("wrote out.csv: 5 files, 1 without an answer" in line for line in lines)


@pytest.mark.parametrize("task", TASKS)
def test_files_have_the_pictures_names_and_sizes(task: str, run: Any) -> None:
    run(task, **all_of(task))
    expected = {"a.jpg": "a.png", "a.png": "a.png.png", "sub/square.png": "sub/square.png",
                "sub/b.png": "sub/b.png"}  # fmt: skip
    folders = ["drawn", "masks"] if task == "segmentation" else ["drawn"]
    for folder in folders:
        for name, written in expected.items():
            with Image.open(Path(folder, written)) as picture:
                assert picture.size == SIZES[name]
    extra = {"drawn": {"legend.png"}, "masks": {"classes.csv"}} if task == "segmentation" else {}
    for folder in folders:
        assert set(contents(Path(folder))) == {*expected.values(), *extra.get(folder, ())}
    table = read().set_index("file")
    for name, (width, height) in SIZES.items():
        row = table.loc[f"in/{name}"]
        assert (row["width"], row["height"]) == (str(width), str(height))


def test_boxes_are_the_models_own_in_the_pictures_pixels(root: Path, run: Any) -> None:
    run("detection", **all_of("detection"), decision="none")
    model = load_model(root / "detection" / "models" / "finetuned")
    answers = answers_of("detection", model.record.facts)
    content = Path("in/sub/square.png").read_bytes()
    square = decode_square(content, Decoding(SIDE, 10**6, (9, 9, 9))).pixels
    (said,) = look_at(model.network, square[None], model.sight, answers).answers
    said = said[said[:, 5] >= 0]
    found = json.loads(read().set_index("file").loc["in/sub/square.png", "boxes"])
    assert len(found) == len(said) > 5
    np.testing.assert_allclose([of["box"] for of in found], said[:, :4], atol=0.006)
    np.testing.assert_array_equal(np.float32([of["score"] for of in found]), said[:, 4])
    assert [of["class"] for of in found] == [NAMES["detection"][int(k)] for k in said[:, 5]]
    written = json.loads(Path("boxes.json").read_text())
    assert [of["file_name"] for of in written["images"]] == [
        "a.jpg",
        "a.png",
        "sub/b.png",
        "sub/square.png",
    ]
    own = [of for of in written["annotations"] if of["image_id"] == 4]
    assert [of["score"] for of in own] == [of["score"] for of in found]
    for of, box in zip(own, found, strict=True):
        left, top, right, bottom = box["box"]
        assert of["bbox"] == pytest.approx([left, top, right - left, bottom - top], abs=1e-6)


def test_the_rule_decides_what_is_given_everywhere(root: Path, run: Any) -> None:
    run("detection", out="all.csv", coco="all.json", decision="none")
    run("detection", coco="some.json")
    rule = json.loads((root / "detection/models/decision/decision.json").read_text())["boxes"]
    every, some = (
        {of["file"]: json.loads(of["boxes"] or "[]") for _, of in read(name).iterrows()}
        for name in ("all.csv", "out.csv")
    )
    assert 0 < sum(map(len, some.values())) < sum(map(len, every.values()))
    for name, boxes in every.items():
        assert some[name] == [of for of in boxes if of["score"] >= rule["threshold"]]
    counts = [
        len(json.loads(Path(f).read_text())["annotations"]) for f in ("some.json", "all.json")
    ]
    assert counts == [sum(map(len, of.values())) for of in (some, every)]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("tile", [None, 50])
def test_an_ended_run_goes_on_and_ends_with_the_same_bytes(
    task: str, tile: int | None, here: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = all_of(task) | ({} if tile is None else {"tile": tile})
    run(task, **asked)
    expected = contents(here)
    for name in expected:
        (here / name).unlink()
    monkeypatch.setattr(PictureReading, "group", 1)
    calls = []

    def ends(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return look_at(*given)

    monkeypatch.setattr(predicting, "look_at", ends)
    with pytest.raises(KeyboardInterrupt):
        run(task, **asked)
    assert not Path("out.csv").exists()
    written = set(contents(here / "drawn")) - {"legend.png"}
    assert written == {"a.png", "a.png.png"}, "files of done rows, and no others"
    Path("drawn/.a.png.999999999.tmp").write_bytes(b"half")
    lines = run(task, **asked)
    assert lines[0] == "goes on after 2 rows of an earlier run"
    assert contents(here) == expected


def test_a_file_is_there_before_its_row_is_done(
    here: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PictureReading, "group", 1)
    seen: list[tuple[str, bool]] = []
    add = predicting.Journal.add

    def looks(self: Any, examples: Any, rows: Any) -> None:
        seen.extend((of.name, Path("drawn", Path(of.name).name).exists()) for of in examples)
        add(self, examples, rows)

    monkeypatch.setattr(predicting.Journal, "add", looks)
    run("detection", "in/sub", draw="drawn")
    assert seen == [
        ("in/sub/b.png", True),
        ("in/sub/broken.png", False),
        ("in/sub/square.png", True),
    ]


def test_other_folders_are_other_work(
    here: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PictureReading, "group", 1)
    calls = []

    def ends(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return look_at(*given)

    with monkeypatch.context() as patch:
        patch.setattr(predicting, "look_at", ends)
        with pytest.raises(KeyboardInterrupt):
            run("detection", draw="one")
    assert not any("goes on" in line for line in run("detection", draw="two"))
    assert len(contents(here / "two")) == 4


@pytest.mark.parametrize("task", TASKS)
def test_a_picture_that_fits_one_tile_gives_the_same(task: str, here: Path, run: Any) -> None:
    run(task, **all_of(task))
    whole = contents(here)
    run(task, **all_of(task), tile=200)
    assert contents(here) == whole
    run(task, **all_of(task), tile=64)
    tiled, rows = contents(here), read()
    same = [name for name, of in whole.items() if of == tiled[name]]
    assert {"drawn/sub/b.png", "drawn/sub/square.png"} <= set(same)
    assert "out.csv" not in same
    run(task, "in/a.png", out="one.csv", tile=64)
    assert read("one.csv").iloc[0].tolist() == rows[rows["file"] == "in/a.png"].iloc[0].tolist()


def test_other_processes_read_the_same(here: Path, run: Any) -> None:
    for number in range(40):
        (here / "in" / f"n{number:02d}.png").write_bytes(
            encode(Image.fromarray(pictures(1, number)[0]))
        )
    run("segmentation", tile=50)
    one = Path("out.csv").read_bytes()
    run("segmentation", tile=50, num_workers=1)
    assert Path("out.csv").read_bytes() == one


def test_what_an_earlier_run_wrote_is_no_input(here: Path, run: Any) -> None:
    asked = {"draw": "in/drawn", "coco": "in/boxes.json"}
    for _ in range(2):
        lines = run("detection", **asked)
        assert any("wrote out.csv: 5 files, 1 without" in line for line in lines)
    with pytest.raises(DataError, match="all files lie in"):
        run("detection", "in/drawn/*.png", draw="in/drawn")


def refused(run: Any, message: str, task: str, *inputs: str, **options: Any) -> None:
    with pytest.raises((ParamsError, OutputError), match=message):
        run(task, *inputs, **options)
    assert not Path("out.csv").exists()
    assert not list(Path().glob(".out.csv*"))


def test_what_means_nothing_or_would_do_harm_is_refused_at_once(
    here: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predicting, "load_model", None)  # nothing has begun
    refused(run, "--masks means nothing for a model of detection", "detection", masks="m")
    refused(run, "--coco means nothing for a model of segmentation", "segmentation", coco="c")
    refused(run, "--probabilities means nothing for", "detection", with_probabilities=True)
    refused(run, "--overlap is of tiles: add --tile", "detection", overlap=0.5)
    refused(run, "the input in lies in the folder of --draw", "detection", draw="in")
    refused(run, "the input in lies in the folder of --masks", "segmentation", masks=".")
    refused(run, "the input in/a.png lies in", "detection", "in/a.png", draw="in")
    refused(run, "--draw and --masks name one place", "segmentation", draw="d", masks="./d")
    refused(run, "--masks lies in that of --draw", "segmentation", draw="d", masks="d/m")
    refused(run, "--out and --coco name one place", "detection", coco="./out.csv")
    refused(run, "is a file: name a folder after --draw", "detection", "in/sub", draw="in/a.png")
    refused(run, "is a folder: name a file after --coco", "detection", coco="in")
    assert {of.name for of in here.iterdir()} == {"in"}


def test_a_table_where_a_picture_would_be_is_refused(here: Path, run: Any) -> None:
    with pytest.raises(ParamsError, match="is where a picture would be written"):
        run("detection", out="drawn/a.png", draw="drawn")


def test_a_picture_that_changes_while_it_is_read_is_told(
    here: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loses(*given: Any) -> Any:
        Path("in/sub/b.png").unlink(missing_ok=True)
        return look_at(*given)

    monkeypatch.setattr(predicting, "look_at", loses)
    with pytest.raises(DataError, match=r"in/sub/b\.png changed while it was read .* run again"):
        run("detection", draw="drawn")


def test_a_model_of_classes_takes_none_of_it() -> None:
    record = ModelRecord("b", 0.0, {}, 1, "native", "m", classes=["a", "b"], image_size=8)
    for options in (ReadingOptions(tile=50), ReadingOptions(overlap=0.5)):
        message = "means nothing for a model of pictures for classification: leave it out"
        with pytest.raises(ParamsError, match=message):
            reading_of(record, options)
    for name in ("draw", "masks", "coco"):
        with pytest.raises(ParamsError, match=f"--{name} means nothing for a model of"):
            check_outputs(
                OutputOptions(**{name: Path("x")}), USAGES["classification"](["a", "b"]),
                "classification", Path("out.csv"), ["in"],
            )  # fmt: skip


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--tile", "31"], "at least 32 pixels"),
        (["--tile", "x"], "whole number"),
        (["--overlap", "0.95"], "at most 0.9"),
        (["--overlap", "-1"], "from 0"),
    ],
)
def test_the_command_says_what_a_tile_can_be(
    option: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_predict(parser.add_subparsers())
    given = parser.parse_args(["predict", "in", "--out", "o", "--tile", "64", "--overlap", "0"])
    assert (given.tile, given.overlap, given.draw, given.masks, given.coco) == (
        64,
        0.0,
        *[None] * 3,
    )
    with pytest.raises(SystemExit):
        parser.parse_args(["predict", "in", "--out", "o", *option])
    assert message in capsys.readouterr().err
