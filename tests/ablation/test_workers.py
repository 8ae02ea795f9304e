"""Worker processes of a study: nothing they have done is lost, and none outlives the study."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sftcore.ablation.workers import Workers
from tests.import_closure import ROOT

PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path
from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.interruption import leave_on_signals
from tests.ablation.test_run import LOCK, tiny_study
from sftcore.ablation.run import run_cells
from sftcore.ablation.workers import Workers

if __name__ == "__main__":
    cells = tiny_study(rates=[0.001], **{"train.batch_size": 2})[:4]
    long = [replace(c, row=replace(c.row, train=c.row.train.model_copy(update={"epochs": 100_000})))
            for c in cells]
    with exit_on_error(), leave_on_signals(), Workers(2) as workers:
        run_cells(long, prepared=Path(sys.argv[1]), task="classification", environment=LOCK,
                  device="cpu",
                  mode="native", precision="fp32", workers=workers, scratch=Path(sys.argv[2]),
                  checkpoint_seconds=3)
"""

ENDED = """
from sftcore.ablation.workers import Workers
from sftcore.foundations.errors import exit_on_error
from tests.ablation.test_workers import end_from_outside

if __name__ == "__main__":
    with exit_on_error(), Workers(2) as workers:
        list(workers.each(end_from_outside, [1, 2]))
"""


@pytest.fixture
def study(prepared: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A study of endless cells, two of which are being trained."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(prepared), str(tmp_path)],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: len(newest(tmp_path)) == 2)
    yield process
    for child in psutil.Process().children(recursive=True):
        child.kill()
    process.communicate()


def newest(scratch: Path) -> dict[str, str]:
    """The newest checkpoint of every training."""
    files = sorted(scratch.glob("checkpoints/*/*.checkpoint"))
    return {file.parent.name: file.name for file in files}


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def workers_of(study: subprocess.Popen[str]) -> list[psutil.Process]:
    return [p for p in psutil.Process(study.pid).children() if "spawn_main" in str(p.cmdline())]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_workers_leave_a_checkpoint_and_end_with_the_study(
    number: signal.Signals, study: subprocess.Popen[str], tmp_path: Path
) -> None:
    workers = workers_of(study)
    assert len(workers) == 2
    before = newest(tmp_path)
    study.send_signal(number)
    expected = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}
    assert study.wait(60) == expected[number]
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    after = newest(tmp_path)
    assert all(after[training] > before[training] for training in before)


def process_of(job: int) -> int:
    time.sleep(0.5)
    return os.getpid()


def test_workers_are_kept_for_later_jobs() -> None:
    with Workers(2) as workers:
        first = set(workers.each(process_of, [1, 2]))
        assert set(workers.each(process_of, [3, 4, 5])) <= first
        assert len(first) == 2
        assert os.getpid() not in first
        assert set(workers.each(process_of, [6])) <= first
    assert not any(psutil.pid_exists(each) for each in first)
    with Workers(1) as workers:
        assert set(workers.each(process_of, [1, 2])) == {os.getpid()}


def end_from_outside(job: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return job


def test_a_worker_that_is_ended_is_explained() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDED], cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "lower runtime.num_workers" in done.stderr
    assert "Traceback" not in done.stderr
