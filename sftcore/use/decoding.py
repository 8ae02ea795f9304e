"""Pictures decoded in other processes while the network computes, in order and a few at a time."""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from sftcore.data.pictures.decode import Decoding, decode_square
from sftcore.foundations.errors import ResourceError
from sftcore.foundations.interruption import end_with_parent
from sftcore.use.inputs import Named
from sftcore.use.reading import Opened, open_with

CHUNK = 16  # pictures that a process is given at once
_WAITING = 3  # chunks for each process, so that none has to wait and memory stays flat


def open_all(pictures: Sequence[Named], decoding: Decoding, num_workers: int) -> Iterator[Opened]:
    """Every picture in order; at most a few chunks are held at any time.

    Args:
        pictures: to open.
        decoding: how.
        num_workers: processes; 0 decodes in this one.

    Raises:
        ResourceError: a process was ended from outside.
    """
    if not num_workers or len(pictures) <= 2 * CHUNK:  # a pool takes longer to start
        yield from (_open(named, decoding) for named in pictures)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads half-way
    pool = ProcessPoolExecutor(
        num_workers, context, initializer=end_with_parent, initargs=(os.getpid(),)
    )
    try:
        yield from _in_order(pool, pictures, decoding, _WAITING * num_workers)
    except BrokenProcessPool as error:
        raise ResourceError(
            "a process that decodes pictures was ended from outside, most likely for want of "
            "memory: run again, it goes on from here; with `--workers 0` it takes less"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, pictures: Sequence[Named], decoding: Decoding, most: int
) -> Iterator[Opened]:
    waiting: deque[Future[list[Opened]]] = deque()
    for start in range(0, len(pictures), CHUNK):
        chunk = pictures[start : start + CHUNK]
        waiting.append(pool.submit(partial(_open_chunk, chunk, decoding)))
        if len(waiting) >= most:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _open_chunk(chunk: Sequence[Named], decoding: Decoding) -> list[Opened]:
    return [_open(named, decoding) for named in chunk]


def _open(named: Named, decoding: Decoding) -> Opened:
    return open_with(lambda content: decode_square(content, decoding).pixels, named)
