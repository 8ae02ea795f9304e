"""Where an oblong picture lies in its square, and the way back to the picture's own pixels.

The picture itself is put there by :func:`sftcore.data.pictures.decode.fit_square`, as for every
other task. Pixel i covers [i, i + 1) in both, so that the edges of the picture are those of its
place in the square.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sftcore.data.pictures.decode import content_box
from sftcore.foundations.errors import DataError
from sftcore.foundations.masks import IGNORED

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Letterbox:
    """A picture's sides and its square's.

    Attributes:
        width: of the picture in pixels.
        height: of the picture in pixels.
        side: S, of the square in pixels.
    """

    width: int
    height: int
    side: int

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.side) < 1:
            raise ValueError(f"sides are at least one pixel, not those of {self}")

    @property
    def content(self) -> tuple[int, int, int, int]:
        """Where the picture lies in the square: left, top, width, height in whole pixels."""
        return content_box((self.width, self.height), self.side)

    def boxes_to_square(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes of the picture as boxes of the square.

        Args:
            boxes: left, top, right, bottom in pixels [n, 4].

        Returns:
            float32 [n, 4].
        """
        scale, shift = self._mapping()
        return (np.asarray(boxes, dtype=np.float64) * scale + shift).astype(np.float32)

    def boxes_to_picture(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes of the square as boxes of the picture, clipped to it.

        Args:
            boxes: left, top, right, bottom in pixels [n, 4].

        Returns:
            float32 [n, 4]; a box of nothing but padding has no area.
        """
        scale, shift = self._mapping()
        original = (np.asarray(boxes, dtype=np.float64) - shift) / scale
        most = np.array([self.width, self.height, self.width, self.height])
        return np.clip(original, 0, most).astype(np.float32)

    def mask_to_square(self, mask: np.ndarray, outside: int = IGNORED) -> np.ndarray:
        """A mask of the picture in the square: each pixel the nearest of the picture's.

        Args:
            mask: whole numbers [H, W].
            outside: what stands around the picture; 0 for maps of objects.

        Returns:
            [S, S] of the mask's type.

        Raises:
            DataError: the mask has other sides than the picture.
        """
        if mask.shape != (self.height, self.width):
            raise DataError(
                f"the mask has the shape {mask.shape} and its picture {(self.height, self.width)} "
                "(rows, columns): give a mask of the picture's own size"
            )
        left, top, width, height = self.content
        square = np.full((self.side, self.side), outside, dtype=mask.dtype)
        square[top : top + height, left : left + width] = _nearest(mask, height, width)
        return square

    def mask_to_picture(self, mask: np.ndarray) -> np.ndarray:
        """A mask of the square at the picture's size, without the padding.

        Args:
            mask: whole numbers [S, S].

        Returns:
            [H, W] of the mask's type.
        """
        self._check_square(mask.shape)
        left, top, width, height = self.content
        return _nearest(mask[top : top + height, left : left + width], self.height, self.width)

    def logits_to_picture(self, logits: "torch.Tensor") -> "torch.Tensor":
        """Logits of the square at the picture's size, without the padding.

        Bilinear between the centres of the square's pixels, at the centre of each of the picture's.

        Args:
            logits: float [C, S, S].

        Returns:
            [C, H, W].
        """
        import torch.nn.functional as F

        self._check_square(logits.shape[1:])
        left, top, width, height = self.content
        inside = logits[None, :, top : top + height, left : left + width]
        size = (self.height, self.width)
        # Without antialias, whose columns come out wrong on a CPU where they are the only ones
        # (torch 2.15); logits are smooth enough without.
        return F.interpolate(inside, size, mode="bilinear", align_corners=False)[0]

    def _mapping(self) -> tuple[np.ndarray, np.ndarray]:
        """Scale and shift of left, top, right, bottom [4]; a side is rounded to whole pixels."""
        left, top, width, height = self.content
        scale = np.array([width / self.width, height / self.height] * 2)
        return scale, np.array([left, top] * 2, dtype=np.float64)

    def _check_square(self, shape: tuple[int, ...]) -> None:
        if tuple(shape) != (self.side, self.side):
            raise ValueError(f"the square has sides of {self.side}, not {tuple(shape)}")


def _nearest(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixel that holds the centre of each new one, by whole numbers: the same everywhere."""
    places = [
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(mask.shape, (height, width), strict=True)
    ]
    return mask[np.ix_(*places)]
