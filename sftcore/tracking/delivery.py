"""Brings entries into an MLflow store; whatever is there already is not written again."""

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sftcore.foundations.artifacts import sha256_json
from sftcore.tracking.address import Address, find_run
from sftcore.tracking.cells import LINE_LENGTH, RUN_KEY_TAG, Cells
from sftcore.tracking.entries import Entry, digest_of
from sftcore.tracking.layout import CELLS, NOTE_TAG, experiment_of
from sftcore.tracking.linking import link
from sftcore.tracking.notes import CELLS_TITLE, put_section
from sftcore.tracking.store import connect, without_login
from sftcore.tracking.writing import Measurement, write_metrics, write_params

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOGGER = logging.getLogger("sftcore")
# What MLflow says of an entry that it will never take.
_HOPELESS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST", "INVALID_STATE")


class Delivery:
    """An open run of a store."""

    def __init__(self, address: Address) -> None:
        self._client, self._experiment_id = _connect(address)
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
        self._address = address
        # What a run holds is asked for only where it may hold something.
        self._may_hold = self.was_there
        self._steps: dict[str, set[int]] = defaultdict(set)
        self._asked: set[str] = set()
        self._cells: Cells | None = None

    def doubt(self) -> None:
        """After a failure nobody knows what has arrived: look before anything is written."""
        self._may_hold = True
        self._asked.clear()

    def deliver(self, entry: Entry) -> None:
        """Write one entry.

        Raises:
            FileNotFoundError: files of the entry are gone or have changed since.
            Exception: whatever a store can raise.
        """
        kind = entry["kind"]
        if kind == "params":
            write_params(self._client, self.run_id, entry["params"])
        elif kind == "metrics":
            self._log_metrics(entry["metrics"])
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
        elif kind == "section":
            self._put_section(entry["title"], entry["text"])
        elif kind == "cell":
            self._cells_of().put(entry)
        elif kind == "child":  # waited since cells were children of their study
            self._cells_of().put(_as_cell(entry))
        elif kind == "cells_page":
            self._log_cells_page(entry)
        elif kind == "link":
            link(self._client, self._address, self.run_id)
        elif kind == "status":
            self._client.set_terminated(self.run_id, entry["status"])
        else:
            raise ValueError(f"no entry is of kind {kind!r}")

    def _log_metrics(self, metrics: Sequence[Measurement]) -> None:
        new = [metric for metric in metrics if not self._holds(*metric)]
        write_metrics(self._client, self.run_id, new)
        for name, _, _, step in new:
            self._steps[name].add(step)

    def _holds(self, name: str, value: float, timestamp: int, step: int) -> bool:
        """Whether the run has a value of this metric for this step."""
        if self._may_hold and name not in self._asked:
            known = self._client.get_metric_history(self.run_id, name)
            self._steps[name] |= {metric.step for metric in known}
            self._asked.add(name)
        return step in self._steps[name]

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

    def _put_section(self, title: str, text: str) -> None:
        note = self._client.get_run(self.run_id).data.tags.get(NOTE_TAG, "")
        self._client.set_tag(self.run_id, NOTE_TAG, put_section(note, title, text))

    def _cells_of(self) -> Cells:
        if self._cells is None:
            name = experiment_of(self._address.experiment, CELLS)
            self._cells = Cells(self._address.uri, name, self._address.shown)
        return self._cells

    def _log_cells_page(self, entry: Entry) -> None:
        cells, study = self._cells_of(), entry["study"]
        table = cells.table(study)
        self._client.log_text(self.run_id, table, "cells.csv")
        text = f"[{len(table.splitlines()) - 1} cells]({cells.page(study)}), also in `cells.csv`."
        self._put_section(CELLS_TITLE, text)


def deliver_or_drop(target: Delivery, entry: Entry) -> None:
    """Deliver an entry, or drop it with a warning if no store will ever take it."""
    try:
        target.deliver(entry)
    except FileNotFoundError as error:
        LOGGER.warning("MLflow does not get the %s: %s", entry["kind"], error)
    except Exception as error:
        if getattr(error, "error_code", "") not in _HOPELESS:
            raise
        LOGGER.warning("MLflow refuses the %s: %s", entry["kind"], without_login(str(error)))


def contents_of(address: Address) -> set[str]:
    """Names of the metrics of a finished run, of its folders (``evaluate/``), and ``model``."""
    client, experiment_id = _connect(address)
    run = find_run(client, experiment_id, address)
    if run is None or run.info.status != "FINISHED":
        return set()
    files = client.list_artifacts(run.info.run_id)
    names = {f"{file.path}/" for file in files if file.is_dir}
    if run.outputs is not None and run.outputs.model_outputs:
        names.add("model")
    return names | set(run.data.metrics)


def _connect(address: Address) -> tuple["MlflowClient", str]:
    return connect(address.place, address.uri, address.role, address.shown)


def _unchanged(entry: Entry) -> Path:
    path = Path(entry["path"])
    if digest_of(path) != entry["sha256"]:
        raise FileNotFoundError(f"{path} has changed since")
    return path


def _as_cell(entry: Entry) -> Entry:
    """A cell from an entry that was written when cells were children of their study."""
    content = sha256_json([entry["name"], entry["params"]])[:LINE_LENGTH]
    is_known = RUN_KEY_TAG in entry["tags"]
    return {**entry, "study": "", "member": "", "line": "" if is_known else content}
