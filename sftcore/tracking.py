"""MLflow: hears of everything, is never asked to decide anything, and never stops training.

Only this file and :mod:`sftcore.pyfunc_model` import mlflow, and only when tracking is on.
"""

import logging
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import urlopen

from sftcore.errors import TrackingError
from sftcore.repository import repository_root

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

LOGGER = logging.getLogger("sftcore")
RUN_KEY_TAG = "sft.run_key"
MODEL_TAG = "sft.model_sha256"

_MAX_PARAM_LENGTH = 6000  # MLflow refuses longer ones
_BATCH_METRICS, _BATCH_PARAMS = 1000, 100  # MLflow's limits of one request
_QUIET = {
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI``, or the sqlite store at the root of the repository."""
    return (
        os.environ.get("MLFLOW_TRACKING_URI")
        or f"sqlite:///{repository_root().as_posix()}/mlflow.db"
    )


def check_store(*, enabled: bool, timeout_s: float = 5.0) -> None:
    """Make sure, before any long work, that the store named by the user answers.

    Raises:
        TrackingError: the server does not answer, or MLflow no longer takes this kind of store.
    """
    if not enabled:
        return
    uri = tracking_uri()
    scheme = urlparse(uri).scheme
    if scheme in ("", "file"):
        raise TrackingError(
            f"MLFLOW_TRACKING_URI is {uri!r}, and MLflow no longer writes to plain folders: use "
            "sqlite:///<file>, a server's http:// address, or unset it"
        )
    if scheme not in ("http", "https"):
        return
    try:
        urlopen(f"{uri.rstrip('/')}/health", timeout=timeout_s).close()
    except HTTPError:
        return  # it answers
    except (URLError, OSError, ValueError) as error:
        raise TrackingError(
            f"the MLflow server at {uri} does not answer ({error}). Start it, unset "
            "MLFLOW_TRACKING_URI to use the local store, or set tracking.enabled: false"
        ) from error


class Run:
    """One MLflow run; every method does nothing when tracking is off or has failed once."""

    def __init__(self, client: "MlflowClient | None", run_id: str, experiment_id: str) -> None:
        self._client = client
        self.run_id = run_id
        self._experiment_id = experiment_id

    @contextmanager
    def _guarded(self, what: str) -> Iterator["MlflowClient | None"]:
        """Hand out the client; the first failure is told once and ends the tracking."""
        if self._client is None:
            yield None
            return
        try:
            yield self._client
        except Exception as error:  # whatever a store can raise must not stop training
            self._client = None
            LOGGER.warning(
                "MLflow failed while logging %s; nothing more is logged: %s", what, error
            )

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; those too long for MLflow go into the artifact ``long_params.json``."""
        from json import dumps

        with self._guarded("parameters") as client:
            if client is None:
                return
            from mlflow.entities import Param

            known = client.get_run(self.run_id).data.params
            text = {name: str(value) for name, value in params.items()}
            long = {name: value for name, value in text.items() if len(value) > _MAX_PARAM_LENGTH}
            short = [Param(n, v) for n, v in text.items() if n not in long and n not in known]
            for start in range(0, len(short), _BATCH_PARAMS):
                client.log_batch(self.run_id, params=short[start : start + _BATCH_PARAMS])
            if long:
                client.log_text(self.run_id, dumps(long, indent=2), "long_params.json")

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers of one step; those that are not finite are left out."""
        self.log_history([(step, metrics)])

    def log_history(self, history: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Log numbers of many steps at once."""
        with self._guarded("metrics") as client:
            if client is not None:
                _log_metrics(client, self.run_id, history)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        with self._guarded("tags") as client:
            if client is not None:
                from mlflow.entities import RunTag

                client.log_batch(self.run_id, tags=[RunTag(k, str(v)) for k, v in tags.items()])

    def log_artifacts(self, path: Path, folder: str) -> None:
        """Copy a file or a folder's files into the run."""
        with self._guarded(f"artifacts of {path}") as client:
            if client is None:
                return
            if path.is_dir():
                client.log_artifacts(self.run_id, str(path), folder)
            else:
                client.log_artifact(self.run_id, str(path), folder)

    def log_dataset(self, samples: "pd.DataFrame", *, name: str, digest: str, context: str) -> None:
        """Name the data by its content's hash."""
        with self._guarded("the data set") as client:
            if client is None:
                return
            from mlflow.data.pandas_dataset import from_pandas
            from mlflow.entities import DatasetInput, InputTag

            columns = samples[["label", "split"]].astype(object)
            # MLflow keeps 36 characters of a digest.
            data = from_pandas(columns, name=name, digest=digest[:36])
            entity = data._to_mlflow_entity()
            tag = InputTag("mlflow.data.context", context)
            client.log_inputs(self.run_id, datasets=[DatasetInput(entity, [tag])])

    def log_model(self, folder: Path, image_size: int, num_classes: int) -> None:
        """Log the fine-tuned model so that ``mlflow.pyfunc.load_model`` loads it without pickle."""
        with self._guarded("the model") as client:
            if client is not None:
                from sftcore.pyfunc_model import log_model

                log_model(self.run_id, folder, image_size, num_classes)

    def log_child(
        self,
        name: str,
        *,
        params: Mapping[str, Any],
        history: Sequence[tuple[int, Mapping[str, float]]],
        tags: Mapping[str, str],
        is_finished: bool,
    ) -> None:
        """Write a complete child run: FINISHED, or FAILED where ``is_finished`` is false."""
        with self._guarded(f"the child run {name}") as client:
            if client is None:
                return
            from mlflow.entities import Param

            known = {"mlflow.parentRunId": self.run_id, **tags}
            child = client.create_run(self._experiment_id, run_name=name, tags=known)
            texts = [Param(key, str(value)[:_MAX_PARAM_LENGTH]) for key, value in params.items()]
            client.log_batch(child.info.run_id, params=texts[:_BATCH_PARAMS])
            _log_metrics(client, child.info.run_id, history)
            client.set_terminated(child.info.run_id, "FINISHED" if is_finished else "FAILED")

    def end(self, status: str) -> None:
        """Give the run its last status: FINISHED, FAILED or KILLED."""
        with self._guarded("the end of the run") as client:
            if client is not None:
                client.set_terminated(self.run_id, status)


def _log_metrics(
    client: "MlflowClient", run_id: str, history: Sequence[tuple[int, Mapping[str, float]]]
) -> None:
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
        resume: tag and value of an earlier run to go on with, if there is one.
    """
    run = _start(experiment, name, tags, resume) if enabled else Run(None, "", "")
    previous = signal.signal(signal.SIGTERM, _exit_on_sigterm) if enabled else None
    try:
        yield run
    except BaseException as error:
        run.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    else:
        run.end("FINISHED")
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _exit_on_sigterm(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _start(
    experiment: str, name: str, tags: Mapping[str, str], resume: tuple[str, str] | None
) -> Run:
    try:
        client, experiment_id = _connect(experiment)
        if resume is not None:
            found = client.search_runs(
                [experiment_id], f"tags.`{resume[0]}` = '{resume[1]}'", max_results=1
            )
            if found:
                run_id = found[0].info.run_id
                client.update_run(run_id, status="RUNNING")
                return Run(client, run_id, experiment_id)
        known = {**_context_tags(), **tags}
        run_id = client.create_run(experiment_id, run_name=name, tags=known).info.run_id
    except Exception as error:  # as above: tracking never stops the work
        LOGGER.warning("MLflow cannot open a run; nothing is logged: %s", error)
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
    with FileLock(root / ".sft" / "mlflow.lock"):
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
        "mlflow.source.git.commit": _git("rev-parse", "HEAD"),
    }
    if names["mlflow.source.git.commit"]:
        names["git.dirty"] = str(bool(_git("status", "--porcelain", "--untracked-files=no")))
    return {name: value for name, value in names.items() if value}


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
