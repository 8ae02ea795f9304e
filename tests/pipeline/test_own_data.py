"""Data of one's own in the layouts that people have, as their user would run them."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.data.layouts import names, samples, splits, tar_of, zipped
from tests.pipeline.project import call_stage, dvc_here, git, make_project, run_stage, set_params


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def test_check_says_in_one_line_what_the_data_are(project: Path) -> None:
    done = call_stage(project, "check")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "data/mine: class folders (3 classes, 36 pictures)\n"
    assert json.loads((project / "reports/check.json").read_text())["data"] == "found"


def test_split_folders_are_splits_and_no_classes(project: Path) -> None:
    shutil.rmtree(project / "data/mine")
    splits(project / "data/mine", samples())
    line = (
        "data/mine: splits test, train, val with class folders in each (3 classes, 54 pictures)\n"
    )
    for stage in ("check", "prepare"):
        done = call_stage(project, stage)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(line)
    table = pd.read_csv(project / "data/prepared/samples.csv")
    assert (table["split"] == table["id"].str.partition("/")[0]).all()
    assert sorted(set(table["label"])) == ["circle", "square", "stripes"]


def test_a_question_leaves_the_outputs_and_ends_with_code_2(project: Path) -> None:
    assert call_stage(project, "check").returncode == 0
    splits(project / "data/mine", samples(("train", "test")))
    done = run_stage(project, "check")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: data.source: data/mine can be read in 2 ways; say which:\n"
        "  folders circle, square, stripes and 2 more: data.source: folder\n"
        "  folders test, train with class folders in each: data.source: splits\n"
    )
    set_params(project, {"data.source": "splits"})
    assert call_stage(project, "check").stdout.startswith("data/mine: splits test, train with")


def test_an_unknown_source_names_the_known_ones(project: Path) -> None:
    set_params(project, {"data.source": "zip"})
    done = call_stage(project, "check")
    assert done.returncode == 2
    assert "webdataset" in done.stderr


def test_dvc_follows_an_archive_as_it_follows_a_folder(project: Path) -> None:
    archive = zipped(project / "data/packed", samples())
    set_params(project, {"data.path": "data/packed/set.zip"})
    git(project, "init", "-q")
    dvc_here(project, "init", "-q")
    said = dvc_here(project, "repro", "prepare")
    assert said.count("data/packed/set.zip: splits test, train, val") == 2
    assert "didn't change" in dvc_here(project, "repro", "prepare")
    first = (project / "data/prepared/samples.csv").read_bytes()
    archive.unlink()
    tar_of(project / "data/packed/set.tgz", names(samples()[:-1]))
    set_params(project, {"data.path": "data/packed/set.tgz"})
    assert "(3 classes, 53 pictures)" in dvc_here(project, "repro", "prepare")
    assert (project / "data/prepared/samples.csv").read_bytes() != first
