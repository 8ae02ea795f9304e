"""A run as the stages see it: it takes everything, and delivers it when the store can be had."""

import json
import logging
import os
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftcore.foundations.artifacts import is_alive, write_text
from sftcore.foundations.errors import OutputError
from sftcore.foundations.interruption import leave_on_signals
from sftcore.foundations.repository import scratch_folder
from sftcore.tracking import delivery
from sftcore.tracking.address import Address
from sftcore.tracking.context import context_tags
from sftcore.tracking.delivery import Delivery, deliver_or_drop
from sftcore.tracking.entries import (
    Entry,
    History,
    cell_entry,
    files_entry,
    metrics_entry,
    params_entry,
    tags_entry,
)
from sftcore.tracking.layout import TRAININGS, Shown
from sftcore.tracking.store import tracking_uri, without_login

if TYPE_CHECKING:
    import pandas as pd

LOGGER = logging.getLogger("sftcore")
MODEL_TAG = "sft.model_sha256"
ABLATION_TAG = "sft.ablation_sha256"
_RETRY_S = 5.0  # least time between two attempts to reach a store that fails
_RETRY_FACTOR = 20  # and in attempts: a store that answers by silence costs training a twentieth


class Run:
    """One MLflow run; without an address every method does nothing.

    What the store does not take waits in order, here and in a file, so that neither a dead server
    nor a killed process loses it.
    """

    def __init__(self, address: Address | None) -> None:
        self._address = address
        self._delivery: Delivery | None = None
        self._waiting: list[Entry] = []
        self._retry_at = 0.0
        self._has_warned = False
        name = f"{os.getpid()}-{uuid.uuid4().hex}.jsonl"
        self._file = pending_folder() / name if address else Path()
        if address:
            self._flush()

    @property
    def run_id(self) -> str:
        """MLflow's id, or nothing while the store has not been reached."""
        return self._delivery.run_id if self._delivery else ""

    @property
    def was_there(self) -> bool:
        """Whether the run goes on with an earlier one."""
        return self._delivery is not None and self._delivery.was_there

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; those too long for MLflow go into the artifact ``long_params.json``.

        A continued run keeps the values that it has, as MLflow refuses to change them.
        """
        self._put(params_entry(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers of one step; those that are not finite, or there already, are left out."""
        self.log_history([(step, metrics)])

    def log_history(self, history: History) -> None:
        """Log numbers of many steps at once."""
        self._put(metrics_entry(history))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self._put(tags_entry(tags))

    def log_artifacts(self, path: Path, folder: str) -> None:
        """Copy a file or a folder's files into the run."""
        self._put_files("artifacts", path, folder=folder)

    def log_dataset(self, samples: "pd.DataFrame", *, name: str, digest: str, context: str) -> None:
        """Name the data by its content's hash; nothing of it is copied."""
        details = {"name": name, "digest": digest, "context": context, "num_rows": len(samples)}
        self._put({"kind": "dataset", **details})

    def log_model(self, folder: Path) -> None:
        """Log the fine-tuned model so that ``mlflow.pyfunc.load_model`` loads it without pickle."""
        self._put_files("model", folder)

    def log_cell(self, name: str, **content: Any) -> None:
        """Write a complete cell of a study, unless its content is there already.

        Args:
            name: of the run, if it is new.
            content: see :func:`sftcore.tracking.entries.cell_entry`.
        """
        self._put(cell_entry(name, **content))

    def list_cells(self, study: str) -> None:
        """Link to the cells of a study in its description; log their list as ``cells.csv``.

        Args:
            study: its name in the tags of the cells.
        """
        self._put({"kind": "cells_page", "study": study})

    def describe(self, title: str, text: str) -> None:
        """Write a section of the run's description; see :mod:`sftcore.tracking.notes`."""
        self._put({"kind": "section", "title": title, "text": without_login(text)})

    def link(self) -> None:
        """Link a training and the study of its recipe; see :mod:`sftcore.tracking.linking`."""
        self._put({"kind": "link"})

    def end(self, status: str) -> None:
        """Give the run its last status, and leave what still waits for ``make sync``."""
        if self._address is None:
            return
        self._waiting.append({"kind": "status", "status": status})
        self._retry_at = 0.0
        self._flush()
        if self._waiting:
            LOGGER.warning(
                "MLflow has not got everything of %s: `make sync` delivers it when the store is "
                "back", self._address.name,
            )  # fmt: skip

    def _put(self, entry: Entry) -> None:
        if self._address is not None:
            self._waiting.append(entry)
            self._flush()

    def _put_files(self, kind: str, path: Path, **details: Any) -> None:
        if self._address is not None:
            try:
                self._put(files_entry(kind, path, **details))
            except OSError as error:
                LOGGER.warning("MLflow does not get %s: %s", kind, error)

    def _flush(self) -> None:
        """Deliver what waits, unless the store has just failed."""
        assert self._address is not None
        if time.monotonic() < self._retry_at:
            self._keep()
            return
        began = time.monotonic()
        try:
            # MLflow's own deprecations must not end the tracking where warnings are errors.
            with warnings.catch_warnings(action="ignore"):
                if self._delivery is None:
                    self._delivery = Delivery(self._address)
                while self._waiting:
                    deliver_or_drop(self._delivery, self._waiting[0])
                    self._waiting.pop(0)
        except Exception as error:  # whatever a store can raise must not stop training
            took = time.monotonic() - began
            self._retry_at = time.monotonic() + max(_RETRY_S, _RETRY_FACTOR * took)
            if self._delivery is not None:
                self._delivery.doubt()
            if not self._has_warned:
                reason = without_login(str(error))
                LOGGER.warning("MLflow fails; what it has to hear waits: %s", reason)
            self._has_warned = True
            self._keep()
        else:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)

    def _keep(self) -> None:
        """Write what waits to a file, so that it outlives this process."""
        assert self._address is not None
        opening = asdict(replace(self._address, uri=without_login(self._address.uri)))
        lines = [json.dumps(line, sort_keys=True) for line in (opening, *self._waiting)]
        try:
            write_text(self._file, "\n".join(lines) + "\n")
        except OutputError as error:
            LOGGER.warning("what MLflow has to hear is kept in memory alone: %s", error)


