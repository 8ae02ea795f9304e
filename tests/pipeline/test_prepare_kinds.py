"""The check and prepare stages for pictures and texts with classes, labels and numbers."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sftcore.data.store import open_store
from sftcore.foundations.artifacts import sha256_file
from sftcore.foundations.errors import DataError
from sftcore.inspection.examples import pictures as sheets_of_pictures
from sftcore.inspection.targets.numbers import QUANTILES
from sftcore.pipeline import verify
from sftcore.pipeline.check import check
from sftcore.pipeline.prepare import prepare_and_show
from sftcore.reporting.parts import read_parts
from sftcore.settings.tree import Params, load_params
from sftcore.tasks.registry import TASKS
from tests.import_closure import ROOT
from tests.pipeline.kinds import COMBINATIONS, COUNT, params_of, task_of, write_kind

REPORT, PREPARED = Path("reports/prepare"), Path("data/prepared")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digests() -> dict[str, str]:
    return {
        path.as_posix(): sha256_file(path)
        for folder in (REPORT, PREPARED)
        for path in sorted(folder.iterdir())
    }


@pytest.mark.parametrize(("kind", "target"), COMBINATIONS)
def test_every_kind_with_every_target_is_shown(
    kind: str, target: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    real = sheets_of_pictures.draw_sheet

    def spy(rows: Any, layout: Any, legend: Any = ()) -> bytes:
        drawn.extend(cell for row in rows for cell in row.cells if cell is not None)
        return real(rows, layout, legend)

    monkeypatch.setattr(sheets_of_pictures, "draw_sheet", spy)
    write_kind(here / "set", kind)
    params = params_of(task_of(kind, target, monkeypatch), "set")
    lines = prepare_and_show(params)
    seen, before = len(drawn), digests()
    assert prepare_and_show(params) == lines
    assert digests() == before
    assert max(map(len, lines)) <= 96
    assert all(line.isprintable() for line in lines)
    parts = read_parts(REPORT)
    said = " ".join([*lines, json.dumps([vars(part) for part in parts], default=vars)])
    other = {"pictures": "text", "texts": "picture"}[kind]
    assert not re.search(rf"\b{other}s?\b", said.replace('"text": ', ""))
    assert ("accuracy" in said) == (target == "class")
    assert ("exact match" in said) == (target == "labels")
    title = {"class": f"{kind} of every class", "labels": f"{kind} of every label",
             "numbers": f"{kind} from the least to the most"}[target]  # fmt: skip
    what = {"class": "classes"}.get(target, target)
    assert [part.title for part in parts if part.title != "Near-duplicates"] == [
        f"{kind.capitalize()} and {what}", "What the test split can show", title.capitalize(),
        f"Refused {kind}",
    ]  # fmt: skip
    assert parts[0].text[0].startswith(f"{COUNT} {kind}")
    assert (REPORT / "visible.png").exists() == (target != "numbers")
    for path in REPORT.glob("*.csv"):
        for value in pd.read_csv(path, dtype=str, na_filter=False).to_numpy().ravel():
            assert not value.startswith(("=", "+", "@")), path
    everything = open_store(PREPARED, ("train", "val", "test"))
    shut = everything.split("test")
    if kind == "pictures":
        hidden = everything.images[shut].astype(int)
        assert seen > 0
        for cell in drawn:
            assert np.abs(hidden - cell.image).mean(axis=(1, 2, 3)).min() > 5
    else:
        table = "".join((REPORT / "texts.csv").read_text().split())
        for row, text in enumerate(everything.texts.read(range(COUNT))):
            assert row not in shut or "".join(text[:150].split()) not in table
        assert len(pd.read_csv(REPORT / "texts.csv")) > 8
        assert not list(REPORT.glob("pictures_*"))


@pytest.mark.parametrize("kind", ["pictures", "texts"])
def test_labels_are_counted_as_the_table_has_them(
    kind: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_kind(here / "set", kind)
    lines = prepare_and_show(params_of(task_of(kind, "labels", monkeypatch), "set"))
    samples = pd.read_csv(PREPARED / "samples.csv")
    table = pd.read_csv(REPORT / "labels.csv").set_index("label")
    assert table.index.tolist() == ["'=c|d", "b", "a"], "the rarest first"
    for name, line in zip(table.index, lines[1:4], strict=True):
        has = samples["labels"].map(lambda cell, n=name: n.strip("'") in json.loads(cell))
        wanted = [int((has & (samples["split"] == split)).sum()) for split in
                  ("train", "val", "test")] + [int(has.sum())]  # fmt: skip
        assert table.loc[name].tolist() == wanted
        assert line.split()[-4:] == [str(count) for count in wanted]
    assert lines[4].split()[:2] == ["all", kind]
    assert int(lines[4].split()[-1]) == COUNT, "examples, not the sum over labels"
    text = read_parts(REPORT)[0].text[0]
    mean = sum(len(json.loads(cell)) for cell in samples["labels"]) / COUNT
    assert f"with {mean:.2f} each on average" in text
    is_open = samples["split"] != "test"
    bare = (samples["labels"][is_open] == "[]").sum()
    assert bare > 0
    assert f"Without any: {bare} of train and validation" in text


def test_numbers_are_described_by_their_quantiles_but_for_test(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_kind(here / "set", "texts")
    lines = prepare_and_show(params_of(task_of("texts", "numbers", monkeypatch), "set"))
    samples = pd.read_csv(PREPARED / "samples.csv")
    table = pd.read_csv(REPORT / "numbers.csv")
    assert table["split"].tolist() == ["train", "val"] * 2
    for row in table.to_dict("records"):
        name = row["number"].strip("'")
        own = sorted(samples[name][samples["split"] == row["split"]])
        assert (row["count"], row["least"], row["most"]) == (len(own), own[0], own[-1])
        assert row["mean"] == pytest.approx(sum(own) / len(own))
        for column, part in QUANTILES.items():
            reached = [x for x in own if sum(y <= x for y in own) >= part * len(own)]
            assert row[column] == reached[0]
    assert lines[0].split() == ["number", "least", "median", "mean", "most"]
    assert lines[-1 - sum("all texts" not in line for line in lines[6:])].split()[:2] == [
        "all", "texts",
    ]  # fmt: skip
    shown = pd.read_csv(REPORT / "texts.csv")
    for _, part in shown.groupby("number"):
        assert part["value"].is_monotonic_increasing
    width = samples["@width"][samples["split"] != "test"]
    values = shown["value"][shown["number"] == "'@width"]
    assert (values.min(), values.max()) == (width.min(), width.max())


def test_what_is_shown_does_not_depend_on_test_numbers(here: Path) -> None:
    table = write_kind(here / "set", "pictures")
    splits = ["train", "val", "test"]
    given = table.assign(split=[splits[row // 2 % 3] for row in range(COUNT)])
    changes = (np.zeros(COUNT), np.where(given["split"] == "test", 1e6, 0.0))
    found = []
    for change in changes:
        given.assign(place=given["place"] + change).to_csv(here / "set" / "t.csv", index=False)
        params = params_of("regression", "set")
        found.append((prepare_and_show(params), {p: d for p, d in digests().items()
                                                 if p.startswith("reports")}))  # fmt: skip
    assert found[0] == found[1]


def parameters(task: str, data: Any) -> Params:
    base = load_params(ROOT / "params.yaml").model_dump()
    metric = f"val_{TASKS[task].scores[0]}"
    base["train"]["selection"]["metric"] = metric
    return Params(**base | {"task": task, "data": data.model_dump()})


@pytest.mark.parametrize(("kind", "target"), COMBINATIONS)
def test_check_looks_for_what_the_task_learns_from(
    kind: str, target: str, here: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    write_kind(here / "set", kind)
    task = task_of(kind, target, monkeypatch)
    check(parameters(task, params_of(task, "set").data))
    said = capsys.readouterr().out
    what = {"class": "3 classes", "labels": "labels: labels", "numbers": "numbers: place, @width"}
    assert f"({what[target]}, {COUNT + 1} {kind})" in said
    source = "torchvision:MNIST"
    params = parameters(task, params_of(task, "set", source=source).data)
    if (kind, target) == ("pictures", "class"):
        check(params)
    else:
        with pytest.raises(
            DataError, match=r"torchvision (holds no texts|says one class for each)"
        ):
            check(params)


def test_verify_finds_the_files_of_every_kind(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_kind(here / "set", "pictures")
    wanted = params_of("multilabel", "set")
    prepare_and_show(wanted)
    params = parameters("multilabel", wanted.data)
    monkeypatch.setattr(verify, "load_params", lambda: params)
    found = dict(verify._source_hashes())
    assert len(found) == COUNT
    assert all(sha256_file(path) == digest for path, (_, digest) in found.items())
    shutil.rmtree(here / "set")
