"""Masks of classes out of the outlines of objects."""

import numpy as np

from sftcore.data.annotations.outlines import outline_mask
from sftcore.data.annotations.values import Annotated
from sftcore.foundations.masks import IGNORED


def class_mask(annotated: Annotated, classes: tuple[str, ...], background: int) -> np.ndarray:
    """The class of each pixel.

    The larger an object is, the earlier it is laid down, so that a small one on a large one stays
    seen. Regions of crowds do not count, and neither does what is inside of a box without an
    outline and of no other object: which of its pixels are the object is not known.

    Args:
        annotated: a picture with boxes.
        classes: names in the order of indices.
        background: index of pixels that belong to nothing.

    Returns:
        uint8 [H, W].
    """
    width, height = annotated.size
    mask = np.full((height, width), background, dtype=np.uint8)
    if annotated.boxes is None:
        return mask
    layers = []
    boxes = annotated.boxes
    for place, (name, outline) in enumerate(zip(boxes.names, boxes.outlines, strict=True)):
        if outline is None:
            pixels = _box_mask(boxes.corners[place], width, height)
        else:
            pixels = outline_mask(outline, width, height)
        is_known = outline is not None and not boxes.is_crowd[place]
        index = classes.index(name) if is_known else IGNORED
        layers.append((is_known, -int(pixels.sum()), place, index, pixels))
    for *_, index, pixels in sorted(layers, key=lambda layer: layer[:3]):
        mask[pixels] = index
    return mask


def _box_mask(corners: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pixels that a box touches, bool [height, width]."""
    left, top = np.floor(corners[:2]).astype(int)
    right, bottom = np.ceil(corners[2:]).astype(int)
    mask = np.zeros((height, width), dtype=bool)
    mask[max(top, 0) : bottom, max(left, 0) : right] = True
    return mask
