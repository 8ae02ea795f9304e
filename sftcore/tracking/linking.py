"""A training and the study of its recipe name each other, whichever was told first."""

from dataclasses import replace
from typing import TYPE_CHECKING

from sftcore.tracking.address import Address, find_run
from sftcore.tracking.layout import NOTE_TAG, STUDIES, TRAININGS, run_page
from sftcore.tracking.notes import STUDY, TRAINING, put_section, section_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RECIPE_TAG = "sft.recipe_sha256"


def link(client: "MlflowClient", address: Address, run_id: str) -> None:
    """Bring a study's answer into the run of its training, with links both ways.

    Args:
        client: of the store.
        address: of a run, a training or a study.
        run_id: of that run; the other, which need not be there, has the same :data:`RECIPE_TAG`.
    """
    own = client.get_run(run_id)
    recipe = own.data.tags.get(RECIPE_TAG, "")
    is_study = address.role == STUDIES
    # A study costs minutes, and DVC takes it from its cache for the next experiment.
    other = replace(
        address,
        role=TRAININGS if is_study else STUDIES,
        key=(RECIPE_TAG, recipe),
        any_experiment=address.any_experiment or not is_study,
    )
    experiment = client.get_experiment_by_name(other.place)
    found = find_run(client, experiment.experiment_id, other) if experiment else None
    if found is None or not recipe:
        return
    training, study = (found, own) if is_study else (own, found)
    answer = section_of(study.data.tags.get(NOTE_TAG, ""), STUDY)
    if not answer:  # it is still at work
        return
    page = run_page(study.info.experiment_id, study.info.run_id)
    _put(client, training, STUDY, f"{answer}\n\n[The study]({page}), with its cells.")
    _put(client, study, TRAINING, f"[{_name(training)}]({_page(training)})")


def _put(client: "MlflowClient", run: "Run", title: str, text: str) -> None:
    note = put_section(run.data.tags.get(NOTE_TAG, ""), title, text)
    client.set_tag(run.info.run_id, NOTE_TAG, note)


def _page(run: "Run") -> str:
    return run_page(run.info.experiment_id, run.info.run_id)


def _name(run: "Run") -> str:
    return "The training of the same recipe, " + run.info.run_name.replace("[", "").replace("]", "")
