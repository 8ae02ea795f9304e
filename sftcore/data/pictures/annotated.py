"""Pictures with masks or boxes as a kind of examples: squares, and what is annotated on them.

The boxes of all pictures are one array [N, M, 6], M the most of any picture: left, top, right,
bottom in pixels of the square, the class, and whether it is a crowd (a region that is neither
learnt nor measured as one object), as 0 or 1. A row of class -1 is no box.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sftcore.data.annotations.rasters import class_mask
from sftcore.data.annotations.values import Annotated
from sftcore.data.pictures.kind import PictureKind, PicturePile
from sftcore.data.pictures.letterbox import Letterbox
from sftcore.foundations.masks import IGNORED

NO_BOX = np.array([0, 0, 0, 0, -1, 0], dtype=np.float32)
TARGETS_FILE = "targets.npy"
BACKGROUND = "background"
_ALL_MASKS = "all_masks.npy"


@dataclass(frozen=True)
class AnnotatedKind(PictureKind):
    """Pictures with a class of each pixel, or with boxes.

    Attributes:
        has_masks: which of the two.
    """

    has_masks: bool

    def num_bytes(self, count: int) -> int:
        """The squares, and as many masks."""
        masks = 2 * count * self.decoding.image_size**2 if self.has_masks else 0
        return super().num_bytes(count) + masks

    def start(self, folder: Path, count: int) -> "AnnotatedPile":
        """Arrays for so many squares."""
        return AnnotatedPile(folder, count, self)


class AnnotatedPile(PicturePile):
    """Squares, and masks uint8 [N, S, S] or boxes.

    Attributes:
        max_pixels: of a picture.
    """

    def __init__(self, folder: Path, count: int, kind: AnnotatedKind) -> None:
        super().__init__(folder, count, kind.decoding)
        self._side = kind.decoding.image_size
        self.max_pixels = kind.decoding.max_pixels
        self._boxes: dict[int, np.ndarray] = {}
        self._masks: np.ndarray | None = None
        if kind.has_masks:
            self._masks = np.lib.format.open_memmap(
                folder / _ALL_MASKS, mode="w+", dtype=np.uint8,
                shape=(count, self._side, self._side),
            )  # fmt: skip

    def annotate(self, row: int, annotated: Annotated, classes: Sequence[str]) -> tuple[str, ...]:
        """Keep what is annotated on a picture.

        Args:
            row: of the pile.
            annotated: in the picture's own pixels.
            classes: in the order of outputs.

        Returns:
            The classes that the square shows, in alphabetical order.
        """
        letterbox = Letterbox(*annotated.size, self._side)
        if self._masks is None:
            shown = _boxes_of(annotated, letterbox, {name: i for i, name in enumerate(classes)})
            self._boxes[row] = shown
            numbers = np.unique(shown[shown[:, 5] == 0, 4]).astype(int)
        else:
            mask = annotated.mask
            if mask is None:
                mask = class_mask(annotated, tuple(classes), classes.index(BACKGROUND))
            self._masks[row] = letterbox.mask_to_square(mask)
            numbers = np.unique(self._masks[row])
        return tuple(sorted(classes[number] for number in numbers if number != IGNORED))

    def write(self, rows: Sequence[int]) -> None:
        """The squares, and ``targets.npy``."""
        super().write(rows)
        if self._masks is None:
            np.save(self._folder / TARGETS_FILE, padded_boxes([self._boxes[row] for row in rows]))
            return
        shape = (len(rows), *self._masks.shape[1:])
        masks = np.lib.format.open_memmap(
            self._folder / TARGETS_FILE, mode="w+", dtype=np.uint8, shape=shape
        )
        for position, row in enumerate(rows):
            masks[position] = self._masks[row]
        masks.flush()
        del masks, self._masks
        (self._folder / _ALL_MASKS).unlink()


def padded_boxes(boxes: Sequence[np.ndarray]) -> np.ndarray:
    """Boxes of pictures as one array; see the module.

    Args:
        boxes: of each picture [n, 6].

    Returns:
        float32 [N, M, 6], M at least 1.
    """
    most = max([1, *(len(of) for of in boxes)])
    padded = np.tile(NO_BOX, (len(boxes), most, 1))
    for row, of in enumerate(boxes):
        padded[row, : len(of)] = of
    return padded


def with_background(classes: Sequence[str]) -> tuple[str, ...]:
    """Classes of masks that are made of objects: what is no object is the background."""
    return tuple(classes) if BACKGROUND in classes else (BACKGROUND, *classes)


def _boxes_of(annotated: Annotated, letterbox: Letterbox, index: Mapping[str, int]) -> np.ndarray:
    boxes = annotated.boxes
    if boxes is None or not boxes.names:
        return np.zeros((0, 6), dtype=np.float32)
    corners = letterbox.boxes_to_square(boxes.corners)
    numbers = [index[name] for name in boxes.names]
    return np.column_stack([corners, numbers, boxes.is_crowd]).astype(np.float32)
