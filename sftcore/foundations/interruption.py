"""SIGTERM, Ctrl-C and the death of the parent: they end the work, but never between two halves.

A signal unwinds the stack like an exception, so that every caller can put away what it has. Inside
:func:`uninterrupted` it waits for the end of the block.
"""

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_PR_SET_PDEATHSIG = 1  # prctl(2), Linux
_ORPHANED = getattr(signal, "SIGUSR2", signal.SIGTERM)  # sent by the kernel when the parent dies
_SIGNALS = (signal.SIGTERM, signal.SIGINT, _ORPHANED)


class _Waiting:
    """The signals of this process; Python runs their handlers in the main thread alone."""

    depth = 0  # of blocks that put signals off
    number: int | None = None
    callers = 0  # that have asked to leave on signals
    is_leaving = False  # a second signal must not cut off what the first one lets be put away


@contextmanager
def leave_on_signals() -> Iterator[None]:
    """Let SIGTERM raise ``SystemExit`` and Ctrl-C ``KeyboardInterrupt``, also if the parent dies.

    By default SIGTERM ends the process on the spot. A stage whose DVC was killed would go on and
    write its outputs beside those of the next run, so it asks to be told and leaves too.
    """
    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    leave_on_signals_for_good()
    _Waiting.callers += 1
    try:
        yield
    finally:
        _Waiting.callers -= 1
        if not _Waiting.callers:
            _Waiting.is_leaving = False
            _ask_for_signal(0)
        for number, handler in previous.items():
            signal.signal(number, handler)


def leave_on_signals_for_good() -> None:
    """:func:`leave_on_signals` until the process ends, as a worker process wants it."""
    parent = os.getppid()

    def leave(number: int, _: FrameType | None) -> None:
        # The kernel also tells of the end of the parent's thread that started this process.
        if number == _ORPHANED and os.getppid() == parent:
            return
        if _Waiting.is_leaving:
            return
        if _Waiting.depth:
            _Waiting.number = number
        else:
            _leave(number)

    for number in _SIGNALS:
        signal.signal(number, leave)
    _ask_for_signal(_ORPHANED)


def end_with_parent(parent: int) -> None:
    """Let this process end on the spot when its parent does, and leave Ctrl-C to the parent.

    For workers that have nothing to put away. A pool's worker goes on after an exception, whatever
    its kind, so that one that was told by an exception would wait for work for ever.

    Args:
        parent: number of the process that started this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _ask_for_signal(signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it could be asked for
        os._exit(1)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off signals until the end of the outermost block."""
    _Waiting.depth += 1
    try:
        yield
    finally:
        _Waiting.depth -= 1
        if not _Waiting.depth and _Waiting.number is not None:
            number, _Waiting.number = _Waiting.number, None
            _leave(number)


def _leave(number: int) -> None:
    _Waiting.is_leaving = True
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + (signal.SIGTERM if number == _ORPHANED else number))


def _ask_for_signal(number: int) -> None:
    """Ask Linux to send this signal to the process when its parent dies; elsewhere do nothing."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
