"""What is found and what is true in pictures, as flat tables of boxes.

**Coordinates.** A box is left, top, right, bottom in continuous pixels: the first pixel of a
picture reaches from 0 to 1, a box over all of a picture is 0, 0, width, height, and its area is
``(right − left) · (bottom − top)`` without any + 1. COCO's left, top, width, height means the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Detections:
    """Boxes that a model found, of all pictures; a row each, in any order.

    Attributes:
        picture: number of the picture, int64 [D].
        label: class index, int64 [D].
        box: left, top, right, bottom in pixels, [D, 4].
        score: [D], higher is surer.
    """

    picture: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray


@dataclass(frozen=True)
class Truths:
    """Boxes that are there, of all pictures; a row each, in any order.

    Attributes:
        picture: number of the picture, int64 [G].
        label: class index, int64 [G].
        box: left, top, right, bottom in pixels, [G, 4].
        area: what tells small from large, in square pixels, [G]: of the object's mask where there
            is one, as COCO has it, else of the box.
        is_crowd: whether the box holds a crowd: it need not be found, and any number of boxes
            inside of it are neither right nor wrong, bool [G].
        is_ignored: whether the object need not be found, and the box that finds it is neither right
            nor wrong (as PASCAL VOC's ``difficult``), bool [G].
    """

    picture: np.ndarray
    label: np.ndarray
    box: np.ndarray
    area: np.ndarray
    is_crowd: np.ndarray
    is_ignored: np.ndarray

    @property
    def is_free(self) -> np.ndarray:
        """Whether it need not be found, bool [G]."""
        return self.is_crowd | self.is_ignored


def plain_truths(picture: np.ndarray, label: np.ndarray, box: np.ndarray) -> Truths:
    """Truths that are all to be found, with the areas of their boxes.

    Args:
        picture: [G].
        label: [G].
        box: left, top, right, bottom in pixels, [G, 4].
    """
    no = np.zeros(len(box), dtype=bool)
    return Truths(picture, label, box, box_areas(box), no, no)


def box_areas(box: np.ndarray) -> np.ndarray:
    """Areas in square pixels [M] of boxes [M, 4]."""
    exact = box.astype(float)
    return (exact[:, 2] - exact[:, 0]) * (exact[:, 3] - exact[:, 1])


def box_overlaps(found: np.ndarray, true: np.ndarray, is_crowd: np.ndarray) -> np.ndarray:
    """Intersection over union; with a crowd, intersection over the area of the found box.

    (Lin et al., 2014, Microsoft COCO; pycocotools' ``mask.iou``.)

    Args:
        found: [D, 4].
        true: [G, 4].
        is_crowd: bool [G].

    Returns:
        In [0, 1], [D, G]; 0 where the boxes share no area.
    """
    one, other = found.astype(float)[:, None], true.astype(float)[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = np.maximum(sides, 0.0).prod(axis=2)
    of_found = box_areas(found)[:, None]
    whole = np.where(is_crowd, of_found, of_found + box_areas(true) - shared)
    return np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0)


def shared_groups(one: np.ndarray, other: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows of each key that both tables have, keys ascending, rows in their order.

    Args:
        one: key of each row, int64 [A].
        other: likewise [B].
    """
    orders = [np.argsort(keys, kind="stable") for keys in (one, other)]
    ranked = [keys[order] for keys, order in zip((one, other), orders, strict=True)]
    for key in np.intersect1d(one, other):
        bounds = [np.searchsorted(keys, [key, key + 1]) for keys in ranked]
        first, second = (order[low:high] for order, (low, high) in zip(orders, bounds, strict=True))
        yield first, second


def check_boxes(
    detections: Detections, truths: Truths, num_pictures: int, num_classes: int
) -> None:
    """Refuse what cannot be matched.

    Args:
        detections: of all pictures.
        truths: of all pictures.
        num_pictures: N.
        num_classes: K.

    Raises:
        ValueError: a picture or class is none of N or K, a number is not finite, columns differ in
            length, or a box ends before it begins.
    """
    for name, table in (("detections", detections), ("truths", truths)):
        if {len(column) for column in vars(table).values()} != {len(table.box)}:
            raise ValueError(f"the columns of {name} differ in length")
        if table.box.shape != (len(table.box), 4):
            raise ValueError(f"the boxes of {name} are {table.box.shape}, not [M, 4]")
        for column, bound in ((table.picture, num_pictures), (table.label, num_classes)):
            if len(column) and not (column.min() >= 0 and column.max() < bound):
                raise ValueError(f"{name} name a picture or class that is none of {bound}")
        if not np.isfinite(table.box).all():
            raise ValueError(f"the boxes of {name} must be finite")
        if (table.box[:, 2:] < table.box[:, :2]).any():
            raise ValueError(f"a box of {name} ends before it begins: left, top, right, bottom")
    if not (np.isfinite(detections.score).all() and np.isfinite(truths.area).all()):
        raise ValueError("scores and areas must be finite")
