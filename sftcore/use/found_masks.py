"""From the logits of a picture's tiles to the class of each of its own pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sftcore.models.dense.resampling import upsample
from sftcore.use.tiles import TiledAnswers, tile_weights

BACKGROUND = "background"  # the class that is no thing, by its name alone
PRESENT_FROM = 0.001  # part of a picture's pixels from which on a class is called present
_AT_ONCE = 1 << 22  # numbers, so that pictures of any size take bounded memory

Taps = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class FoundMask:
    """What is found on a picture, in its own pixels.

    Attributes:
        mask: class of each pixel, uint8 [H, W].
        shares: part of the pixels of each class [K].
        confidence: probability of a pixel's class as trained, mean over all pixels.
        probability: the same at the temperature.
    """

    mask: np.ndarray
    shares: np.ndarray
    confidence: float
    probability: float


def find_mask(said: TiledAnswers, temperature: float = 1.0) -> FoundMask:
    """The most probable class of each pixel; of equal ones the first.

    Args:
        said: logits of the tiles [T, K, h, w].
        temperature: T of ``softmax(z / T)``.
    """
    height, width = said.tiling.height, said.tiling.width
    mask = np.empty((height, width), dtype=np.uint8)
    sums = np.zeros(2)
    for rows, logits in blended(said):
        mask[rows] = logits.argmax(axis=0)
        logits -= logits.max(axis=0)
        for place, divisor in enumerate((1.0, temperature)):
            sums[place] += (1 / np.exp(logits / np.float32(divisor)).sum(axis=0)).sum(dtype=float)
    counts = np.bincount(mask.ravel(), minlength=said.answers.shape[1])
    confidence, probability = (sums / mask.size).tolist()
    return FoundMask(mask, counts / mask.size, confidence, probability)


def present_classes(found: FoundMask, names: Sequence[str]) -> list[str]:
    """Names of the classes on a picture, the largest first, of equals in their order.

    Those count that have at least :data:`PRESENT_FROM` of its pixels; a class called
    ``background`` is never among them.

    Args:
        found: on the picture.
        names: K.
    """
    order = np.argsort(-found.shares, kind="stable").tolist()
    return [names[k] for k in order if found.shares[k] >= PRESENT_FROM and names[k] != BACKGROUND]


def blended(said: TiledAnswers) -> Iterator[tuple[slice, np.ndarray]]:
    """Logits at the picture's own pixels, some rows at a time from top to bottom.

    Those of a tile are brought to its square as they are measured, and from there bilinearly to the
    pixels of the picture; where tiles share pixels, their mean weighted by
    :func:`sftcore.use.tiles.tile_weights`.

    Args:
        said: logits of the tiles [T, K, h, w].

    Yields:
        Rows of the picture, and float32 [K, n, W].
    """
    tiling, num_classes = said.tiling, said.answers.shape[1]
    box = tiling.box
    across = tile_weights(tiling.lefts, box.width, tiling.width).astype(np.float32)
    down = tile_weights(tiling.tops, box.height, tiling.height).astype(np.float32)
    taps = _taps(box.content[3], box.height), _taps(box.content[2], box.width)
    at_once = max(1, _AT_ONCE // (num_classes * tiling.width))
    shown: dict[int, np.ndarray] = {}
    for start in range(0, tiling.height, at_once):
        stop = min(start + at_once, tiling.height)
        whole = np.zeros((num_classes, stop - start, tiling.width), dtype=np.float32)
        for number, (left, top) in enumerate(tiling.corners):
            first, last = max(start, top), min(stop, top + box.height)
            if first >= last:
                shown.pop(number, None)
                continue
            if number not in shown:
                shown[number] = _content(said, number)
            own = slice(first - top, last - top)
            row, column = divmod(number, len(tiling.lefts))
            part = _resized(
                shown[number], (taps[0][0][own], taps[0][1][own], taps[0][2][own]), taps[1]
            )
            part *= down[row, own][:, None] * across[column]
            whole[:, first - start : last - start, left : left + box.width] += part
        yield slice(start, stop), whole


def _content(said: TiledAnswers, number: int) -> np.ndarray:
    """Logits of a tile at the pixels of its square, without the padding, [K, h, w]."""
    box = said.tiling.box
    logits = torch.from_numpy(np.array(said.answers[number : number + 1], dtype=np.float32))
    left, top, width, height = box.content
    square = upsample(logits, (box.side, box.side))[0]
    return square[:, top : top + height, left : left + width].numpy()


def _taps(old: int, new: int) -> Taps:
    """Between which two places of the old ones each new one lies, and how far on; [new] each."""
    place = ((np.arange(new) + 0.5) * (old / new) - 0.5).clip(0, old - 1)
    first = np.floor(place).astype(np.int64)
    return first, np.minimum(first + 1, old - 1), (place - first).astype(np.float32)


def _resized(square: np.ndarray, rows: Taps, columns: Taps) -> np.ndarray:
    """Bilinear, by sums of two numbers: the same whatever else is computed beside it."""
    first, second, share = rows
    tall = square[:, first] * (1 - share)[:, None] + square[:, second] * share[:, None]
    first, second, share = columns
    return tall[:, :, first] * (1 - share) + tall[:, :, second] * share
