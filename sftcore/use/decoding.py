"""Pictures decoded in other processes while the network computes, in order and a few at a time."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

import numpy as np

from sftcore.data.pictures.decode import Decoding, decode_square
from sftcore.foundations.errors import ResourceError
from sftcore.foundations.interruption import end_with_parent
from sftcore.use.inputs import Named
from sftcore.use.opening import Opened, open_with

CHUNK = 16  # pictures that a process is given at once
_WAITING = 3  # chunks for each process, so that none has to wait and memory stays flat


def open_all(pictures: Sequence[Named], decoding: Decoding, num_workers: int) -> Iterator[Opened]:
    """Every picture as its square, in order; at most a few chunks are held at any time.

    Args:
        pictures: to open.
        decoding: how.
        num_workers: processes; 0 decodes in this one.

    Raises:
        ResourceError: a process was ended from outside.
    """
    yield from read_all(pictures, partial(_pixels, decoding), num_workers)


def read_all(
    pictures: Sequence[Named],
    read: Callable[[bytes], Any],
    num_workers: int,
    chunk: int = CHUNK,
) -> Iterator[Opened]:
    """Every picture in order, read in whatever way; see :func:`open_all`.

    Args:
        pictures: to open.
        read: from a file's bytes to the example; it crosses to other processes.
        num_workers: processes; 0 reads in this one.
        chunk: pictures that a process is given at once.

    Raises:
        ResourceError: a process was ended from outside.
    """
    if not num_workers or len(pictures) <= 2 * chunk:  # a pool takes longer to start
        yield from (open_with(read, named) for named in pictures)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads half-way
    pool = ProcessPoolExecutor(
        num_workers, context, initializer=end_with_parent, initargs=(os.getpid(),)
    )
    try:
        yield from _in_order(pool, pictures, read, _WAITING * num_workers, chunk)
    except BrokenProcessPool as error:
        raise ResourceError(
            "a process that decodes pictures was ended from outside, most likely for want of "
            "memory: run again, it goes on from here; with `--workers 0` it takes less"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor,
    pictures: Sequence[Named],
    read: Callable[[bytes], Any],
    most: int,
    size: int,
) -> Iterator[Opened]:
    waiting: deque[Future[list[Opened]]] = deque()
    for start in range(0, len(pictures), size):
        chunk = pictures[start : start + size]
        waiting.append(pool.submit(partial(_open_chunk, chunk, read)))
        if len(waiting) >= most:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _open_chunk(chunk: Sequence[Named], read: Callable[[bytes], Any]) -> list[Opened]:
    return [open_with(read, named) for named in chunk]


def _pixels(decoding: Decoding, content: bytes) -> np.ndarray:
    return decode_square(content, decoding).pixels
