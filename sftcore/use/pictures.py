"""Pictures in use: files that are decoded as training decodes them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from sftcore.data.pictures.decode import MAX_PIXELS, Decoding
from sftcore.data.pictures.names import PICTURE_NAMES
from sftcore.evaluation.predict import ModelRecord
from sftcore.evaluation.sight import PREDICT_BATCH_SIZE
from sftcore.use.decoding import open_all
from sftcore.use.inputs import Named
from sftcore.use.opening import Opened
from sftcore.use.reading import Reading, ReadingOptions


class PictureReading(Reading):
    """See :class:`sftcore.use.reading.Reading`.

    Args:
        record: of the model.
        options: the limit.
    """

    names = PICTURE_NAMES
    counted = "files"
    takes: ClassVar[tuple[str, ...]] = ("max_pixels",)
    group = PREDICT_BATCH_SIZE

    def __init__(self, record: ModelRecord, options: ReadingOptions) -> None:
        limit = MAX_PIXELS if options.max_pixels is None else options.max_pixels
        self.decoding = Decoding(record.image_size, limit, record.background)

    @property
    def facts(self) -> Mapping[str, Any]:
        """The limit."""
        return {"max_pixels": self.decoding.max_pixels}

    def examples_of(self, named: Named) -> Iterator[Named]:
        """The file itself."""
        yield named

    def open_all(self, examples: Sequence[Named], num_workers: int) -> Iterator[Opened]:
        """See :func:`sftcore.use.decoding.open_all`."""
        return open_all(examples, self.decoding, num_workers)

    def stack(self, examples: Sequence[Any]) -> np.ndarray:
        """uint8 [N, S, S, 3]."""
        return np.stack(examples)
