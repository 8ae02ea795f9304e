"""Points of a pyramid, and which of them stand for which box.

The boxes of a batch are rows [B, M, 5]: left, upper, right and lower side in pixels, and the class;
a class below zero marks a row that is no box, so that pictures may have different numbers of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

BACKGROUND = -1
_LEAST, _MOST = 4, 8  # strides from a point to a side of its box: (64, 128] pixels at stride 16


@dataclass(frozen=True)
class Assigned:
    """What each point of each picture stands for.

    Attributes:
        classes: of the point's box, int64 [B, P]; -1 is background.
        boxes: its sides in pixels [B, P, 4]; zeros for background.
    """

    classes: Tensor
    boxes: Tensor

    @property
    def is_foreground(self) -> Tensor:
        """Where a point stands for a box, bool [B, P]."""
        return self.classes >= 0


def grid_points(sizes: Mapping[int, tuple[int, int]], device: torch.device | str = "cpu") -> Tensor:
    """The centres of the cells of all levels, the finest first, row by row.

    Args:
        sizes: height and width of each level, by stride.
        device: where they are put.

    Returns:
        x, y and stride in pixels of the picture, float32 [P, 3].
    """
    levels = []
    for stride, (height, width) in sizes.items():
        y, x = torch.meshgrid(
            stride * (torch.arange(height, dtype=torch.float32) + 0.5),
            stride * (torch.arange(width, dtype=torch.float32) + 0.5),
            indexing="ij",
        )
        levels.append(torch.stack([x, y, torch.full_like(x, stride)], dim=2).flatten(0, 1))
    return torch.cat(levels).to(device)


def assign(points: Tensor, targets: Tensor, center_radius: float) -> Assigned:
    """Which box each point stands for (Tian et al., 2019, FCOS, sections 3.1 and 3.2).

    A point stands for a box that it lies strictly inside of, no more than ``center_radius`` strides
    from its centre in x and in y (the authors' centre sampling), and whose farthest side is on its
    level: above 4 and up to 8 strides away; on the finest level there is no least, on the coarsest
    no most. Of several boxes it is the smallest, of equal ones the first. A box that no point fits
    is not learnt.

    Args:
        points: x, y and stride [P, 3].
        targets: boxes of the pictures [B, M, 5].
        center_radius: in strides; 0 takes the whole box.
    """
    found = [_assign_one(points, rows, center_radius) for rows in targets]
    classes, boxes = zip(*found, strict=True)
    return Assigned(torch.stack(classes), torch.stack(boxes))


def _assign_one(points: Tensor, rows: Tensor, center_radius: float) -> tuple[Tensor, Tensor]:
    classes = points.new_full((len(points),), BACKGROUND, dtype=torch.int64)
    if not len(rows):
        return classes, points.new_zeros(len(points), 4)
    boxes = rows[:, :4]
    fits = _fits(points, boxes, center_radius) & (rows[:, 4] >= 0)
    size = boxes[:, 2:] - boxes[:, :2]
    areas = torch.where(fits, size.prod(dim=1), torch.inf)
    smallest = areas.argmin(dim=1)  # the first of equal ones, as torch documents it
    is_foreground = fits.any(dim=1)
    classes = torch.where(is_foreground, rows[smallest, 4].long(), classes)
    return classes, torch.where(is_foreground[:, None], boxes[smallest], 0.0)


def _fits(points: Tensor, boxes: Tensor, center_radius: float) -> Tensor:
    """Whether a point may stand for a box, bool [P, M]."""
    place, stride = points[:, None, :2], points[:, 2:]
    sides = torch.cat([place - boxes[:, :2], boxes[:, 2:] - place], dim=2)
    farthest = sides.amax(dim=2)
    least = torch.where(stride == stride.min(), 0.0, _LEAST * stride)
    most = torch.where(stride == stride.max(), torch.inf, _MOST * stride)
    fits = (sides.amin(dim=2) > 0) & (farthest > least) & (farthest <= most)
    if center_radius > 0:
        from_center = (place - (boxes[:, :2] + boxes[:, 2:]) / 2).abs().amax(dim=2)
        fits &= from_center < center_radius * stride
    return fits
