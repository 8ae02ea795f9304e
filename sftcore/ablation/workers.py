"""Processes that train the cells of a study side by side."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self, TypeVar

from sftcore.foundations.errors import ResourceError
from sftcore.foundations.interruption import leave_on_signals_for_good

Job = TypeVar("Job")


class Workers:
    """A context in which jobs are done side by side.

    Processes are started when they are first needed and kept until the end, as what they have
    imported and computed serves later jobs too.

    Args:
        num: of processes; with one, or one job, this process does it.
    """

    def __init__(self, num: int) -> None:
        self._num = num
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        if error is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()  # it writes a checkpoint first
        self._pool.shutdown()

    def each(self, do: Callable[[Job], int], jobs: Sequence[Job]) -> Iterator[int]:
        """What ``do`` gives for each job, in the order in which they end.

        Args:
            do: can be pickled.
            jobs: can be pickled.

        Raises:
            ResourceError: a process was ended from outside.
        """
        if self._pool is None:
            if min(self._num, len(jobs)) <= 1:
                yield from map(do, jobs)
                return
            self._pool = ProcessPoolExecutor(
                self._num,
                multiprocessing.get_context("spawn"),
                initializer=leave_on_signals_for_good,
            )
        try:
            submitted = [self._pool.submit(_do_or_end, do, job) for job in jobs]
            for done in as_completed(submitted):
                yield done.result()
        except BrokenProcessPool as error:
            raise ResourceError(
                "a process that trained ablation cells was ended, most likely for want of memory: "
                "lower runtime.num_workers and run again; finished cells are kept"
            ) from error


def _do_or_end(do: Callable[[Job], int], job: Job) -> int:
    """Do a job in a process that would take up the next one after a signal."""
    try:
        return do(job)
    except (KeyboardInterrupt, SystemExit):
        os._exit(1)
