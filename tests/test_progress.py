"""Progress: a bar on a terminal, few lines elsewhere."""

import io

import pytest

from sftcore.foundations import progress
from sftcore.foundations.progress import show_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_file_gets_a_line_now_and_then_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with show_progress("study", 100, "cells", stream) as work:
        for number in range(1, 101):
            now = float(number)
            work.advance(loss=0.25)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "study: 10 of 100 cells in 00:10, about 01:30 left, loss 0.25"
    assert lines[1:] == [
        "study: 40 of 100 cells in 00:40, about 01:00 left, loss 0.25",
        "study: 70 of 100 cells in 01:10, about 00:30 left, loss 0.25",
        "study: 100 of 100 cells in 01:40, about 00:00 left, loss 0.25",
    ]


def test_quick_work_says_nothing_in_a_file() -> None:
    stream = io.StringIO()
    with show_progress("study", 3, "cells", stream) as work:
        work.advance(3)
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    with show_progress("study", 2, "cells", stream) as work:
        work.advance()
        work.advance()
    assert "study: 100%" in stream.getvalue()
    assert "2/2" in stream.getvalue()
