"""Serve MLflow's pages, and say which of them to open."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from sftcore.foundations.errors import TrackingError
from sftcore.foundations.repository import make_command, scratch_folder
from sftcore.pipeline.shown import shown_of
from sftcore.settings.tree import load_params
from sftcore.tracking import Shown, check_store, tracking_uri, without_login, worthwhile_pages

_HOST = "127.0.0.1"
_START_S, _STOP_S, _POLL_S = 120.0, 10.0, 0.2
# One process and neither statistics nor jobs are enough for one person's looking.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def ui(port: int) -> Iterator[str]:
    """Links to the trainings, their curves and their comparison; then serve until interrupted.

    Where ``MLFLOW_TRACKING_URI`` names a server, that serves already: there are only the links.

    Args:
        port: of this machine.

    Yields:
        Lines for the user.

    Raises:
        ParamsError: params.yaml is at fault.
        TrackingError: the port is taken, the server named by the user does not answer, or the
            pages could not be served.
    """
    params = load_params()
    experiment, shown = params.tracking.experiment, shown_of(params.task)
    uri = tracking_uri()
    is_server = uri.startswith(("http://", "https://"))
    check_store(enabled=True)
    if is_server:
        yield from _links(without_login(uri).rstrip("/"), experiment, shown)
        return
    if uri.startswith("databricks"):
        raise TrackingError("Databricks serves its own pages: open your workspace there")
    _check_port(port)
    links = [*_links(f"http://{_HOST}:{port}", experiment, shown)]
    log = scratch_folder() / "mlflow_ui.log"
    with _served(uri, port, log) as server:
        yield from links
        yield "Ctrl-C ends it"
        server.wait()
    raise TrackingError(f"MLflow's server has ended; what it said is in {log}")


def _links(site: str, experiment: str, shown: Shown) -> Iterator[str]:
    try:
        pages = worthwhile_pages(experiment, shown)
    except Exception as error:  # whatever a store can raise
        reason = without_login(str(error))
        raise TrackingError(f"MLflow's store cannot be read ({reason})") from error
    if not pages:
        how = f"`{make_command('run')}` tells it of a training"
        yield f"{site} has no experiment {experiment!r} yet: {how}"
    for title, page in pages.items():
        yield f"{title:<20} {site}/{page}"


def _check_port(port: int) -> None:
    try:
        socket.create_server((_HOST, port)).close()
    except OSError as error:
        other = port + 1 if port < 65535 else port - 1
        raise TrackingError(
            f"port {port} cannot be used ({os.strerror(error.errno or 0)}): end what uses it, or "
            f"name another, `{make_command('ui')} PORT={other}`"
        ) from error


@contextmanager
def _served(uri: str, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """MLflow's server, from when it answers; ended whatever happens."""
    log.parent.mkdir(parents=True, exist_ok=True)
    # The address may hold a login, which a command line would show to everyone on the machine.
    environment = os.environ | _ENVIRONMENT | {"MLFLOW_BACKEND_STORE_URI": uri}
    command = [sys.executable, "-m", "mlflow", "ui", "--host", _HOST, "--port", str(port),
               "--workers", "1"]  # fmt: skip
    with log.open("wb") as said:
        server = subprocess.Popen(
            command, env=environment, stdout=said, stderr=said, start_new_session=True
        )
    try:
        _wait_for(server, port, log)
        yield server
    finally:
        _end(server)


def _wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urlopen(f"http://{_HOST}:{port}/health", timeout=1).close()
        except (OSError, URLError):
            time.sleep(_POLL_S)
        else:
            return
    raise TrackingError(f"MLflow's server did not start; what it said is in {log}")


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server and its worker, which a terminal's Ctrl-C does not reach."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, kind)
            server.wait(timeout=_STOP_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
