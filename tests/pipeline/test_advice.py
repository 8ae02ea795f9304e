"""A study's advice goes into params.yaml and out again, and nothing else is touched."""

import difflib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sftcore import __main__ as program
from sftcore.foundations.errors import DataError, ParamsError
from sftcore.foundations.yaml_files import flatten
from sftcore.pipeline import advice
from sftcore.pipeline.advice import RECORD, run_experiment, take_advice, undo_advice
from sftcore.pipeline.edits import Sheet, read_sheet
from sftcore.settings.tree import load_params, override, recipe_digest
from tests.import_closure import ROOT

Project = Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    return tmp_path


def advise(settings: Mapping[str, Any], recipe: str = "") -> None:
    """A verdict about params.yaml as it is."""
    verdict = {
        "settings": settings,
        "evidence": "weight_decay: loss -0.080 [-0.120, -0.040] against the recipe.",
        "recipe": recipe or recipe_digest(load_params()),
    }
    Path("reports/ablation").mkdir(parents=True, exist_ok=True)
    Path("reports/ablation/verdict.json").write_text(json.dumps(verdict))


def text() -> bytes:
    return Path("params.yaml").read_bytes()


def sheet() -> Sheet:
    return read_sheet(text().decode())


def set_by_hand(name: str, value: Any) -> None:
    Path("params.yaml").write_text(sheet().with_values({name: value}).text)


def changed_lines(before: bytes, after: bytes) -> list[str]:
    lines = (content.decode().splitlines(keepends=True) for content in (before, after))
    return [line[2:] for line in difflib.ndiff(*lines) if line.startswith("+ ")]


def test_values_change_and_comments_stay_in_their_column(project: Project) -> None:
    before, known = text(), sheet()
    advise({"train.weight_decay": 0.1, "train.epochs": 0, "train.label_smoothing": 0.123})
    lines = take_advice()
    assert sorted(lines[:3]) == sorted([
        "train.weight_decay: 0.0001 -> 0.1",
        f"train.epochs: {known.value('train.epochs')} -> 0",
        "train.label_smoothing: 0 -> 0.123",
    ])  # fmt: skip
    assert "loss -0.080" in lines[3]
    assert "`make`" in lines[4]
    assert load_params().train.weight_decay == 0.1
    changed = changed_lines(before, text())
    assert len(changed) == 3
    column = before.decode().splitlines()[3].index("#")
    for line in changed:
        assert line.index("#") == column, line


VALUES: dict[str, Any] = {
    "train.learning_rate": 1e-5,
    "train.epochs": 3,
    "train.averaging.wise_ft": True,
    "train.guard.answers": "none",
    "train.schedule.warmup": "2 epochs",
    "train.seeds.order": 7,
    "train.schedule.milestones": [0.1, "50 steps", 0.9],
    "model.trainable_blocks": "all",
    "train.head.strength": 0.001,
    "model.weights": "a, b #c: [d].pt",
}


@pytest.mark.parametrize("name", VALUES)
def test_each_kind_of_value_goes_in_and_out(project: Project, name: str) -> None:
    before = text()
    advise({name: VALUES[name]})
    take_advice()
    assert flatten(load_params().model_dump())[name] == VALUES[name]
    assert len(changed_lines(before, text())) == 1
    assert undo_advice()[-1].startswith("next")
    assert text() == before
    assert undo_advice() == ["nothing to undo: no advice was taken here"]


def test_a_null_goes_in_and_out(project: Project) -> None:
    set_by_hand("train.seeds.order", 5)
    before = text()
    advise({"train.seeds.order": None})
    assert "train.seeds.order: 5 -> null" in take_advice()
    assert load_params().train.seeds.order is None
    undo_advice()
    assert text() == before


def test_numbers_look_as_in_the_study(project: Project) -> None:
    advise(
        {
            "train.penalties.l1": 1e-3,
            "train.penalties.l2": 1.5e-7,
            "train.penalties.l2_sp": 2e-5,
            "train.learning_rate": 30.0,
        }
    )
    take_advice()
    for written in (" l1: 0.001 ", " l2: 1.5e-7 ", " l2_sp: 2.0e-5 ", " learning_rate: 30.0 "):
        assert written in text().decode()


def test_two_advices_are_undone_one_by_one(project: Project) -> None:
    start = text()
    advise({"train.weight_decay": 0.1})
    take_advice()
    middle = text()
    advise({"train.weight_decay": 0.03, "train.augmentation.mixup": 0.2})
    take_advice()
    assert "train.weight_decay: 0.03 -> 0.1" in undo_advice()
    assert text() == middle
    undo_advice()
    assert text() == start


def test_what_was_set_by_hand_since_is_left(project: Project) -> None:
    start = text()
    advise({"train.augmentation.mixup": 0.2})
    take_advice()
    advise({"train.weight_decay": 0.1, "train.penalties.l1": 0.5})
    take_advice()
    set_by_hand("train.weight_decay", 0.7)
    lines = undo_advice()
    assert lines[0].startswith("left train.weight_decay at 0.7: it was set since; before")
    assert lines[1] == "train.penalties.l1: 0.5 -> 0"
    assert load_params().train.weight_decay == 0.7
    assert load_params().train.augmentation.mixup == 0.2
    assert undo_advice()[1] == "train.augmentation.mixup: 0.2 -> 0"
    (line,) = undo_advice()
    assert line.startswith("left train.weight_decay at 0.7")
    assert undo_advice(force=True)[0] == "train.weight_decay: 0.7 -> 0.0001"
    assert load_params() == load_params(ROOT / "params.yaml")
    assert text() == start
    assert json.loads(RECORD.read_text()) == []


