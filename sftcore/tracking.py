"""MLflow: hears of everything, is never asked to decide anything, and never stops training.

Only this file and :mod:`sftcore.pyfunc_model` import mlflow, and only when tracking is on.
"""

import json
import logging
import math
import os
import re
import ssl
import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import urlopen

from sftcore.errors import TrackingError
from sftcore.interruption import leave_on_signals
from sftcore.repository import repository_root

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

LOGGER = logging.getLogger("sftcore")
RUN_KEY_TAG = "sft.run_key"
MODEL_TAG = "sft.model_sha256"
History = Sequence[tuple[int, Mapping[str, float]]]  # numbers by step

_MAX_PARAM_LENGTH = 6000  # MLflow refuses longer ones
_BATCH_METRICS, _BATCH_PARAMS = 1000, 100  # MLflow's limits of one request
_LOCK_TIMEOUT_S = 120.0  # a fresh store takes seconds; a stuck process must not stop the others
_QUIET = {
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI``, or the sqlite store at the root of the repository."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    return named or f"sqlite:///{repository_root().as_posix()}/mlflow.db"


def check_store(*, enabled: bool, timeout_s: float = 5.0) -> None:
    """Make sure, before any long work, that the store named by the user answers.

    Raises:
        TrackingError: the server does not answer, or MLflow cannot write to this kind of store.
    """
    uri = tracking_uri()
    scheme = urlparse(uri).scheme.partition("+")[0]  # postgresql+psycopg2
    if not enabled or scheme in ("sqlite", "postgresql", "mysql", "mssql", "databricks"):
        return
    shown = _without_login(uri)
    if scheme not in ("http", "https"):
        raise TrackingError(
            f"MLFLOW_TRACKING_URI is {shown!r}, and MLflow no longer writes to plain folders: use "
            "sqlite:///<file>, a server's http:// address, or unset it"
        )
    try:
        urlopen(f"{shown.rstrip('/')}/health", timeout=timeout_s).close()
    except (HTTPException, OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(error, HTTPError) or isinstance(reason, ssl.SSLCertVerificationError):
            return  # it answers; logins and certificates are between MLflow and the server
        raise TrackingError(
            f"the MLflow server at {shown} does not answer ({reason}). Start it, unset "
            "MLFLOW_TRACKING_URI to use the local store, or set tracking.enabled: false"
        ) from error


def _without_login(text: str) -> str:
    """The text with user and password cut out of every address, fit to be shown."""
    return re.sub(r"//[^/@\s]*@", "//", text)


class Run:
    """One MLflow run; every method does nothing when tracking is off or has failed once."""

    def __init__(self, client: "MlflowClient | None", run_id: str, experiment_id: str) -> None:
        self._client = client  # None from the first failure on
        self._last_client = client
        self.run_id = run_id
        self._experiment_id = experiment_id

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Tell the first failure, and let it end the tracking instead of the work."""
        try:
            # MLflow's own deprecations must not end the tracking where warnings are errors.
            with warnings.catch_warnings(action="ignore"):
                yield
        except Exception as error:  # whatever a store can raise must not stop training
            if self._client:
                _warn(f"MLflow failed while logging {what}; nothing more is logged", error)
            self._client = None

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; those too long for MLflow go into the artifact ``long_params.json``.

        A resumed run keeps the values that it has, as MLflow refuses to change them.
        """
        if client := self._client:
            with self._guarded("parameters"):
                _log_params(client, self.run_id, params)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers of one step; those that are not finite are left out."""
        self.log_history([(step, metrics)])

    def log_history(self, history: History) -> None:
        """Log numbers of many steps at once."""
        if client := self._client:
            with self._guarded("metrics"):
                _log_metrics(client, self.run_id, history)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        if client := self._client:
            with self._guarded("tags"):
                for key, value in tags.items():
                    client.set_tag(self.run_id, key, value)

    def log_artifacts(self, path: Path, folder: str) -> None:
        """Copy a file or a folder's files into the run."""
        if client := self._client:
            with self._guarded(f"artifacts of {path}"):
                copy = client.log_artifacts if path.is_dir() else client.log_artifact
                copy(self.run_id, str(path), folder)

    def log_dataset(self, samples: "pd.DataFrame", *, name: str, digest: str, context: str) -> None:
        """Name the data by its content's hash; nothing of it is copied."""
        if client := self._client:
            with self._guarded("the data set"):
                from mlflow.entities import Dataset, DatasetInput, InputTag

                source, size = json.dumps({"uri": name}), json.dumps({"num_rows": len(samples)})
                # MLflow keeps 36 characters of a digest.
                data = Dataset(name, digest[:36], "local", source, profile=size)
                tag = InputTag("mlflow.data.context", context)
                client.log_inputs(self.run_id, datasets=[DatasetInput(data, [tag])])

    def log_model(self, folder: Path, image_size: int, num_classes: int) -> None:
        """Log the fine-tuned model so that ``mlflow.pyfunc.load_model`` loads it without pickle."""
        if client := self._client:
            with self._guarded("the model"):
                from sftcore.pyfunc_model import log_model

                log_model(client, self.run_id, folder, image_size, num_classes)

    def log_child(
        self,
        name: str,
        *,
        params: Mapping[str, Any],
        history: History,
        tags: Mapping[str, str],
        is_finished: bool,
    ) -> None:
        """Write a complete child run: FINISHED, or FAILED where ``is_finished`` is false."""
        if client := self._client:
            with self._guarded(f"the child run {name}"):
                tags = {"mlflow.parentRunId": self.run_id, **tags}
                child = client.create_run(self._experiment_id, run_name=name, tags=tags).info.run_id
                _log_params(client, child, params)
                _log_metrics(client, child, history)
                client.set_terminated(child, "FINISHED" if is_finished else "FAILED")

    def end(self, status: str) -> None:
        """Give the run its last status, also after a failure: it must not look alive for ever."""
        if client := self._last_client:
            with self._guarded("the end of the run"):
                client.set_terminated(self.run_id, status)


def _log_params(client: "MlflowClient", run_id: str, params: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    known = client.get_run(run_id).data.params
    text = {name: str(value) for name, value in params.items()}
    long = {name: value for name, value in text.items() if len(value) > _MAX_PARAM_LENGTH}
    short = [Param(n, v) for n, v in text.items() if n not in long and n not in known]
    for start in range(0, len(short), _BATCH_PARAMS):
        client.log_batch(run_id, params=short[start : start + _BATCH_PARAMS])
    if long:
        client.log_text(run_id, json.dumps(long, indent=2), "long_params.json")


def _log_metrics(client: "MlflowClient", run_id: str, history: History) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [
        Metric(name, float(value), now, step)
        for step, numbers in history
        for name, value in numbers.items()
        if math.isfinite(value)
    ]
    for start in range(0, len(metrics), _BATCH_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + _BATCH_METRICS])


def _warn(message: str, error: Exception) -> None:
    LOGGER.warning("%s: %s", message, _without_login(str(error)))


@contextmanager
def open_run(
    *,
    enabled: bool,
    experiment: str,
    name: str,
    tags: Mapping[str, str],
    resume: tuple[str, str] | None = None,
) -> Iterator[Run]:
    """A run that ends FINISHED, FAILED on an error, or KILLED on SIGTERM and Ctrl-C.

    Args:
        enabled: if false, the run does nothing and mlflow is not imported.
        experiment: name; created when it is not there.
        name: of the run.
        tags: besides those that say which DVC experiment and git commit this is.
        resume: tag and value of an earlier run to go on with, the latest if there are several.
    """
    if not enabled:
        yield Run(None, "", "")
        return
    with leave_on_signals():
        run = _start(experiment, name, tags, resume)
        try:
            yield run
        except BaseException as error:
            run.end("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        run.end("FINISHED")


def _start(
    experiment: str, name: str, tags: Mapping[str, str], resume: tuple[str, str] | None
) -> Run:
    try:
        with warnings.catch_warnings(action="ignore"):
            client, experiment_id = _connect(experiment)
            if resume is not None:
                which = f"tags.`{resume[0]}` = '{resume[1]}'"
                for found in client.search_runs([experiment_id], which, max_results=1):
                    client.update_run(found.info.run_id, status="RUNNING")
                    return Run(client, found.info.run_id, experiment_id)
            tags = {**_context_tags(), **tags}
            run_id = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
    except Exception as error:  # as above: tracking never stops the work
        _warn("MLflow cannot open a run; nothing is logged", error)
        return Run(None, "", "")
    return Run(client, run_id, experiment_id)


def _connect(experiment: str) -> tuple["MlflowClient", str]:
    """A client and the experiment's id; a fresh store is made by one process at a time.

    Two processes that create the same sqlite store break each other's migration, and an
    experiment's artifact folder is fixed for good when it is created, so it is named here.
    """
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from filelock import FileLock
    from mlflow import MlflowClient

    root, uri = repository_root(), tracking_uri()
    (root / ".sft").mkdir(exist_ok=True)
    with FileLock(root / ".sft" / "mlflow.lock", timeout=_LOCK_TIMEOUT_S):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        known = client.get_experiment_by_name(experiment)
        if known is not None:
            return client, known.experiment_id
        local = (root / "mlartifacts").as_uri() if uri.startswith("sqlite:") else None
        return client, client.create_experiment(experiment, artifact_location=local)


def _context_tags() -> dict[str, str]:
    """Which DVC experiment, stage and git commit a run belongs to, as far as they are known."""
    names = {
        "dvc.exp_name": os.environ.get("DVC_EXP_NAME", ""),
        "dvc.baseline_rev": os.environ.get("DVC_EXP_BASELINE_REV", ""),
        "dvc.stage": os.environ.get("DVC_STAGE", ""),
        "mlflow.source.git.commit": (commit := _git("rev-parse", "HEAD").strip()),
    }
    if commit:
        names["git.dirty"] = str(bool(_git("status", "--porcelain", "--untracked-files=no")))
    return {name: value for name, value in names.items() if value}


def _git(*arguments: str) -> str:
    """What git prints, or nothing; it takes no lock that DVC may want."""
    command = ["git", "--no-optional-locks", *arguments]
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=True).stdout.decode()
    except (OSError, subprocess.SubprocessError):
        return ""
