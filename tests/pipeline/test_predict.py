"""The command ``predict``, run as a user runs it, on a small project."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.pictures import encode
from tests.pipeline.project import call_program, copy_project, environment, run_program

pytestmark = pytest.mark.timeout(900)  # of real stages, on a slow machine

COMMAND = (sys.executable, "-m", "sftcore", "predict")
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="module")
def project(untold_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(untold_project, tmp_path_factory.mktemp("predict") / "project")


def predict(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_program(project, *COMMAND, *arguments, env=NO_GPU)


def predict_here(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same in this process, which saves the imports."""
    return call_program(project, "predict", "--device", "cpu", "--workers", "0", *arguments)


def read(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def test_the_answers_are_those_of_evaluate_to_the_bit(project: Path) -> None:
    expected = read(project / "reports/evaluate/predictions.csv").set_index("id")
    done = predict(project, "data/mine", "--probabilities", "--out", "all.csv")
    assert done.returncode == 0, done.stderr
    found = read(project / "all.csv")
    found.index = pd.Index(found["file"].str.removeprefix("data/mine/"))
    assert sorted(found.index) == sorted(expected.index)
    columns = ["p_0", "p_1", "p_2", "confidence"]
    pd.testing.assert_frame_equal(found.loc[expected.index, columns], expected[columns],
                                  check_names=False)  # fmt: skip
    floats = [table.loc[expected.index, columns].astype(np.float32) for table in (found, expected)]
    np.testing.assert_array_equal(*floats)
    assert (found.loc[expected.index, "label"] == expected["predicted"]).all()
    distance = read(project / "reports/evaluate/unlike.csv").set_index("id")
    np.testing.assert_array_equal(found.loc[distance.index, "distance"], distance["distance"])
    assert f"wrote all.csv: {len(found)} files, 0 without an answer" in done.stdout

    one = found["file"].iloc[17]
    done = predict_here(project, one, "--probabilities", "--out", "one.csv")
    assert done.returncode == 0, done.stderr
    assert read(project / "one.csv").iloc[0].tolist() == found.iloc[17].tolist()


def test_the_rules_are_those_of_the_record(project: Path) -> None:
    decision = json.loads((project / "models/decision/decision.json").read_text())
    predictions = read(project / "reports/evaluate/predictions.csv").set_index("id")
    done = predict_here(project, "data/mine", "--out", "rules.csv")
    assert done.returncode == 0, done.stderr
    found = read(project / "rules.csv")
    found.index = pd.Index(found["file"].str.removeprefix("data/mine/"))
    test = predictions[predictions["split"] == "test"]
    inside = [
        label in json.loads(labels)
        for label, labels in zip(test["label"], found.loc[test.index, "labels"], strict=True)
    ]
    assert np.mean(inside) == pytest.approx(decision["coverage"]["test"]["value"])
    sizes = found.loc[test.index, "num_labels"].astype(int)
    assert sizes.mean() == pytest.approx(decision["coverage"]["test_mean_labels"])
    passed = (found.loc[test.index, "unlike"] == "False").mean()
    assert passed == pytest.approx(decision["unlike"]["test_passed"]["value"])
    least = decision["abstention"]["least_probability"]
    abstains = found["probability"].astype(float) < (np.inf if least is None else least - 1e-9)
    assert (abstains == (found["abstain"] == "True")).all()
    answered = 1 - abstains.loc[test.index].mean()
    assert answered == pytest.approx(decision["abstention"]["test_answered"]["value"])


def test_bad_files_are_rows_and_no_cell_is_a_formula(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copyfile(project / "data/mine/circle/000.png", folder / "a.png")
    (folder / "b.png").write_bytes(b"no picture")
    (folder / "c.png").write_bytes(b"")
    shutil.copyfile(folder / "a.png", folder / "=d.png")
    done = run_program(
        folder, *COMMAND, "=d.png", "a.png", "b.png", "c.png", "--out", "out.csv",
        "--model", str(project / "models/finetuned"), env=NO_GPU | {"PYTHONPATH": str(project)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    table = read(folder / "out.csv")
    assert table["file"].tolist() == ["'=d.png", "a.png", "b.png", "c.png"]
    assert (table["label"] == "").tolist() == [False, False, True, True]
    assert table["reason"].str.contains("not a picture|empty file").tolist() == [
        False, False, True, True,
    ]  # fmt: skip
    assert "2 without an answer" in done.stdout


def tells(project: Path, *arguments: str) -> str:
    done = predict_here(project, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_cannot_be_done_is_said_at_once(project: Path) -> None:
    assert "no file matches" in tells(project, "data/*.none", "--out", "x.csv")
    gpu = predict(project, "data/mine", "--out", "x.csv", "--device", "cuda")
    assert (gpu.returncode, "Traceback" in gpu.stderr) == (2, False)
    assert "torch sees 0 CUDA devices" in gpu.stderr
    assert "holds no fine-tuned model" in tells(project, "data", "--model", "m", "--out", "x.csv")
    assert not (project / "x.csv").exists()


def test_rules_of_another_model_are_refused_and_missing_ones_are_told(
    project: Path, tmp_path: Path
) -> None:
    shutil.copytree(project / "models", tmp_path / "models")
    file = tmp_path / "models/decision/decision.json"
    content = file.read_text()
    arguments = [
        "data/mine/circle",
        "--model",
        str(tmp_path / "models/finetuned"),
        "--out",
        "y.csv",
    ]
    file.write_text(content.replace('"model_sha256": "', '"model_sha256": "0'))
    assert "fixed for another model" in tells(project, *arguments)
    file.write_text(content[:-40])
    assert "no complete decision" in tells(project, *arguments)
    file.write_text(content)
    (tmp_path / "models/decision/reference.safetensors").write_bytes(b"")
    assert "damaged" in tells(project, *arguments)
    shutil.rmtree(tmp_path / "models/decision")
    done = predict_here(project, *arguments)
    assert done.returncode == 0, done.stderr
    assert "the columns probability, labels, num_labels, abstain" in done.stdout
    assert list(read(project / "y.csv").columns) == ["file", "label", "confidence", "reason"]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that take a while to decode."""
    folder = tmp_path_factory.mktemp("many") / "set"
    folder.mkdir()
    stream = np.random.default_rng(0)
    content = encode(Image.fromarray(stream.integers(0, 256, (1000, 1000, 3), dtype=np.uint8)))
    for number in range(160):
        (folder / f"{number:03d}.png").write_bytes(content)
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    project: Path, many: Path, number: signal.Signals
) -> None:
    command = [*COMMAND, str(many), "--out"]
    if not (project / "whole.csv").exists():
        done = predict_here(project, str(many), "--out", "whole.csv")
        assert done.returncode == 0, done.stderr
    name = f"{number.name}.csv"
    options: dict[str, Any] = {"cwd": project, "env": environment(**NO_GPU), "text": True}
    with subprocess.Popen([*command, name], stderr=subprocess.PIPE, **options) as process:
        part = project / f".{name}.part"
        deadline = time.monotonic() + 120
        while not part.exists() or part.read_bytes().count(b"\n") < 40:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, number)
        _, stderr = process.communicate(timeout=60)  # ends when no worker holds the pipe any more
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "goes on from here" in stderr
    assert not (project / name).exists()
    done = predict_here(project, str(many), "--out", name)
    assert done.returncode == 0, done.stderr
    assert "goes on after" in done.stdout
    assert (project / name).read_bytes() == (project / "whole.csv").read_bytes()
    assert not part.exists()
