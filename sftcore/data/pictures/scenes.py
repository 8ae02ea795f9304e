"""Pictures with all that is known of their pixels: one value that is changed as one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sftcore.foundations.boxes import Boxes


@dataclass(frozen=True)
class Scenes:
    """A batch of square pictures with masks, boxes or both.

    Attributes:
        images: uint8, or float in any range, [B, 3, S, S].
        masks: class of each pixel, 255 where it is ignored, uint8 [B, S, S].
        boxes: of the objects.
        objects: which box's object a pixel shows, counted from 1 in each picture in the order of
            its boxes, 0 where none: whole numbers with a sign, [B, S, S]. An object is where it is
            seen: one that covers another has taken its pixels.
    """

    images: Tensor
    masks: Tensor | None = None
    boxes: Boxes | None = None
    objects: Tensor | None = None

    def __post_init__(self) -> None:
        count, side = len(self.images), self.images.shape[-1]
        if self.images.shape != (count, 3, side, side):
            raise ValueError(f"pictures are [B, 3, S, S], not {list(self.images.shape)}")
        for name, pixels in (("masks", self.masks), ("objects", self.objects)):
            if pixels is not None and pixels.shape != (count, side, side):
                shape = list(pixels.shape)
                raise ValueError(f"{name} are {[count, side, side]} as the pictures, not {shape}")
        if self.masks is not None and self.masks.dtype != torch.uint8:
            raise ValueError(f"masks are uint8, not {self.masks.dtype}")
        if self.boxes is not None and len(self.boxes) != count:
            raise ValueError(f"boxes are of {count} pictures, not of {len(self.boxes)}")
        if self.objects is not None:
            self._check_objects(self.objects)

    def _check_objects(self, objects: Tensor) -> None:
        if self.boxes is None:
            raise ValueError("objects are numbered as boxes are, so there have to be boxes")
        if objects.dtype not in (torch.int16, torch.int32, torch.int64):
            raise ValueError(f"objects are whole numbers with a sign, not {objects.dtype}")
        if objects.device.type == "cpu" and len(objects):  # elsewhere it would wait for the device
            low, high = objects.flatten(1).aminmax(dim=1)
            if (low < 0).any() or (high > self.boxes.counts).any():
                raise ValueError("objects are numbered from 1 to the number of the picture's boxes")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def side(self) -> int:
        """S, in pixels."""
        return self.images.shape[-1]

    def take(self, index: Tensor | slice) -> "Scenes":
        """Some pictures, in the order of the index.

        Args:
            index: int64 [N] on the scenes' device, or a slice.
        """
        return Scenes(
            self.images[index],
            None if self.masks is None else self.masks[index],
            None if self.boxes is None else self.boxes.take(index),
            None if self.objects is None else self.objects[index],
        )


def count_pixels(objects: Tensor, boxes: Boxes) -> Tensor:
    """How many pixels show each object, int64 [M]; see :class:`Scenes`."""
    index = _index(objects, boxes)[objects > 0]
    return torch.bincount(index, minlength=len(boxes.corners))


def tight_boxes(objects: Tensor, boxes: Boxes) -> Boxes:
    """Each object's box as the bounding box of the pixels that show it.

    Args:
        objects: see :class:`Scenes`.
        boxes: of the same pictures; that of an object which no pixel shows becomes empty, at 0.
    """
    pictures, row, column = objects.nonzero(as_tuple=True)
    index = _index(objects, boxes)[pictures, row, column][:, None].expand(-1, 2)
    places = torch.stack([column, row], dim=1)
    low = places.new_full((len(boxes.corners), 2), objects.shape[-1])
    low = low.scatter_reduce(0, index, places, "amin")
    high = torch.zeros_like(low).scatter_reduce(0, index, places + 1, "amax")
    low = torch.where(high == 0, 0, low)
    return boxes.with_corners(torch.cat([low, high], dim=1).float())


def keep_objects(objects: Tensor, boxes: Boxes, is_kept: Tensor) -> tuple[Tensor, Boxes]:
    """Some objects with their boxes, numbered anew; the pixels of the others show none.

    Args:
        objects: see :class:`Scenes`.
        boxes: of the same pictures.
        is_kept: bool [M].
    """
    kept = boxes.kept(is_kept)
    number = is_kept.cumsum(0) - kept.offsets[:-1][boxes.pictures]
    number = torch.nn.functional.pad(number * is_kept, (1, 0)).to(objects.dtype)
    return number[(_index(objects, boxes) + 1) * (objects > 0)], kept


def _index(objects: Tensor, boxes: Boxes) -> Tensor:
    """Where the box of each pixel's object stands among all boxes, int64 [B, S, S]; see the 0s."""
    return objects.long() - 1 + boxes.offsets[:-1, None, None]
