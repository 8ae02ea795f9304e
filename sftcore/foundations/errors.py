"""Errors that a user can mend: the message says what is wrong and what to do next."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_CODE = 2


class SFTError(Exception):
    """Base of every error whose message is meant for the person who runs the pipeline."""


class ParamsError(SFTError):
    """params.yaml holds an unknown key, a wrong type or a value out of range."""


class DataError(SFTError):
    """The pictures or the table that names them cannot be used as they are."""


class WeightsError(SFTError):
    """The backbone is unknown, or the weights are missing or do not fit it."""


class DeviceError(SFTError):
    """The requested device is not there."""


class ResourceError(SFTError):
    """A process was ended from outside, most likely for want of memory."""


class OutputError(SFTError):
    """An output cannot be written: no space or no permission."""


class TrackingError(SFTError):
    """The MLflow store named by the user cannot be reached before work starts."""


class DivergedError(SFTError):
    """Training left the finite numbers.

    Attributes:
        step: update at which it happened, counted from 0.
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an :class:`SFTError` into its message on stderr and exit code 2, Ctrl-C into 130.

    Any other exception is a defect of the project and keeps its traceback.
    """
    try:
        yield
    except SFTError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(EXIT_CODE) from error
    except KeyboardInterrupt as error:
        print("stopped; the same command goes on from here", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from error
