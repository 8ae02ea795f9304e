"""Which run is meant, and whether a store has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sftcore.tracking.layout import PARENT_TAG, TRAININGS, Shown, experiment_of
from sftcore.tracking.writing import search_runs, tag_is

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT_TAG = "dvc.exp_name"


@dataclass(frozen=True)
class Address:
    """Which run is meant; the same content under the same DVC experiment is the same run.

    Attributes:
        uri: of the store.
        experiment: of MLflow, that of the trainings; created when it is not there.
        name: of the run, if it is new.
        tags: of the run, if it is new.
        key: tag and value that name the content, or nothing for a run that is always new.
        any_experiment: whether a run of another DVC experiment will do.
        role: what the run is; it stands in the experiment of its kind, see
            :mod:`sftcore.tracking.layout`.
        shown: what the lists show of its task, if that is known.
    """

    uri: str
    experiment: str
    name: str
    tags: dict[str, str]
    key: tuple[str, str] | None = None
    any_experiment: bool = False
    role: str = TRAININGS
    shown: Shown | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Address":
        """An address as it was kept in a file; those of earlier versions say nothing of lists."""
        key, shown = record["key"], record.get("shown")
        own = {
            "key": tuple(key) if key else None,
            "shown": Shown(tuple(shown["headline"]), shown["score"]) if shown else None,
        }
        return cls(**{**record, **own})

    @property
    def place(self) -> str:
        """Name of the experiment that holds the run."""
        return experiment_of(self.experiment, self.role)


def find_run(client: "MlflowClient", experiment_id: str, address: Address) -> "Run | None":
    """The latest run at an address, whatever its status; child runs do not count."""
    if address.key is None:
        return None
    wanted = address.tags.get(EXPERIMENT_TAG, "")
    for run in search_runs(client, experiment_id, tag_is(*address.key)):
        tags = run.data.tags
        is_same = address.any_experiment or tags.get(EXPERIMENT_TAG, "") == wanted
        if is_same and PARENT_TAG not in tags:
            return run
    return None