@contextmanager
def open_run(
    *,
    enabled: bool,
    experiment: str,
    name: str,
    tags: Mapping[str, str],
    key: tuple[str, str] | None = None,
    any_experiment: bool = False,
    role: str = TRAININGS,
    shown: Shown | None = None,
) -> Iterator[Run]:
    """A run that ends FINISHED, FAILED on an error, or KILLED on SIGTERM and Ctrl-C.

    Args:
        enabled: if false, the run does nothing and mlflow is not imported.
        experiment: name of that of the trainings; created when it is not there.
        name: of the run.
        tags: besides those that say which DVC experiment and git commit this is. The tag
            ``dvc.exp_name`` overrules what DVC says.
        key: tag and value that name the run's content. A run with this tag that belongs to the
            same DVC experiment, or like this one to none, is continued, whatever became of it.
        any_experiment: whether a run of another DVC experiment is continued too.
        role: what the run is, see :mod:`sftcore.tracking.layout`.
        shown: what the lists show of its task; an experiment that is new without has no view.
    """
    if not enabled:
        yield Run(None)
        return
    address = _address(experiment, name, tags, key, any_experiment, role, shown)
    with leave_on_signals():
        run = Run(address)
        try:
            yield run
        except BaseException as error:
            run.end("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        run.end("FINISHED")


def contents_of(
    *,
    experiment: str,
    tags: Mapping[str, str],
    key: tuple[str, str],
    any_experiment: bool,
    role: str = TRAININGS,
    shown: Shown | None = None,
) -> set[str]:
    """What the run that :func:`open_run` would continue holds; nothing if it is not finished."""
    address = _address(experiment, "", tags, key, any_experiment, role, shown)
    with warnings.catch_warnings(action="ignore"):
        return delivery.contents_of(address)


def _address(
    experiment: str,
    name: str,
    tags: Mapping[str, str],
    key: tuple[str, str] | None,
    any_experiment: bool,
    role: str,
    shown: Shown | None,
) -> Address:
    named = {key[0]: key[1]} if key else {}
    known = {tag: text for tag, text in {**context_tags(), **named, **tags}.items() if text}
    return Address(tracking_uri(), experiment, name, known, key, any_experiment, role, shown)


def pending_folder() -> Path:
    """Where entries wait for a store that could not be reached."""
    return scratch_folder() / "mlflow_pending"


def replay_pending() -> Iterator[str]:
    """Deliver what waits in files, except those of processes that are at work; a line for each.

    Raises:
        Exception: whatever a store can raise; the file is kept.
    """
    for file in sorted(pending_folder().glob("*.jsonl")):
        if is_alive(int(file.name.partition("-")[0])):
            continue
        opening, *entries = [json.loads(line) for line in file.read_text().splitlines()]
        uri = tracking_uri()
        if opening["uri"] == without_login(uri):
            opening["uri"] = uri  # with the login, which is not kept in files
        with warnings.catch_warnings(action="ignore"):
            target = Delivery(Address.from_record(opening))
            target.doubt()
            for entry in entries:
                deliver_or_drop(target, entry)
            if not any(entry["kind"] == "status" for entry in entries):
                target.deliver({"kind": "status", "status": "KILLED"})
        file.unlink()
        yield f"delivered {len(entries)} entries of the run {opening['name']}"
