"""What is handed to a model that answers over HTTP or in a notebook, as texts."""

from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.kinds import Refused
from sftcore.data.texts.decode import cell_bytes, decode_text
from sftcore.foundations.errors import DataError

COLUMN = "text"
ACCEPTED = f"a list of texts, or a table with one column or a column {COLUMN!r}"


def read_request(given: Any) -> list[str]:
    """Texts of whatever was handed over.

    Args:
        given: N texts in a list, an array, a series or a table.

    Raises:
        DataError: one line that says which text is wrong and why.
    """
    values = _values(given)
    if not isinstance(values, list) or not values:
        raise DataError(f"no text was given: give {ACCEPTED}")
    return [_read(index, of) for index, of in enumerate(values)]


def _values(given: Any) -> Any:
    if isinstance(given, str | bytes):
        return [given]
    if isinstance(given, pd.DataFrame):
        if COLUMN in given.columns:
            given = given[COLUMN]
        elif given.shape[1] == 1:
            given = given.iloc[:, 0]
        else:
            raise DataError(f"a table of {given.shape[1]} columns was given, wanted: {ACCEPTED}")
        if given.ndim != 1:
            raise DataError(f"a table with several columns {COLUMN!r} was given")
        return given.tolist()
    if isinstance(given, pd.Series):
        return given.tolist()
    if isinstance(given, dict):
        if COLUMN not in given and len(given) != 1:
            raise DataError(f"{len(given)} inputs were given, wanted: {ACCEPTED}")
        return _values(given[COLUMN] if COLUMN in given else next(iter(given.values())))
    if isinstance(given, np.ndarray):
        if sum(side != 1 for side in given.shape) > 1:
            raise DataError(f"an array {list(given.shape)} was given, wanted: {ACCEPTED}")
        return given.ravel().tolist()
    return given


def _read(index: int, given: Any) -> str:
    try:
        return decode_text(cell_bytes(given))
    except Refused as refused:
        reason = " ".join(str(refused).split())
        raise DataError(f"text {index}: {reason}") from refused
    except (ValueError, TypeError) as error:  # of what cannot be compared with itself
        raise DataError(f"text {index}: not a text") from error
