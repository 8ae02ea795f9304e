"""The examples of further tasks: declared like the pipeline at the top, and run by real DVC."""

import shutil
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest

from sftcore.foundations.repository import (
    EXAMPLES,
    example_name,
    from_the_top,
    make_command,
    repository_root,
)
from sftcore.foundations.yaml_files import flatten, read_yaml
from sftcore.pipeline.declaring import pipeline_text, plots_of, write_examples
from sftcore.settings.studies import load_with_study
from sftcore.settings.tree import load_params
from sftcore.settings.writing import LEFT_OUT, params_text
from sftcore.tasks.registry import TASKS
from tests.pipeline.kinds import write_kind
from tests.pipeline.project import (
    ROOT,
    SMALL,
    copy_code,
    digests,
    dvc,
    dvc_here,
    git,
    run_program,
    set_params,
)

FOLDERS = [ROOT / EXAMPLES / task for task in TASKS if task != "classification"]
QUIET = "--no-print-directory"
OUTPUTS = ("data", "models", "reports")


def test_every_task_has_an_example() -> None:
    learnt = [load_params(folder / "params.yaml").task for folder in (ROOT, *FOLDERS)]
    assert learnt == ["classification", *(folder.name for folder in FOLDERS)]


def test_the_plots_at_the_top_are_those_of_its_task() -> None:
    assert read_yaml(ROOT / "dvc.yaml")["plots"] == plots_of("classification")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_is_what_would_be_written(folder: Path) -> None:
    params = load_with_study(folder / "params.yaml")
    top = (ROOT / "dvc.yaml").read_text()
    write = "write it: python -m sftcore examples"
    assert (folder / "params.yaml").read_text() == params_text(params, LEFT_OUT), write
    assert (folder / "dvc.yaml").read_text() == pipeline_text(params.task, top), write
    for name in ("sftcore", "stages", "requirements.lock"):
        assert (folder / name).is_symlink()
        assert (folder / name).resolve() == ROOT / name
    for name in (".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        assert (folder / name).read_bytes() == (ROOT / name).read_bytes(), write
    assert params.tracking.experiment == params.task


@pytest.mark.parametrize("folder", [ROOT, *FOLDERS], ids=lambda folder: folder.name)
def test_another_number_of_workers_leaves_the_study_as_it_is(folder: Path, tmp_path: Path) -> None:
    """Reproduction changes that number, and the study's file is hashed."""
    shutil.copyfile(folder / "params.yaml", tmp_path / "params.yaml")
    shutil.copytree(folder / "studies", tmp_path / "studies")
    set_params(tmp_path, {"runtime.num_workers": 17})
    assert load_params(tmp_path / "params.yaml").runtime.num_workers == 17
    study = Path("studies", "quick.yaml")
    assert (tmp_path / study).read_bytes() == (folder / study).read_bytes()


def test_a_new_example_is_completed(tmp_path: Path) -> None:
    for name in ("dvc.yaml", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    own = tmp_path / EXAMPLES / "own"
    own.mkdir(parents=True)
    (own / "params.yaml").write_text("task: multilabel\ndata: {path: mine}\n")
    assert list(write_examples(tmp_path)) == ["examples/own: as the top has it"]
    before = {path: path.read_text() for path in own.rglob("*") if path.is_file()}
    assert "data:" in before[own / "params.yaml"]
    assert "train_mean_average_precision" in before[own / "dvc.yaml"]
    assert (own / "sftcore").readlink() == Path("../../sftcore")
    assert list(write_examples(tmp_path))
    assert before == {path: path.read_text() for path in own.rglob("*") if path.is_file()}


def test_words_of_an_example_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / EXAMPLES / "own"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    report = Path("reports/report.html")
    # A checkout that happens to lie in a folder of this name is no example.
    assert (example_name(), make_command("advice"), from_the_top(report)) == (
        "", "make advice", report,
    )  # fmt: skip
    (tmp_path / ".dvc").mkdir()
    assert make_command("advice") == "make advice TASK=own"
    assert make_command() == "make TASK=own"
    assert from_the_top(report) == Path(EXAMPLES, "own", report)
    # What is kept at the root is shared with the top, also from a temporary workspace.
    workspace = here / ".dvc" / "tmp" / "exps" / "standalone" / "x" / EXAMPLES / "own"
    for root in (here, workspace):
        monkeypatch.setenv("DVC_ROOT", str(root))
        assert repository_root() == tmp_path


def filled(names: list[str], values: dict[str, Any]) -> set[str]:
    for name, value in values.items():
        names = [each.replace(f"${{{name}}}", str(value)) for each in names]
    return set(names)


@pytest.mark.parametrize("folder", [ROOT, *FOLDERS], ids=lambda folder: folder.name)
def test_the_lock_is_of_this_pipeline_and_these_parameters(folder: Path) -> None:
    values = flatten(read_yaml(folder / "params.yaml"))
    stages = read_yaml(folder / "dvc.yaml")["stages"]
    locked = read_yaml(folder / "dvc.lock")["stages"]
    assert locked.keys() == stages.keys()
    assert list(locked) == list(read_yaml(ROOT / "dvc.lock")["stages"])
    for name, stage in stages.items():
        lock = locked[name]
        assert lock["cmd"] == stage["cmd"]
        for part in ("deps", "outs"):
            assert {entry["path"] for entry in lock[part]} == filled(stage[part], values), name
        kept = flatten(lock.get("params", {}).get("params.yaml", {}))
        read = stage.get("params", [])
        wanted = {n: v for n, v in values.items() if any(f"{n}.".startswith(f"{p}.") for p in read)}
        assert kept == wanted, name


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose example of numbers has few pictures and a small network."""
    top = tmp_path_factory.mktemp("examples")
    copy_code(top)
    ignore = shutil.ignore_patterns("cache", "tmp", "config.local")
    shutil.copytree(ROOT / ".dvc", top / ".dvc", ignore=ignore)
    for name in ("Makefile", "dvc.yaml", "params.yaml", "requirements.lock", ".gitignore",
                 ".dvcignore"):  # fmt: skip
        shutil.copyfile(ROOT / name, top / name)
    shutil.copytree(
        ROOT / EXAMPLES / "regression", top / EXAMPLES / "regression", symlinks=True,
        ignore=shutil.ignore_patterns(*OUTPUTS, "cache", "tmp", "dvc.lock", ".sft"),
    )  # fmt: skip
    write_kind(top / "data" / "small", "pictures")
    set_params(
        top / EXAMPLES / "regression",
        {**SMALL, "tracking.enabled": True, "data.path": "../../data/small", "data.table": "t.csv",
         "data.targets.columns": ["place"]},
    )  # fmt: skip
    (top / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".installed":
            (top / ".venv" / entry.name).symlink_to(entry)
    (top / ".venv" / ".installed").touch()
    git(top, "init", "-b", "main")
    git(top, "add", "-A")
    git(top, "commit", "-m", "project")
    return top


def runs_of(top: Path, experiment: str) -> int:
    """Runs that its store has of an experiment of DVC's."""
    client = mlflow.MlflowClient(f"sqlite:///{top}/mlflow.db")
    of_all = [each.experiment_id for each in client.search_experiments()]
    return len(client.search_runs(of_all, f"tags.`dvc.exp_name` = '{experiment}'"))


def git_says(folder: Path, *arguments: str) -> str:
    return run_program(folder, "git", *arguments).stdout


@pytest.mark.timeout(900)
def test_from_make_to_an_experiment_that_is_applied(project: Path) -> None:
    done = run_program(project, "make", QUIET, "run", "TASK=regression")
    assert done.returncode == 0, done.stdout + done.stderr
    example = project / EXAMPLES / "regression"
    lines = done.stdout.splitlines()
    assert any(
        line.startswith("Report: examples/regression/reports/report.html; test R² ")
        for line in lines
    )
    page = (example / "reports" / "report.html").read_text()
    assert "with a number each" in page
    assert "accuracy" not in page.lower()
    assert not (project / "reports").exists()
    assert not (project / "dvc.lock").exists()
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    found = {e.name: e.tags for e in client.search_experiments() if e.name != "Default"}
    assert set(found) == {f"regression{suffix}" for suffix in ("", "-studies", "-cells")}
    assert "metrics.`test/r2`" in found["regression"]["mlflow.sharedViewState.trainings"]
    git(project, "add", "-A")
    git(project, "commit", "-m", "run")

    before = digests(example)
    dvc(example, "exp", "run", "--temp", "-n", "more", "-S", "evaluate.num_bootstrap=110")
    assert digests(example) == before
    assert runs_of(project, "more") == 1
    assert not list(project.glob("**/.dvc/tmp/exps/mlflow.db"))
    assert "more" in dvc(example, "exp", "show", "--csv")
    dvc(example, "exp", "branch", "more", "kept")
    changed = git_says(project, "diff", "--name-only", "main", "kept").split()
    folder = f"{EXAMPLES}/regression"
    assert sorted(changed) == [f"{folder}/dvc.lock", f"{folder}/params.yaml"], "not the code"
    done = run_program(project, "make", QUIET, "verify", "TASK=regression")
    assert (done.returncode, "no file differs" in done.stdout) == (0, True), done.stdout
    # What the example has run is told in the example, and is none of the top's.
    here, top = (
        run_program(project, "make", QUIET, "sync", task).stdout
        for task in ("TASK=regression", "TASK=classification")
    )
    assert "experiment more: told MLflow of the ablation" in here
    assert "more" not in top

    dvc(example, "exp", "apply", "more")
    after = digests(example)
    assert {Path(name).parts[1] for name in before if before[name] != after[name]} == {
        "evaluate", "report.html",
    }  # fmt: skip
    assert "num_bootstrap: 110" in (example / "params.yaml").read_text()
    assert "up to date" in dvc_here(example, "repro")
