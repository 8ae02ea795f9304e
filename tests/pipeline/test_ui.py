"""``python -m sftcore ui`` as its user runs it: links, then MLflow's pages, then an end."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from sftcore.foundations.errors import TrackingError
from sftcore.pipeline.ui import ui
from tests.import_closure import ROOT
from tests.pipeline.project import call_program, environment

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".dvc").mkdir()
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def started(folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command, and the lines that it said before it began to wait."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sftcore", "ui", "--port", str(port)],
        cwd=folder, env=environment(PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if "Ctrl-C" in line:
                break
        yield process, lines
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_links_then_pages_then_an_end(folder: Path) -> None:
    port = free_port()
    with started(folder, port) as (process, lines):
        assert urlopen(f"http://127.0.0.1:{port}/health", timeout=10).read() == b"OK"
        site = f"http://127.0.0.1:{port}/#/experiments/"
        assert lines[0].startswith("trainings ")
        assert all(site in line for line in lines[:-1])
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
            done = call_program(folder, "ui")
        assert (done.returncode, done.stdout.splitlines()) == (0, lines[:-1]), "a server serves"
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the server outlives the command")


def test_a_port_that_is_taken_is_told_before_anything(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TrackingError, match=f"port {port} cannot be used .*PORT="):
            list(ui(port))
    assert not (folder / "mlflow.db").exists()


def test_a_number_that_is_no_port(folder: Path) -> None:
    for text in ("0", "65536", "-1", "http"):
        done = call_program(folder, "ui", f"--port={text}")
        assert done.returncode == 2
        assert "is no port" in done.stderr
        assert "Traceback" not in done.stderr
