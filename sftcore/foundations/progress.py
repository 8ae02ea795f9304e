"""How far long work has come: a bar on a terminal, a line now and then in a file."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

FIRST_LINE_S, NEXT_LINE_S = 10.0, 30.0


class Progress:
    """Counts what is done.

    Args:
        title: of the work.
        total: pieces of work.
        unit: what a piece is called, in the plural.
        stream: to write to.
    """

    def __init__(self, title: str, total: int, unit: str, stream: TextIO) -> None:
        self._title, self._total, self._unit, self._stream = title, total, unit, stream
        self._began = time.monotonic()
        self._next_line = self._began + FIRST_LINE_S
        self._num_done = 0
        is_terminal = stream.isatty()
        self._bar = (
            tqdm(total=total, desc=title, unit=f" {unit}", file=stream) if is_terminal else None
        )

    def advance(self, count: int = 1, **numbers: float) -> None:
        """So many more pieces are done; numbers to show beside them."""
        self._num_done += count
        if self._bar is not None:
            self._bar.update(count)
            if numbers:
                self._bar.set_postfix(numbers)
        elif time.monotonic() >= self._next_line:
            self._write_line(numbers)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()

    def _write_line(self, numbers: Mapping[str, float]) -> None:
        now = time.monotonic()
        self._next_line = now + NEXT_LINE_S
        passed = now - self._began
        left = passed / self._num_done * (self._total - self._num_done)
        beside = "".join(f", {name} {value:.3g}" for name, value in numbers.items())
        self._stream.write(
            f"{self._title}: {self._num_done} of {self._total} {self._unit} in "
            f"{tqdm.format_interval(passed)}, about {tqdm.format_interval(left)} left{beside}\n"
        )
        self._stream.flush()


@contextmanager
def show_progress(
    title: str, total: int, unit: str, stream: TextIO | None = None
) -> Iterator[Progress]:
    """Show how far some work has come, with the time that is left.

    On a terminal a bar; elsewhere a line after 10 s and then every half minute, so that a log
    tells how long it will take and stays short.

    Args:
        title: of the work.
        total: pieces of work.
        unit: what a piece is called, in the plural.
        stream: to write to; standard error without one.
    """
    progress = Progress(title, total, unit, stream or sys.stderr)
    try:
        yield progress
    finally:
        progress.close()
