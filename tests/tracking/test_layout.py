"""What MLflow's pages read: names, addresses, the state of a view, descriptions."""

import json
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftcore.pipeline.shown import shown_of
from sftcore.tasks.registry import TASKS
from sftcore.tracking import Shown, changes_since, open_run, plain, training_name
from sftcore.tracking.layout import (
    CELLS,
    STUDIES,
    TRAININGS,
    compare_page,
    experiment_of,
    experiment_tags,
    runs_page,
)
from sftcore.tracking.notes import put_section, section_of
from sftcore.tracking.pages import worthwhile_pages

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
_MLFLOW_LIMIT = 20000  # characters of an experiment's tag
SHOWN = Shown(("test/r2", "test/r2_low"), "r2")


def columns(role: str, shown: Shown) -> list[str]:
    view = json.loads(experiment_tags(role, "1", shown)[f"mlflow.sharedViewState.{role}"])
    return list(json.loads(view["state"])["selectedColumns"])


@pytest.mark.parametrize("role", [TRAININGS, STUDIES, CELLS])
def test_a_view_is_what_mlflow_reads(role: str) -> None:
    """MLflow's own envelope: name, times as numbers, the state as text."""
    tags = experiment_tags(role, "7", SHOWN)
    view = json.loads(tags[f"mlflow.sharedViewState.{role}"])
    assert {type(view[name]) for name in ("createdAt", "updatedAt")} == {int}
    state = json.loads(view["state"])
    assert len(tags[f"mlflow.sharedViewState.{role}"]) < _MLFLOW_LIMIT
    assert state["orderByKey"] == "attributes.start_time"
    assert not state["orderByAsc"]
    shown = {chart["metricSectionId"] for chart in state.get("compareRunCharts", [])}
    assert shown <= {section["uuid"] for section in state.get("compareRunSections", [])}
    assert tags["mlflow.experimentKind"] == "custom_model_development"


@pytest.mark.parametrize("task", TASKS)
def test_the_lists_show_the_numbers_of_the_task(task: str) -> None:
    kind = TASKS[task]
    shown, score = shown_of(task), kind.scores[0]
    numbers = [name for name in columns(TRAININGS, shown) if name.startswith("metrics")]
    assert numbers == [f"metrics.`{name}`" for name in kind.headline]
    assert 8 <= len(numbers) <= 11
    assert f"metrics.`study/worth_{score}_low`" in columns(STUDIES, shown)
    assert f"metrics.`judged/{score}`" in columns(CELLS, shown)
    for role in (TRAININGS, CELLS):
        curves = experiment_tags(role, "1", shown)[f"mlflow.sharedViewState.{role}"]
        assert f"val/{score}" in curves
    if score != "accuracy":
        strange = [
            name
            for role in (TRAININGS, STUDIES, CELLS)
            for name in columns(role, shown)
            if "accuracy" in name and not any(own in name for own in kind.scores)
        ]
        assert not strange


