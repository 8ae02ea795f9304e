"""From the boxes of a picture's tiles to boxes in its own pixels, each thing once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sftcore.models.dense.settings import DecodingSettings
from sftcore.use.tiles import TiledAnswers, Tiling

_EDGE = 0.01  # of a tile's side: a box that ends so near to an edge is cut by it
_DIGITS = 2  # of a pixel
_SCORE_FORMAT = ".9g"  # enough to tell any two float32 apart


@dataclass(frozen=True)
class FoundBoxes:
    """What is found on a picture, the most certain first.

    Attributes:
        corners: left, top, right, bottom in the picture's own pixels, float32 [n, 4].
        scores: float32 [n].
        classes: indices, int64 [n].
        size: width and height of the picture in pixels.
    """

    corners: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    size: tuple[int, int]

    def take(self, index: np.ndarray) -> "FoundBoxes":
        """Some of the boxes: bool [n], or their numbers in another order."""
        return FoundBoxes(self.corners[index], self.scores[index], self.classes[index], self.size)

    def as_json(self, names: Sequence[str]) -> str:
        """A JSON list of class, score and box (left, top, right, bottom), in their order."""
        rows = [
            {
                "class": names[of],
                "score": float(format(score, _SCORE_FORMAT)),
                "box": [round(value, _DIGITS) for value in box],
            }
            for of, score, box in zip(
                self.classes.tolist(), self.scores.tolist(), self.corners.tolist(), strict=True
            )
        ]
        return json.dumps(rows, ensure_ascii=False)


def find_boxes(said: TiledAnswers, nms_iou: float) -> FoundBoxes:
    """The boxes of a picture.

    Of a picture of one tile those that the network gives. Of several, first each box goes that a
    tile's edge inside of the picture cuts, if another tile shows all of it and no such edge of its
    own cuts it there: that tile sees more of the thing. Then of boxes of one class that overlap by
    more than ``nms_iou`` the most certain stays, as inside of a tile; of equal scores the earlier
    tile's. A thing that is larger than what neighbours share is cut in each of them and may be
    found in parts.

    Args:
        said: boxes of the tiles [T, D, 6]: left, top, right, bottom, score, class; class −1 is no
            box.
        nms_iou: overlap (IoU) with a better box of its class that ends a box.
    """
    tile, place = np.nonzero(said.answers[:, :, 5] >= 0)  # by tile, then as the tile has them
    rows = said.answers[tile, place]
    tiling = said.tiling
    corners = tiling.box.boxes_to_picture(rows[:, :4]) + tiling.edges[tile][:, [0, 1, 0, 1]]
    found = FoundBoxes(
        corners.astype(np.float32),
        rows[:, 4].astype(np.float32),
        rows[:, 5].astype(np.int64),
        (tiling.width, tiling.height),
    )
    # What lies in the padding has no area.
    is_seen = np.all(found.corners[:, 2:] > found.corners[:, :2], axis=1)
    if len(tiling) == 1:
        return found.take(is_seen)
    return _once(found.take(is_seen & ~is_better_elsewhere(found.corners, tile, tiling)), nms_iou)


def nms_iou_of(facts: Mapping[str, Any]) -> float:
    """Overlap with a better box of its class that ends a box, of the facts of a model's record."""
    return DecodingSettings.model_validate(dict(facts.get("decoding", {}))).nms_iou


def is_better_elsewhere(corners: np.ndarray, tile: np.ndarray, tiling: Tiling) -> np.ndarray:
    """Whether a box is cut in its own tile and whole in another.

    Args:
        corners: left, top, right, bottom in pixels of the picture [n, 4].
        tile: number of each box's tile [n].
        tiling: of the picture.

    Returns:
        bool [n].
    """
    is_whole = _whole_in(corners, tiling)
    own = is_whole[np.arange(len(corners)), tile]
    return ~own & is_whole.any(axis=1)


def _whole_in(corners: np.ndarray, tiling: Tiling) -> np.ndarray:
    """Whether a tile shows all of a box and no inner edge of it is near, bool [n, T]."""
    edges = tiling.edges.astype(float)
    outer = np.array([0, 0, tiling.width, tiling.height])
    margin = np.array([tiling.box.width, tiling.box.height] * 2) * _EDGE
    inward = np.array([1, 1, -1, -1])
    least = edges + np.where(edges == outer, 0, margin) * inward
    ends = corners[:, None].astype(float)
    low = (ends[..., :2] >= least[:, :2]).all(axis=2)
    return low & (ends[..., 2:] <= least[:, 2:]).all(axis=2)


def _once(found: FoundBoxes, nms_iou: float) -> FoundBoxes:
    """Without the less certain of two boxes of one thing."""
    from torchvision.ops import batched_nms

    order = np.argsort(-found.scores.astype(float), kind="stable")
    ranked = found.take(order)
    # By rank and in double precision, as the network's own boxes: no two are equal.
    kept = batched_nms(
        torch.from_numpy(ranked.corners.astype(float)),
        -torch.arange(len(order), dtype=torch.float64),
        torch.from_numpy(ranked.classes),
        nms_iou,
    )
    return ranked.take(kept.numpy())
