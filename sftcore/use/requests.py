"""What is handed to a model that answers over HTTP or in a notebook, kind by kind."""

from collections.abc import Callable, Mapping
from typing import Any

from sftcore.evaluation.predict import ModelRecord
from sftcore.tasks.names import LEARNT, PLACED

Read = Callable[[Any], Any]


def request_reader(record: ModelRecord) -> Read:
    """What makes examples of whatever is handed over, as the store would have them.

    Args:
        record: of the model.

    Returns:
        A function that raises :class:`sftcore.foundations.errors.DataError`: one line that says
        which example is wrong and why.
    """
    return _READERS[record.kind](record)


def _of_pictures(record: ModelRecord) -> Read:
    from sftcore.data.pictures.decode import MAX_PIXELS, Decoding
    from sftcore.use.picture_requests import read_placed_request, read_request

    decoding = Decoding(record.image_size, MAX_PIXELS, record.background)
    if LEARNT[record.task].target in PLACED:
        return lambda given: read_placed_request(given, decoding)
    return lambda given: read_request(given, decoding)


def _of_texts(record: ModelRecord) -> Read:
    from sftcore.use.text_requests import read_request

    return read_request


def _of_dialogues(record: ModelRecord) -> Read:
    from sftcore.use.dialogue_requests import read_request

    return read_request


# A model of texts answers without the libraries that decode pictures.
_READERS: Mapping[str, Callable[[ModelRecord], Read]] = {
    "pictures": _of_pictures,
    "texts": _of_texts,
    "dialogues": _of_dialogues,
}
