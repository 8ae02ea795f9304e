"""What is annotated on a picture: boxes with their classes, or a mask; before and after judging.

Coordinates are continuous: 0 is the left (upper) edge of the first pixel, W (H) the right (lower)
edge of the last. A box that covers the whole picture is 0, 0, W, H.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sftcore.data.annotations.faults import Fault
from sftcore.data.annotations.outlines import Outline
from sftcore.data.sources.files import Tree

MAX_CLASSES = 255  # of a mask: 0 to 254


@dataclass(frozen=True)
class Boxes:
    """The boxes of one picture that are used.

    Attributes:
        corners: float64 [n, 4]: left, top, right, bottom in pixels of the picture as it is shown
            (turned as EXIF says).
        names: n names of classes.
        is_crowd: bool [n]: a region that is neither learnt nor measured as one object: COCO's
            ``iscrowd``, Pascal VOC's ``difficult``.
        numbers: n numbers of the annotations in their file.
        outlines: n outlines; None where there is a box alone.
    """

    corners: np.ndarray
    names: tuple[str, ...]
    is_crowd: np.ndarray
    numbers: tuple[int, ...]
    outlines: tuple[Outline | None, ...]


@dataclass(frozen=True)
class Annotated:
    """One picture with what is annotated on it; exactly one of boxes and mask is there.

    Attributes:
        picture: path in the source.
        split: ``train``, ``val`` or ``test`` where the source says so.
        size: width and height in pixels, as the picture is shown.
        boxes: none at all is legal.
        mask: uint8 [H, W] of indices of classes, :data:`IGNORED` for pixels that do not count.
    """

    picture: str
    split: str
    size: tuple[int, int]
    boxes: Boxes | None = None
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class Mark:
    """One annotation as its file has it.

    Attributes:
        number: its id (COCO), line (YOLO) or place among the objects (VOC), from 1.
        corners: left, top, right, bottom; in pixels, or in parts of the sides, see :class:`Entry`.
            They may be not finite and may lie anywhere.
        name: of its class; empty where its number is in no table.
        class_number: the number as the file has it, for messages.
        is_crowd: see :class:`Boxes`.
        outline: what is around the object, if the file says it.
    """

    number: int
    corners: tuple[float, float, float, float]
    name: str
    class_number: str = ""
    is_crowd: bool = False
    outline: Outline | None = None


@dataclass(frozen=True)
class Entry:
    """What the files say of one picture, which nobody has opened.

    Attributes:
        picture: path in the source.
        file: of the annotations.
        split: as folders or lists of the source name it.
        size: width and height that the file declares; none where it says nothing.
        marks: annotations that could be read.
        num_lost: annotations that could not; each has a line among the faults.
        is_relative: whether coordinates are parts of the picture's sides.
        mask: path of the mask; empty for boxes.
    """

    picture: str
    file: str
    split: str = ""
    size: tuple[int, int] | None = None
    marks: tuple[Mark, ...] = ()
    num_lost: int = 0
    is_relative: bool = False
    mask: str = ""


@dataclass(frozen=True)
class AnnotationSet:
    """All that the annotation files of a source say.

    Attributes:
        format: name of the reader.
        tree: that holds the pictures and the files, seen from its top.
        classes: names in the order of the table, or sorted where there is none.
        entries: one for each picture that a file names, sorted by picture.
        faults: what the files alone show.
        notes: what a reader should know, each a clause.
        values: of masks: index of the class by pixel value or packed colour.
        is_coloured: of masks: whether ``values`` has colours.
    """

    format: str
    tree: Tree
    classes: tuple[str, ...]
    entries: tuple[Entry, ...]
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    values: Mapping[int, int] = field(default_factory=dict)
    is_coloured: bool = False

    @property
    def splits(self) -> dict[str, int]:
        """How many pictures each split of the source has, by its name; empty for none."""
        return dict(sorted(Counter(entry.split for entry in self.entries).items()))
