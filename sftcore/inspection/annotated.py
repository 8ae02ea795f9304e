"""Pictures of a store as they are shown: with their masks or boxes, where they have any."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sftcore.data.pictures.annotated import BACKGROUND
from sftcore.data.store import Store
from sftcore.data.targets.target import TargetKind
from sftcore.foundations.masks import IGNORED
from sftcore.reporting.overlays import Colour, class_colours, with_boxes, with_mask

CLASS, CROWD = 4, 5  # columns of the store's boxes, behind left, top, right, bottom
PER_ROW = 8  # annotated pictures of a class, which are shown larger than others
_LINE_WIDTH = 1  # pixels of a small picture


def background_of(names: Sequence[str]) -> int | None:
    """Index of the class of masks that is none of the things; None without one."""
    return names.index(BACKGROUND) if BACKGROUND in names else None


def boxes_of(store: Store, row: int) -> np.ndarray:
    """The boxes of one picture, crowds among them.

    Args:
        store: of boxes, opened for the picture's split.
        row: of the store.

    Returns:
        float32 [n, 6]: left, top, right, bottom in pixels of the square, class, is_crowd.
    """
    boxes = np.asarray(store.targets[row])
    return boxes[boxes[:, CLASS] >= 0]


def mask_counts(store: Store, row: int) -> np.ndarray:
    """How many pixels of one picture have each value of a mask, int64 [256].

    Args:
        store: of masks, opened for the picture's split.
        row: of the store.
    """
    return np.bincount(np.asarray(store.targets[row]).ravel(), minlength=IGNORED + 1)


def picture_shown(store: Store, row: int, size: int) -> np.ndarray:
    """A picture with what is annotated on it.

    Args:
        store: of pictures, opened for the picture's split.
        row: of the store.
        size: side of an annotated picture in pixels: lines are drawn after it was made small.

    Returns:
        uint8 [size, size, 3]; [S, S, 3] as it is stored where targets are neither masks nor boxes.
    """
    image = np.asarray(store.images[row])
    way = _WAYS.get(store.target)
    return image if way is None else way.draw(store, row, _resized(image, size))


def legend_of(store: Store, rows: Sequence[int]) -> list[tuple[str, Colour]]:
    """Names and colours of the classes that are drawn on some pictures, in their order.

    Args:
        store: of pictures, opened for their splits.
        rows: of the store.
    """
    way = _WAYS.get(store.target)
    if way is None:
        return []
    colours = class_colours(store.names)
    found = sorted({place for row in set(rows) for place in way.drawn(store, row)})
    return [(store.names[place], colours[place]) for place in found]


def is_annotated(store: Store) -> bool:
    """Whether pictures are shown with what is annotated on them."""
    return store.target in _WAYS


def how_drawn(store: Store) -> str:
    """What lines and colours of annotated pictures mean, in a sentence; empty for others."""
    way = _WAYS.get(store.target)
    return "" if way is None else way.words(store)


@dataclass(frozen=True)
class _Way:
    """How targets of one kind are drawn on pictures.

    Attributes:
        draw: the picture of a row with them, of the small picture uint8 [s, s, 3].
        drawn: indices of the classes that have a colour on the picture of a row.
        words: what lines and colours mean.
    """

    draw: Callable[[Store, int, np.ndarray], np.ndarray]
    drawn: Callable[[Store, int], list[int]]
    words: Callable[[Store], str]


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BOX))


def _draw_mask(store: Store, row: int, image: np.ndarray) -> np.ndarray:
    mask = np.asarray(store.targets[row])
    side, size = len(mask), len(image)
    places = (2 * np.arange(size) + 1) * side // (2 * size)  # the pixel at each new one's centre
    mask = mask[np.ix_(places, places)]
    colours, ground = class_colours(store.names), background_of(store.names)
    drawn = with_mask(image, mask, colours, ground).copy()
    is_edge = _is_edge(mask) & (mask != IGNORED) & (mask != (IGNORED if ground is None else ground))
    drawn[is_edge] = np.array(colours, dtype=np.uint8)[mask[is_edge]]
    return drawn


def _is_edge(mask: np.ndarray) -> np.ndarray:
    """Pixels beside which, left or right, above or below, there is another class, bool [s, s]."""
    found = np.zeros(mask.shape, dtype=bool)
    is_beside, is_below = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    found[:, 1:] |= is_beside
    found[:, :-1] |= is_beside
    found[1:] |= is_below
    found[:-1] |= is_below
    return found


def _classes_of_mask(store: Store, row: int) -> list[int]:
    present = np.flatnonzero(mask_counts(store, row)).tolist()
    return [place for place in present if place not in (IGNORED, background_of(store.names))]


def _words_of_masks(store: Store) -> str:
    words = "Each class is laid over the pictures in its colour; ignored pixels are hatched white."
    if background_of(store.names) is None:
        return words
    return f"{words} The class {BACKGROUND} is left as the picture is."


def _draw_boxes(store: Store, row: int, image: np.ndarray) -> np.ndarray:
    boxes, colours = boxes_of(store, row), class_colours(store.names)
    corners = boxes[:, :CLASS].astype(np.float64) * len(image) / store.image_size
    # The smallest come first: with_boxes draws them on top of what they may lie in.
    order = np.argsort(np.prod(corners[:, 2:] - corners[:, :2], axis=1), kind="stable")
    return with_boxes(
        image,
        corners[order],
        [colours[int(place)] for place in boxes[order, CLASS]],
        dashed=[bool(is_crowd) for is_crowd in boxes[order, CROWD]],
        line_width=_LINE_WIDTH,
    )


def _classes_of_boxes(store: Store, row: int) -> list[int]:
    return [int(place) for place in np.unique(boxes_of(store, row)[:, CLASS])]


def _words_of_boxes(store: Store) -> str:
    return "Boxes have the colour of their class; those of crowds have broken lines."


_WAYS: Mapping[TargetKind, _Way] = {
    "masks": _Way(_draw_mask, _classes_of_mask, _words_of_masks),
    "boxes": _Way(_draw_boxes, _classes_of_boxes, _words_of_boxes),
}
