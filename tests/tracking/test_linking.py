"""A training shows the answer of the study of its recipe, whichever is told first."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sftcore.tracking import RECIPE_TAG, STUDIES, STUDY, TEST, open_run

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def train(recipe: str = "r") -> None:
    with open_run(
        enabled=True, experiment="t", name="mine [1]", tags={RECIPE_TAG: recipe},
        key=("sft.run_key", "training"),
    ) as run:  # fmt: skip
        run.describe(TEST, "test accuracy")
        run.link()


def study(recipe: str = "r") -> None:
    with open_run(
        enabled=True, experiment="t", role=STUDIES, name="study", tags={RECIPE_TAG: recipe},
        key=("sft.run_key", f"study {recipe}"),
    ) as run:  # fmt: skip
        run.describe(STUDY, "- it helps")
        run.link()


def only_run(root: Path, name: str) -> Any:
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    return run


@pytest.mark.parametrize("order", [(train, study), (study, train), (train, study, train, study)])
def test_both_name_each_other(root: Path, order: tuple[Callable[[], None], ...]) -> None:
    for stage in order:
        stage()
    training, other = only_run(root, "t"), only_run(root, "t-studies")
    note = training.data.tags["mlflow.note.content"]
    assert note.count("- it helps") == note.count("test accuracy") == 1
    assert other.info.run_id in note
    assert training.info.run_id in other.data.tags["mlflow.note.content"]
    assert training.info.status == other.info.status == "FINISHED"


def test_a_study_of_another_recipe_is_not_its(root: Path) -> None:
    train()
    study("another")
    assert "it helps" not in only_run(root, "t").data.tags["mlflow.note.content"]


def test_another_experiment_of_dvc_shows_a_study_that_came_from_the_cache(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study()
    monkeypatch.setenv("DVC_EXP_NAME", "next")
    train()
    assert "- it helps" in only_run(root, "t").data.tags["mlflow.note.content"]


def test_what_a_person_wrote_stays(root: Path) -> None:
    train()
    run = only_run(root, "t")
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    note = "my best\n\n" + run.data.tags["mlflow.note.content"] + "\n## Ideas\nmore data\n"
    client.set_tag(run.info.run_id, "mlflow.note.content", note)
    study()
    train()
    after = only_run(root, "t").data.tags["mlflow.note.content"]
    assert after.startswith("my best")
    assert after.endswith("## Ideas\nmore data\n")
    assert after.index("## Test") < after.index("## Study") < after.index("## Ideas")