def test_the_view_is_left_to_whoever_knows_the_task(root: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    view = "mlflow.sharedViewState.trainings"
    for shown, has_view in ((None, False), (SHOWN, True), (Shown((), "other"), True)):
        with open_run(enabled=True, experiment="t", name="r", tags={}, shown=shown):
            pass
        tags = client.get_experiment_by_name("t").tags
        assert (view in tags) == has_view
    assert "val/r2" in tags[view], "the first who knows it has said it"


def test_addresses_survive_quoting() -> None:
    page, _, query = runs_page("3", search="tags.`a` IS NOT NULL").partition("?")
    assert page == "#/experiments/3/runs"
    assert parse_qs(query)["searchFilter"] == ["tags.`a` IS NOT NULL"]
    runs, experiments = unquote(compare_page("3", ["a", "b"])).partition("?")[2].split("&")
    assert json.loads(runs.partition("=")[2]) == ["a", "b"]
    assert json.loads(experiments.partition("=")[2]) == ["3"]


def test_what_people_changed_about_an_experiment_stays_theirs(root: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    ours = client.create_experiment("t")  # as an older version left it, without tags
    client.set_experiment_tag(ours, "mlflow.note.content", "mine")
    with open_run(enabled=True, experiment="t", name="r", tags={}, shown=SHOWN):
        pass
    tags = client.get_experiment(ours).tags
    assert tags["mlflow.note.content"] == "mine"
    assert "mlflow.sharedViewState.trainings" in tags


def test_a_server_that_forbids_views_gets_the_runs(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(*_: object) -> None:
        raise mlflow.MlflowException("PERMISSION_DENIED")

    monkeypatch.setattr(mlflow.MlflowClient, "set_experiment_tag", forbid)
    with open_run(enabled=True, experiment="t", name="r", tags={}) as run:
        run.log_metrics({"a": 1.0})
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 't'")
    assert "mlflow.sharedViewState.trainings" not in experiment.tags
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"a": 1.0})


def test_pages_worth_opening(root: Path) -> None:
    assert list(worthwhile_pages("t", SHOWN)) == ["trainings", "their curves"]
    for number in range(8):
        with open_run(enabled=True, experiment="t", name=f"r{number}", tags={}):
            pass
    with open_run(enabled=True, experiment="t", role=STUDIES, name="s", tags={}):
        pass
    pages = worthwhile_pages("t", SHOWN)
    assert list(pages) == ["trainings", "their curves", "the last 6 compared", "studies"]
    assert len(json.loads(parse_qs(pages["the last 6 compared"].partition("?")[2])["runs"][0])) == 6
    assert experiment_of("t", STUDIES) == "t-studies"


def test_a_name_tells_what_differs_from_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> None:
        name = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(
        "seed: 0\ntrain: {l1: 0.0, epochs: 5}\nablation: {a: 1}\n"
    )
    now = {"seed": 0, "train": {"l1": 0.1, "epochs": 5}, "ablation": {"a": 2}}
    assert changes_since(now) == {}, "no git, nothing to compare with"
    git("init", "-q")
    git("add", "params.yaml")
    git("commit", "-qm", "first")
    assert changes_since(now) == {"train.l1": (0.0, 0.1)}, "a study's settings make no training"
    assert changes_since(now | {"model": {"x": 1}})["model.x"] == (None, 1)
    assert training_name("timm/net", changes_since(now)) == "l1=0.1 (net)"
    assert training_name("timm/net", {}, "puffy-name") == "puffy-name"
    many = {f"train.p{number}": (0, "v" * 99) for number in range(5)}
    assert training_name("net", many).endswith(", 2 more (net)")
    assert len(training_name("net", many)) < 110
    git("rm", "-q", "--cached", "params.yaml")
    (tmp_path / "params.yaml").write_text("][")
    git("add", "params.yaml")
    git("commit", "-qm", "broken")
    assert changes_since(now) == {}


@given(st.text(max_size=60))
def test_text_of_the_data_is_shown_as_it_is(text: str) -> None:
    shown = plain(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert shown.count("`") == shown.count(r"\`")
    assert shown.count("[") == shown.count(r"\[")


@given(st.lists(st.sampled_from(["Test", "Study", "Files"]), max_size=6))
def test_sections_keep_their_order_and_are_there_once(puts: list[str]) -> None:
    note = ""
    for number, title in enumerate(puts):
        note = put_section(note, title, f"text {number}")
    titles = [line[3:] for line in note.splitlines() if line.startswith("## ")]
    assert titles == [title for title in ("Test", "Study", "Files") if title in puts]
    if puts:
        assert section_of(note, puts[-1]) == f"text {len(puts) - 1}"


def test_a_section_that_is_too_long_is_cut() -> None:
    note = put_section("", "Study", "x" * 9000)
    assert len(note) < 2000
    assert section_of(note, "Study").endswith("…")
    assert section_of(note, "Test") == ""
