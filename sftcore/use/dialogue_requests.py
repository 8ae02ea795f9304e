"""What is handed to a decoder that answers over HTTP or in a notebook, as prompts."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sftcore.data.dialogues.decode import decode_prompt
from sftcore.data.kinds import Refused
from sftcore.data.texts.decode import MAX_CHARACTERS
from sftcore.foundations.errors import DataError
from sftcore.foundations.turns import USER, write_turns
from sftcore.use import text_requests

_COLUMNS = ("messages", "prompt", "text")
ACCEPTED = (
    "a list of prompts, each a text or a list of messages with role and content, or a table with "
    "one column or a column 'prompt', 'messages' or 'text'"
)


def read_request(given: Any) -> list[str]:
    """Prompts of whatever was handed over, as JSON of their turns.

    Args:
        given: N prompts.

    Raises:
        DataError: one line that says which prompt is wrong and why.
    """
    values = _values(given)
    if not isinstance(values, list) or not values:
        raise DataError(f"no prompt was given: give {ACCEPTED}")
    if all(isinstance(value, Mapping) for value in values):  # one dialogue
        values = [values]
    return [_read(index, of) for index, of in enumerate(values)]


def _values(given: Any) -> Any:
    if isinstance(given, pd.DataFrame):
        column = next((name for name in _COLUMNS if name in given.columns), None)
        if column is None and given.shape[1] != 1:
            raise DataError(f"a table of {given.shape[1]} columns was given, wanted: {ACCEPTED}")
        return given[column].tolist() if column is not None else given.iloc[:, 0].tolist()
    if isinstance(given, Mapping):
        found = next((given[name] for name in _COLUMNS if name in given), None)
        if found is None:
            raise DataError(f"{len(given)} inputs were given, wanted: {ACCEPTED}")
        return _values(found)
    if isinstance(given, str | bytes):
        return [given]
    if isinstance(given, np.ndarray | pd.Series):
        return given.tolist()
    return given


def _read(index: int, given: Any) -> str:
    if isinstance(given, list):
        try:
            content = json.dumps({"messages": given}).encode()
            return write_turns(decode_prompt(content, max_characters=MAX_CHARACTERS))
        except Refused as refused:
            raise DataError(f"prompt {index}: {' '.join(str(refused).split())}") from refused
        except (TypeError, ValueError) as error:
            raise DataError(f"prompt {index}: not a prompt") from error
    try:
        (text,) = text_requests.read_request([given])
    except DataError as error:
        raise DataError(str(error).replace("text 0:", f"prompt {index}:", 1)) from error
    return write_turns([(USER, text)])
