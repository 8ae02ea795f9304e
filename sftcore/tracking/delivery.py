"""Brings entries into an MLflow store; whatever is there already is not written again."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftcore.tracking.entries import Entry, digest_of
from sftcore.tracking.store import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT_TAG = "dvc.exp_name"
PARENT_TAG = "mlflow.parentRunId"
RUN_KEY_TAG = "sft.run_key"
_MAX_PARAM_LENGTH = 6000  # MLflow refuses longer ones
_BATCH_METRICS, _BATCH_PARAMS = 1000, 100  # MLflow's limits of one request
_PAGE = 1000


@dataclass(frozen=True)
class Address:
    """Which run is meant; the same content under the same DVC experiment is the same run.

    Attributes:
        uri: of the store.
        experiment: of MLflow; created when it is not there.
        name: of the run, if it is new.
        tags: of the run, if it is new.
        key: tag and value that name the content, or nothing for a run that is always new.
        any_experiment: whether a run of another DVC experiment will do.
    """

    uri: str
    experiment: str
    name: str
    tags: dict[str, str]
    key: tuple[str, str] | None = None
    any_experiment: bool = False


class Delivery:
    """An open run of a store."""

    def __init__(self, address: Address) -> None:
        self._client, self._experiment_id = connect(address.experiment, address.uri)
        found = find_run(self._client, self._experiment_id, address)
        self.was_there = found is not None
        if found is not None:
            self.run_id = found.info.run_id
            self._client.update_run(self.run_id, status="RUNNING")
        else:
            created = self._client.create_run(
                self._experiment_id, run_name=address.name, tags=address.tags
            )
            self.run_id = created.info.run_id
        # What a run holds is asked for only where it may hold something.
        self._may_hold = {self.run_id: self.was_there}
        self._steps: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._asked: set[tuple[str, str]] = set()
        self._children: dict[tuple[str, str], Run] | None = None

    def doubt(self) -> None:
        """After a failure nobody knows what has arrived: look before anything is written."""
        self._may_hold = dict.fromkeys(self._may_hold, True)
        self._asked.clear()
        self._children = None

    def deliver(self, entry: Entry) -> None:
        """Write one entry.

        Raises:
            FileNotFoundError: files of the entry are gone or have changed since.
            Exception: whatever a store can raise.
        """
        kind = entry["kind"]
        if kind == "params":
            self._log_params(self.run_id, entry["params"])
        elif kind == "metrics":
            self._log_metrics(self.run_id, entry["metrics"])
        elif kind == "tags":
            for name, value in entry["tags"].items():
                self._client.set_tag(self.run_id, name, value)
        elif kind == "dataset":
            self._log_dataset(entry)
        elif kind == "artifacts":
            path = _unchanged(entry)
            copy = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
            copy(self.run_id, str(path), entry["folder"])
        elif kind == "model":
            self._log_model(entry)
        elif kind == "child":
            self._log_child(entry)
        elif kind == "status":
            self._client.set_terminated(self.run_id, entry["status"])
        else:
            raise ValueError(f"no entry is of kind {kind!r}")

    def _log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        known = self._client.get_run(run_id).data.params  # MLflow refuses to change them
        long = {name: value for name, value in params.items() if len(value) > _MAX_PARAM_LENGTH}
        short = [Param(n, v) for n, v in params.items() if n not in long and n not in known]
        for start in range(0, len(short), _BATCH_PARAMS):
            self._client.log_batch(run_id, params=short[start : start + _BATCH_PARAMS])
        if long:
            self._client.log_text(run_id, json.dumps(long, indent=2), "long_params.json")

    def _log_metrics(self, run_id: str, metrics: Sequence[tuple[str, float, int, int]]) -> None:
        from mlflow.entities import Metric

        new = [Metric(*metric) for metric in metrics if not self._holds(run_id, *metric)]
        for start in range(0, len(new), _BATCH_METRICS):
            self._client.log_batch(run_id, metrics=new[start : start + _BATCH_METRICS])
        for metric in new:
            self._steps[run_id, metric.key].add(metric.step)

    def _holds(self, run_id: str, name: str, value: float, timestamp: int, step: int) -> bool:
        """Whether the run has a value of this metric for this step."""
        place = (run_id, name)
        if self._may_hold.get(run_id, True) and place not in self._asked:
            known = self._client.get_metric_history(run_id, name)
            self._steps[place] |= {metric.step for metric in known}
            self._asked.add(place)
        return step in self._steps[place]

    def _log_dataset(self, entry: Entry) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"uri": entry["name"]})
        profile = json.dumps({"num_rows": entry["num_rows"]})
        # MLflow keeps 36 characters of a digest.
        data = Dataset(entry["name"], entry["digest"][:36], "local", source, profile=profile)
        tag = InputTag("mlflow.data.context", entry["context"])
        self._client.log_inputs(self.run_id, datasets=[DatasetInput(data, [tag])])

    def _log_model(self, entry: Entry) -> None:
        from sftcore.pyfunc_model import log_model

        outputs = self._client.get_run(self.run_id).outputs
        if outputs is not None and any(self._is_ready(o.model_id) for o in outputs.model_outputs):
            return
        log_model(self._client, self.run_id, _unchanged(entry))

    def _is_ready(self, model_id: str) -> bool:
        return bool(self._client.get_logged_model(model_id).status == "READY")

    def _log_child(self, entry: Entry) -> None:
        found = self._find_child(entry)
        if found is not None and found.info.status in ("FINISHED", "FAILED"):
            return
        if found is None:
            tags = {PARENT_TAG: self.run_id, **entry["tags"]}
            found = self._client.create_run(self._experiment_id, run_name=entry["name"], tags=tags)
            self._may_hold[found.info.run_id] = False
        run_id = found.info.run_id
        self._log_params(run_id, entry["params"])
        self._log_metrics(run_id, entry["metrics"])
        self._client.set_terminated(run_id, entry["status"])

    def _find_child(self, entry: Entry) -> "Run | None":
        """The child run of this name and content, if an earlier attempt has begun it."""
        if not self._may_hold[self.run_id]:
            return None
        if self._children is None:
            which = f"tags.`{PARENT_TAG}` = '{self.run_id}'"
            self._children = {
                (run.info.run_name, run.data.tags.get(RUN_KEY_TAG, "")): run
                for run in search_runs(self._client, self._experiment_id, which)
            }
        return self._children.get((entry["name"], entry["tags"].get(RUN_KEY_TAG, "")))


def contents_of(address: Address) -> set[str]:
    """Names of the metrics of a finished run, of its folders (``evaluate/``), and ``model``."""
    client, experiment_id = connect(address.experiment, address.uri)
    run = find_run(client, experiment_id, address)
    if run is None or run.info.status != "FINISHED":
        return set()
    files = client.list_artifacts(run.info.run_id)
    names = {f"{file.path}/" for file in files if file.is_dir}
    if run.outputs is not None and run.outputs.model_outputs:
        names.add("model")
    return names | set(run.data.metrics)


def find_run(client: "MlflowClient", experiment_id: str, address: Address) -> "Run | None":
    """The latest run at an address, whatever its status; child runs do not count."""
    if address.key is None:
        return None
    tag, value = address.key
    wanted = address.tags.get(EXPERIMENT_TAG, "")
    for run in search_runs(client, experiment_id, f"tags.`{tag}` = '{value}'"):
        tags = run.data.tags
        is_same = address.any_experiment or tags.get(EXPERIMENT_TAG, "") == wanted
        if is_same and PARENT_TAG not in tags:
            return run
    return None


def search_runs(client: "MlflowClient", experiment_id: str, which: str) -> list["Run"]:
    """All runs that a filter lets through, the latest first."""
    runs: list[Run] = []
    token: Any = None
    while True:
        page = client.search_runs([experiment_id], which, max_results=_PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _unchanged(entry: Entry) -> Path:
    path = Path(entry["path"])
    if digest_of(path) != entry["sha256"]:
        raise FileNotFoundError(f"{path} has changed since")
    return path
