import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sftcore.foundations.interruption import leave_on_signals, uninterrupted

PROGRAM = """
import os, sys, time
from sftcore.foundations.interruption import leave_on_signals
with leave_on_signals():
    try:
        print(os.getpid(), flush=True)
        time.sleep(60)
    finally:
        open(sys.argv[1], "w").write("left in order")
"""


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_unwinds_the_stack_and_handlers_come_back(
    number: signal.Signals, error: type[BaseException]
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(error), leave_on_signals():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_signal_waits_for_the_end_of_the_outermost_block() -> None:
    done: list[str] = []

    def work() -> None:
        with uninterrupted():
            with uninterrupted():
                signal.raise_signal(signal.SIGTERM)
                done.append("inner")
            done.append("outer")
        done.append("after")

    with pytest.raises(SystemExit) as caught, leave_on_signals():
        work()
    assert done == ["inner", "outer"]
    assert caught.value.code == 128 + signal.SIGTERM


def test_a_signal_is_told_once() -> None:
    with pytest.raises(SystemExit), leave_on_signals(), uninterrupted():
        signal.raise_signal(signal.SIGTERM)
    with uninterrupted():
        pass


def test_a_second_signal_does_not_cut_off_the_last_words() -> None:
    done: list[str] = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            done.append("last words")

    for _ in range(2):
        with pytest.raises(SystemExit), leave_on_signals():
            work()
    assert done == ["last words", "last words"]


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's death")
def test_the_death_of_the_parent_ends_the_work_in_order(tmp_path: Path) -> None:
    note = tmp_path / "note"
    command = f"[sys.executable, '-c', {PROGRAM!r}, {str(note)!r}]"
    child = f"import subprocess, sys; subprocess.run({command})"
    parent = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    wait_for(note.exists)
    assert note.read_text() == "left in order"
    wait_for(lambda: not is_alive(worker))
    parent.stdout.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
        return file.read().split()[2] != "Z"
