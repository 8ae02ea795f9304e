"""Where MLflow keeps its runs: address, health, connection."""

import logging
import os
import re
import ssl
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import urlopen

from sftcore.foundations.artifacts import remove_abandoned
from sftcore.foundations.errors import TrackingError
from sftcore.foundations.repository import repository_root
from sftcore.tracking.layout import TRAININGS, Shown, experiment_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOCK_TIMEOUT_S = 120.0  # a fresh store takes seconds; a stuck process must not stop the others
_QUIET = {
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
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
    shown = without_login(uri)
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


def without_login(text: str) -> str:
    """The text with user and password cut out of every address, fit to be shown."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def connect(
    experiment: str, uri: str, role: str = TRAININGS, shown: Shown | None = None
) -> tuple["MlflowClient", str]:
    """A client and the experiment's id; a fresh store is made by one process at a time.

    Two processes that create the same sqlite store break each other's migration, and an
    experiment's artifact folder is fixed for good when it is created, so it is named here.

    Args:
        experiment: its name.
        uri: of the store.
        role: what the experiment holds; see :mod:`sftcore.tracking.layout`.
        shown: what its list shows, if that is known.
    """
    _silence()
    from filelock import FileLock
    from mlflow import MlflowClient

    root = repository_root()
    (root / ".sft").mkdir(exist_ok=True)
    with FileLock(root / ".sft" / "mlflow.lock", timeout=_LOCK_TIMEOUT_S):
        _create_sqlite(uri)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        known = client.get_experiment_by_name(experiment)
        if known is None:
            local = (root / "mlartifacts").as_uri() if uri.startswith("sqlite:") else None
            experiment_id = client.create_experiment(experiment, artifact_location=local)
        else:
            experiment_id = known.experiment_id
        had = known.tags if known is not None else {}
        # A server may forbid it to people who may write runs; how a page looks stops nothing.
        with suppress(Exception):
            for tag, value in experiment_tags(role, experiment_id, shown).items():
                if tag not in had:  # what people have changed there is theirs
                    client.set_experiment_tag(experiment_id, tag, value)
        return client, experiment_id


def reader(uri: str) -> "MlflowClient":
    """A client that creates nothing."""
    _silence()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _silence() -> None:
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _create_sqlite(uri: str) -> None:
    """Make a sqlite store aside and put it in place when it is whole.

    A process that is killed while it creates the tables would leave a file that MLflow can neither
    use nor finish.
    """
    from mlflow import MlflowClient
    from sqlalchemy import make_url

    address = make_url(uri) if uri.startswith("sqlite") else None
    if address is None or not address.database or Path(address.database).exists():
        return
    path = Path(address.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    MlflowClient(f"sqlite:///{temporary.absolute()}").search_experiments(max_results=1)
    temporary.replace(path)
