"""Copy-paste: objects of another training picture are laid on this one, and all labels follow.

(Ghiasi et al., 2021, Simple copy-paste is a strong data augmentation method for instance
segmentation, section 3.) Objects are laid as they are, without blending: the paper finds no gain in
smoothed edges. Both pictures get a random view of their own before:
:func:`sftcore.data.pictures.placement.random_views`, for the pasted one with another purpose.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from sftcore.data.loader import rows_of
from sftcore.data.pictures.placement import MIN_VISIBLE_FRACTION
from sftcore.data.pictures.scenes import Scenes, count_pixels, keep_objects, tight_boxes
from sftcore.foundations.boxes import Boxes, pack_boxes
from sftcore.foundations.errors import DataError
from sftcore.foundations.randomness import row_uniforms

PASTED_PURPOSE = "pasted placement"  # of the pasted picture's view, keyed by the receiver's row
NO_OUTLINES = (
    "the outlines of the objects are not known: a box alone holds what is behind its object too"
)
_NEIGHBOURS = np.ones((3, 3), dtype=bool)  # pixels that touch at a corner are of one object


def draw_partners(
    rows: np.ndarray, pool: np.ndarray, probability: float, seed: int, epoch: int
) -> np.ndarray:
    """From which picture some rows get objects in one epoch.

    Args:
        rows: drawn rows [B], see :func:`sftcore.data.loader.count_occurrences`.
        pool: rows of the training pictures that have objects; each is as likely as any other.
        probability: that a row gets any.
        seed: of the training.
        epoch: counted from 0.

    Returns:
        Rows of the store, int64 [B]; a picture's own row where it gets none.
    """
    own, others = rows_of(rows), np.unique(pool)
    uniforms = row_uniforms(seed, "copy-paste", epoch, rows=rows, num=2)
    place = np.searchsorted(others, own)
    is_in_pool = np.isin(own, others)
    choices = len(others) - is_in_pool  # a picture is no partner of its own
    index = np.floor(uniforms[:, 1] * choices).astype(np.int64)
    index += is_in_pool & (index >= place)
    is_given = (uniforms[:, 0] < probability) & (choices > 0)
    partners = own.copy()
    partners[is_given] = others[index[is_given]]
    return partners


def draw_objects(
    rows: np.ndarray, partners: np.ndarray, counts: np.ndarray, seed: int, epoch: int
) -> np.ndarray:
    """Which objects of its partner each row gets: a coin for each, but one at least.

    Args:
        rows: drawn rows [B].
        partners: of the rows, see :func:`draw_partners`.
        counts: how many objects each partner shows [B], in its view.
        seed: of the training.
        epoch: counted from 0.

    Returns:
        bool [M], M the sum of the counts.
    """
    most = max(counts, default=0)
    if most == 0:
        return np.zeros(0, dtype=bool)
    uniforms = row_uniforms(seed, "pasted objects", epoch, rows=rows, num=int(most))
    is_there = np.arange(most) < np.asarray(counts)[:, None]
    uniforms = np.where(is_there, uniforms, 1.0)
    is_pasted = uniforms < np.maximum(0.5, np.nextafter(uniforms.min(axis=1), 2))[:, None]
    return (is_pasted & (partners != rows_of(rows))[:, None])[is_there]


def paste(scenes: Scenes, others: Scenes, is_pasted: Tensor) -> Scenes:
    """Lay some objects of other pictures on these.

    A picture on which something is laid has the boxes of what is seen of its objects; an object of
    which less than a quarter of its pixels is left has none, and no number. Its class stays
    in the mask. Pasted objects come last in the order. Other pictures stay as they are.

    Args:
        scenes: B pictures.
        others: the B partners.
        is_pasted: which of the partners' objects, bool [M].

    Raises:
        DataError: the objects have no outlines.
        ValueError: one side has masks and the other has none, or they are not as many.
    """
    if len(scenes) != len(others):
        raise ValueError(f"{len(scenes)} pictures have as many partners, not {len(others)}")
    objects, boxes = _outlined(scenes)
    new_objects, new_boxes = _outlined(others)
    is_pasted = is_pasted & (count_pixels(new_objects, new_boxes) > 0)
    new_objects, new_boxes = keep_objects(new_objects, new_boxes, is_pasted)
    covers = new_objects > 0
    left, boxes = _what_is_left(objects, boxes, covers)
    numbers = (new_objects + boxes.counts[:, None, None]).to(left.dtype)
    return Scenes(
        torch.where(covers[:, None], others.images, scenes.images),
        _laid(scenes.masks, others.masks, covers),
        boxes.merged(tight_boxes(new_objects, new_boxes)),
        torch.where(covers, numbers, left),
    )


def _laid(masks: Tensor | None, others: Tensor | None, covers: Tensor) -> Tensor | None:
    if masks is None and others is None:
        return None
    if masks is None or others is None:
        raise ValueError("objects are pasted between pictures of which both have masks, or neither")
    return torch.where(covers, others, masks)


def _outlined(scenes: Scenes) -> tuple[Tensor, Boxes]:
    if scenes.objects is None or scenes.boxes is None:
        raise DataError(
            f"copy-paste is on, but {NO_OUTLINES}; give masks of the objects, or set it to 0"
        )
    return scenes.objects, scenes.boxes


def _what_is_left(objects: Tensor, boxes: Boxes, covers: Tensor) -> tuple[Tensor, Boxes]:
    """The objects under what covers them, bool [B, S, S], without those that are hidden."""
    left = objects.masked_fill(covers, 0)
    before, after = count_pixels(objects, boxes), count_pixels(left, boxes)
    is_covered = covers.flatten(1).any(dim=1)[boxes.pictures]
    is_seen = (after > 0) & (after >= MIN_VISIBLE_FRACTION * before)
    tight = tight_boxes(left, boxes).corners
    boxes = boxes.with_corners(torch.where(is_covered[:, None], tight, boxes.corners))
    return keep_objects(left, boxes, is_seen | ~is_covered)


def find_objects(masks: np.ndarray, classes: Sequence[int]) -> tuple[Tensor, Boxes]:
    """Objects of masks of classes: what hangs together of one class.

    Objects of one class that touch are one. They are in the order of their classes, and of one
    class in that of their first pixels.

    Args:
        masks: class of each pixel [B, S, S].
        classes: those that have objects; a road and the sky have none.

    Returns:
        Objects, int32 [B, S, S], and their boxes; see :class:`sftcore.data.pictures.scenes.Scenes`.
    """
    objects = np.zeros(masks.shape, dtype=np.int32)
    names: list[list[int]] = [[] for _ in masks]
    for mask, numbers, found in zip(masks, objects, names, strict=True):
        for label in sorted(set(classes)):
            parts, count = ndimage.label(mask == label, _NEIGHBOURS)
            numbers[parts > 0] = parts[parts > 0] + len(found)
            found += [label] * count
    empty = [torch.zeros(len(found), 4) for found in names]
    boxes = pack_boxes(empty, [torch.tensor(found, dtype=torch.int64) for found in names])
    numbered = torch.from_numpy(objects)
    return numbered, tight_boxes(numbered, boxes)
