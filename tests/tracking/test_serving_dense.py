"""The logged model of masks and of boxes: what it answers, here and without the repository."""

import base64
import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model
from PIL import Image

from sftcore.evaluation.predict import load_model, look_at
from sftcore.pyfunc_model import BadInput, FineTunedModel, save_model
from sftcore.tasks.answers import answers_of
from tests.import_closure import ROOT
from tests.pictures import encode
from tests.use.finished_dense import NAMES, SIDE, pictures, write_dense_model

TASKS = ("segmentation", "detection")
COLUMNS = {
    "segmentation": ["width", "height", "mask", "classes", "confidence"],
    "detection": ["width", "height", "num_boxes", "boxes"],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dense")
    for task in TASKS:
        folder = write_dense_model(root / task, task)
        save_model(root / task / "logged", folder, Model())
    return root


def loaded(root: Path, task: str) -> FineTunedModel:
    model = FineTunedModel()
    model.load_context(SimpleNamespace(artifacts={"model": str(root / task / "models/finetuned")}))
    return model


def oblong(width: int, height: int) -> bytes:
    small = np.random.default_rng(2).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return encode(Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST))


def masks_of(table: pd.DataFrame) -> list[np.ndarray]:
    files = [BytesIO(base64.b64decode(cell)) for cell in table["mask"]]
    return [np.asarray(Image.open(file)) for file in files]


@pytest.mark.parametrize("task", TASKS)
def test_encoded_files_are_answered_in_their_own_pixels(root: Path, task: str) -> None:
    files = [oblong(90, 50), oblong(30, 200)]
    asked: list[Any] = [files[0], base64.b64encode(files[1]).decode()]
    table = loaded(root, task).predict(SimpleNamespace(), asked)
    assert list(table.columns) == COLUMNS[task]
    assert table[["width", "height"]].to_numpy().tolist() == [[90, 50], [30, 200]]
    if task == "segmentation":
        assert [mask.shape for mask in masks_of(table)] == [(50, 90), (200, 30)]
        return
    for cell, (width, height) in zip(table["boxes"], ((90, 50), (30, 200)), strict=True):
        boxes = np.array([of["box"] for of in json.loads(cell)])
        assert (boxes >= 0).all()
        assert (boxes <= [width, height, width, height]).all()
        assert boxes[:, 2:].max() > min(width, height) / 2


@pytest.mark.parametrize("task", TASKS)
def test_pixels_are_answered_in_the_square(root: Path, task: str) -> None:
    squares = pictures(3, seed=8)
    table = loaded(root, task).predict(SimpleNamespace(), squares)
    model = load_model(root / task / "models" / "finetuned")
    answers = answers_of(task, model.record.facts)
    said = look_at(model.network, squares, model.sight, answers).answers
    assert (table[["width", "height"]].to_numpy() == SIDE).all()
    if task == "segmentation":
        for mask, cell in zip(masks_of(table), table["classes"], strict=True):
            there = {NAMES[task][k] for k in np.unique(mask)} - {"background"}
            assert set(json.loads(cell)) == there
        assert (masks_of(table)[0] == masks_of(table)[0][0, 0]).mean() < 1
        return
    found = [json.loads(cell) for cell in table["boxes"]]
    assert (
        table["num_boxes"].tolist()
        == [len(of) for of in found]
        == (said[:, :, 5] >= 0).sum(1).tolist()
    )
    np.testing.assert_array_equal(np.float32(found[1][0]["score"]), said[1, 0, 4])


@pytest.mark.parametrize("task", TASKS)
def test_what_is_no_picture_is_told(root: Path, task: str) -> None:
    model = loaded(root, task)
    for given, message in (
        ([b"none"], "picture 0: not a picture"),
        ([oblong(5, 5), "%"], "picture 1: not base64"),
        (np.zeros((1, 3, 3, 3), np.uint8), "wanted: "),
        ([], "no picture was given"),
    ):
        with pytest.raises(BadInput, match=message):
            model.predict(SimpleNamespace(), given)


@pytest.mark.parametrize("task", TASKS)
def test_the_signature_names_the_columns(root: Path, task: str) -> None:
    outputs = Model.load(str(root / task / "logged")).get_output_schema()
    assert outputs is not None
    assert outputs.input_names() == COLUMNS[task]


def test_it_loads_elsewhere(root: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(oblong(90, 50))
    code = (
        "import mlflow, sys\n"
        f"model = mlflow.pyfunc.load_model({str(root / 'segmentation' / 'logged')!r})\n"
        "answer = model.predict([open('a.png', 'rb').read()])\n"
        "print(answer['mask'][0])\n"
        "import sftcore; print(sftcore.__file__)\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    *_, mask, place = done.stdout.strip().splitlines()
    here = loaded(root, "segmentation").predict(SimpleNamespace(), [oblong(90, 50)])
    assert mask == here["mask"][0]
    assert not place.startswith(str(ROOT))