def test_comments_written_since_are_kept(project: Project) -> None:
    advise({"train.weight_decay": 0.1})
    take_advice()
    changed = text().replace(b"0.1            ", b"0.1 # mine, ").replace(b"seed: 0", b"seed: 3")
    Path("params.yaml").write_bytes(changed)
    undo_advice()
    assert load_params().train.weight_decay == 0.0001
    assert load_params().seed == 3


def test_ended_between_its_two_writes_nothing_is_lost(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = text()
    advise({"train.weight_decay": 0.1})
    with monkeypatch.context() as patch:
        patch.setattr(advice, "write_bytes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take_advice()
    assert text() == start
    take_advice()
    undo_advice()
    assert text() == start
    assert undo_advice()[0] == "train.weight_decay: 0.0001, as before the advice"
    assert text() == start


def test_a_study_of_another_recipe_is_refused(project: Project) -> None:
    advise({"train.weight_decay": 0.1}, recipe="another")
    start = text()
    with pytest.raises(DataError, match="made with other settings: run `make` first"):
        take_advice()
    assert text() == start
    assert not RECORD.exists()
    advise({"train.weight_decay": 0.1})
    take_advice()
    with pytest.raises(DataError, match="other settings"):  # what was taken is another recipe
        take_advice()


def test_without_a_study_or_an_advice_it_says_so(project: Project) -> None:
    with pytest.raises(DataError, match="nothing is advised: run `make`"):
        take_advice()
    for nothing in ({}, {"train.weight_decay": 0.0001}):
        advise(nothing)
        (line,) = take_advice()
        assert line.startswith("nothing to take")
        assert list(run_experiment()) == [line]
    assert not RECORD.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train.weight_decay": -1.0}, "train.weight_decay"),
        ({"train.l7": 1}, "not a parameter"),
        ({"seed": 1}, "not a parameter"),
        ({"train.augmentation.mixup": 0.2, "train.epochs": "many"}, "train.epochs"),
    ],
)
def test_a_bad_setting_changes_nothing(
    project: Project, settings: dict[str, Any], message: str
) -> None:
    start = text()
    advise(settings)
    with pytest.raises(ParamsError, match=message):
        take_advice()
    assert text() == start
    assert not RECORD.exists()


def test_other_layouts_are_left_as_they_are(project: Project) -> None:
    start = text().decode().replace("[0.5, 0.75] ", "\n      - 0.5\n      # half\n      - 0.75 ")
    start = start.replace("  weight_decay: 0.0001 ", "  weight_decay:   0.0001#no ")
    start = start.replace("0.0001#no ", "0.0001").replace("\n", "\r\n")
    Path("params.yaml").write_bytes(start.encode())
    advise({"train.schedule.milestones": [0.2], "train.weight_decay": 0.01})
    take_advice()
    assert load_params().train.schedule.milestones == [0.2]
    assert b"      [0.2]" in text()
    assert text().count(b"\r\n") == text().count(b"\n") == start.count("\n") - 2
    undo_advice()
    assert text() == start.encode()


def test_an_anchor_that_others_share_is_not_changed(project: Project) -> None:
    changed = (
        text()
        .replace(b" micro_batch_size: 0 ", b" micro_batch_size: &zero 0 ")
        .replace(b" l2: 0.0 ", b" l2: *zero ")
    )
    Path("params.yaml").write_bytes(changed)
    advise({"train.penalties.l2": 0.5})
    with pytest.raises(ParamsError, match="change it by hand"):
        take_advice()
    assert text() == changed


def test_an_experiment_has_a_name_and_the_evidence(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, seen = text(), []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        assert load_params().train.weight_decay == 0.1
        return subprocess.CompletedProcess(command, len(seen) - 1)

    monkeypatch.setattr(advice.subprocess, "run", run)
    advise({"train.weight_decay": 0.1})
    lines = list(run_experiment())
    (command,) = seen
    assert command[1:5] == ["-m", "dvc", "exp", "run"]
    name = command[command.index("--name") + 1]
    assert name.startswith("advice-")
    assert len(name) == len("advice-") + 7
    assert "loss -0.080" in command[command.index("--message") + 1]
    assert name in lines[-1]
    undo_advice()
    assert text() == start
    with pytest.raises(DataError, match="undo-advice"):
        list(run_experiment())
    undo_advice()
    assert text() == start


def test_the_commands_say_what_they_did(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = text()
    advise({"train.weight_decay": 0.1})
    for arguments in (["advice"], ["undo-advice", "--force"], ["undo-advice"]):
        monkeypatch.setattr(sys, "argv", ["sftcore", *arguments])
        assert program.main() == 0
    said = capsys.readouterr().out
    assert "train.weight_decay: 0.0001 -> 0.1\n" in said
    assert "train.weight_decay: 0.1 -> 0.0001\n" in said
    assert "nothing to undo" in said
    assert text() == start


def test_the_digest_is_of_the_recipe_alone() -> None:
    params = load_params(ROOT / "params.yaml")
    digest = recipe_digest(params)
    assert recipe_digest(params.model_copy(update={"seed": 5})) == digest
    assert recipe_digest(override(params, {"train.penalties.l1": 0.5}, "test")) != digest
    assert recipe_digest(override(params, {"model.dropout": 0.5}, "test")) != digest
