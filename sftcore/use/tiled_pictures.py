"""Pictures in use whose answers lie in them: read with their size, whole or in tiles."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from sftcore.data.pictures.decode import decode
from sftcore.evaluation.predict import ModelRecord, Seen
from sftcore.foundations.errors import ParamsError
from sftcore.use.decoding import CHUNK, read_all
from sftcore.use.inputs import Named
from sftcore.use.opening import Opened
from sftcore.use.pictures import PictureReading
from sftcore.use.reading import ReadingOptions
from sftcore.use.tiles import Cutting, TiledAnswers, TiledPicture, cut_picture

OVERLAP = 0.25  # where nothing else is said


class TiledReading(PictureReading):
    """See :class:`sftcore.use.reading.Reading`.

    Args:
        record: of the model.
        options: the limit, and the tiles.

    Raises:
        ParamsError: tiles overlap that are not asked for.
    """

    takes = ("max_pixels", "tile", "overlap")

    def __init__(self, record: ModelRecord, options: ReadingOptions) -> None:
        super().__init__(record, options)
        if options.tile is None and options.overlap is not None:
            raise ParamsError("--overlap is of tiles: add --tile, or leave it out")
        overlap = OVERLAP if options.overlap is None else options.overlap
        self._cutting = Cutting(self.decoding, options.tile or 0, overlap if options.tile else 0.0)

    @property
    def facts(self) -> Mapping[str, Any]:
        """The limit and the tiles."""
        cutting = self._cutting
        return {**super().facts, "tile": cutting.tile, "overlap": cutting.overlap}

    def open_all(self, examples: Sequence[Named], num_workers: int) -> Iterator[Opened]:
        """See :func:`sftcore.use.decoding.read_all`; of cut pictures few are held."""
        chunk = 1 if self._cutting.tile else CHUNK
        return read_all(examples, partial(cut_picture, cutting=self._cutting), num_workers, chunk)

    def stack(self, examples: Sequence[TiledPicture]) -> np.ndarray:
        """The tiles of all pictures, uint8 [T, S, S, 3]."""
        return np.concatenate([of.squares for of in examples])

    def num_rows(self, example: TiledPicture) -> int:
        """Its tiles."""
        return len(example.squares)

    def gathered(self, seen: Seen, examples: Sequence[TiledPicture]) -> Seen:
        """See :func:`gathered`."""
        return gathered(seen, examples)

    def picture(self, named: Named) -> np.ndarray:
        """A file's own pixels, uint8 [H, W, 3].

        Raises:
            Refused: it is no such picture any more.
        """
        how = self.decoding
        content = named.read()
        return np.asarray(decode(content, max_pixels=how.max_pixels, background=how.background))


def gathered(seen: Seen, pictures: Sequence[TiledPicture]) -> Seen:
    """What the network says of pictures, of what it says of all their tiles.

    Args:
        seen: of the tiles, one picture after the other.
        pictures: that they belong to.

    Returns:
        Features are the mean over a picture's tiles, as they are means over places themselves. Each
        answer is a :class:`sftcore.use.tiles.TiledAnswers`.
    """
    ends = np.cumsum([len(of.squares) for of in pictures]).tolist()
    starts = [0, *ends[:-1]]
    features = [
        seen.features[start:end].mean(dim=0) for start, end in zip(starts, ends, strict=True)
    ]
    said = np.empty(len(pictures), dtype=object)
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        said[place] = TiledAnswers(seen.answers[start:end], pictures[place].tiling)
    return Seen(torch.stack(features), said)
