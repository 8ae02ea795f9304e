"""Boxes of a batch of pictures, of some of which there may be none: one ragged value, row first.

A box is left, top, right, bottom in pixels, where a picture's left edge is 0 and its right edge
its width: pixel i covers [i, i + 1), and its centre is at i + ½. So the box of one pixel has sides
of 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class Boxes:
    """The boxes of B pictures, one picture after the other.

    Attributes:
        corners: left, top, right, bottom in pixels, float32 [M, 4].
        classes: index of each box's class, int64 [M].
        offsets: picture b has the boxes from offsets[b] to offsets[b + 1], int64 [B + 1].
    """

    corners: Tensor
    classes: Tensor
    offsets: Tensor

    def __post_init__(self) -> None:
        count = len(self.corners)
        if self.corners.shape != (count, 4) or self.corners.dtype != torch.float32:
            raise ValueError(f"corners are float32 [M, 4], not {_form(self.corners)}")
        if self.classes.shape != (count,) or self.classes.dtype != torch.int64:
            raise ValueError(f"classes are int64 [{count}], not {_form(self.classes)}")
        if self.offsets.ndim != 1 or len(self.offsets) == 0 or self.offsets.dtype != torch.int64:
            raise ValueError(f"offsets are int64 [B + 1], not {_form(self.offsets)}")
        if self.device.type == "cpu":  # elsewhere a look at values would wait for the device
            self._check_values()

    def _check_values(self) -> None:
        ends = self.offsets.tolist()
        if ends[0] != 0 or ends[-1] != len(self.corners) or sorted(ends) != ends:
            raise ValueError(f"offsets rise from 0 to {len(self.corners)}, not as {ends[:9]}")
        if not torch.isfinite(self.corners).all():
            raise ValueError("corners are finite numbers")
        if (self.corners[:, :2] > self.corners[:, 2:]).any():
            raise ValueError("left is at most right, and top at most bottom")
        if (self.classes < 0).any():
            raise ValueError("classes are counted from 0")

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.offsets) - 1

    @property
    def device(self) -> torch.device:
        """Where the boxes are."""
        return self.corners.device

    @property
    def counts(self) -> Tensor:
        """How many boxes each picture has, int64 [B]."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def pictures(self) -> Tensor:
        """The picture of each box, counted from 0, int64 [M]."""
        return _repeated(
            torch.arange(len(self), device=self.device), self.counts, len(self.corners)
        )

    @property
    def num_bytes(self) -> int:
        """Memory that the boxes take, in bytes."""
        return self.corners.nbytes + self.classes.nbytes + self.offsets.nbytes

    def with_corners(self, corners: Tensor) -> "Boxes":
        """The same boxes in other places.

        Args:
            corners: float32 [M, 4].
        """
        return replace(self, corners=corners)

    def of(self, picture: int) -> tuple[Tensor, Tensor]:
        """Corners [n, 4] and classes [n] of one picture."""
        start, end = (int(place) for place in self.offsets[picture : picture + 2])
        return self.corners[start:end], self.classes[start:end]

    def take(self, index: Tensor | slice) -> "Boxes":
        """The boxes of some pictures, in the order of the index.

        Args:
            index: int64 [N] on the boxes' device, or a slice.
        """
        counts, starts = self.counts[index], self.offsets[:-1][index]
        offsets = _offsets(counts)
        num = int(offsets[-1])
        place = torch.arange(num, device=self.device)
        place += _repeated(starts - offsets[:-1], counts, num)
        return Boxes(self.corners[place], self.classes[place], offsets)

    def kept(self, is_kept: Tensor) -> "Boxes":
        """Some boxes of the same pictures.

        Args:
            is_kept: bool [M].
        """
        counts = torch.bincount(self.pictures[is_kept], minlength=len(self))
        return Boxes(self.corners[is_kept], self.classes[is_kept], _offsets(counts))

    def merged(self, others: "Boxes") -> "Boxes":
        """Each picture's own boxes, and then the others' of the same picture.

        Raises:
            ValueError: the others are of another number of pictures.
        """
        if len(self) != len(others):
            raise ValueError(f"boxes of {len(self)} pictures and of {len(others)} do not pair up")
        order = torch.argsort(torch.cat([self.pictures, others.pictures]), stable=True)
        corners = torch.cat([self.corners, others.corners])[order]
        classes = torch.cat([self.classes, others.classes])[order]
        return Boxes(corners, classes, self.offsets + others.offsets)

    def to(self, device: torch.device | str) -> "Boxes":
        """The boxes on a device."""
        return Boxes(self.corners.to(device), self.classes.to(device), self.offsets.to(device))

    def to_bytes(self) -> bytes:
        """The content, for hashes: corners, classes, offsets."""
        tensors = (self.corners, self.classes, self.offsets)
        return b"".join(each.detach().cpu().contiguous().numpy().tobytes() for each in tensors)


def pack_boxes(corners: Sequence[Tensor], classes: Sequence[Tensor]) -> Boxes:
    """Boxes of pictures one by one as one value.

    Args:
        corners: of each picture [n, 4], in any type of numbers.
        classes: of each picture [n], likewise.

    Raises:
        ValueError: there are corners of another number of boxes than classes.
    """
    counts = [len(each) for each in corners]
    if counts != [len(each) for each in classes]:
        raise ValueError("every box has one class")
    flat = torch.cat([torch.zeros(0, 4), *(each.reshape(-1, 4).float() for each in corners)])
    named = torch.cat([torch.zeros(0, dtype=torch.int64), *(each.long() for each in classes)])
    return Boxes(flat, named, _offsets(torch.tensor(counts, dtype=torch.int64)))


def join_boxes(parts: Sequence[Boxes]) -> Boxes:
    """Pictures of all parts, one part after the other.

    Raises:
        ValueError: there is no part.
    """
    if not parts:
        raise ValueError("boxes are joined of at least one part")
    corners = torch.cat([part.corners for part in parts])
    classes = torch.cat([part.classes for part in parts])
    return Boxes(corners, classes, _offsets(torch.cat([part.counts for part in parts])))


def _offsets(counts: Tensor) -> Tensor:
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0))


def _repeated(values: Tensor, counts: Tensor, num: int) -> Tensor:
    """Each value as often as it counts; the sum, known beforehand, spares a look at the device."""
    return torch.repeat_interleave(values, counts, output_size=num)


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
