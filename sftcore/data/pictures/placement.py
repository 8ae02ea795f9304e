"""Random views of pictures with masks and boxes: one affine map moves all three.

A view is [2, 3], the map from the view's coordinates to the picture's, both from -1 at the left
(top) edge of the first pixel to 1 at the right (bottom) edge of the last. So a pixel's centre and a
box's corner are points of one plane. Each view is a function of (seed, epoch, row); a row is a
drawn row: see :func:`sftcore.data.loader.count_occurrences`. Colours are changed elsewhere
(:mod:`sftcore.data.pictures.colour`).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sftcore.data.pictures.augment import MAX_SHIFT_FRACTION
from sftcore.data.pictures.scenes import Scenes, keep_objects, tight_boxes
from sftcore.foundations.boxes import Boxes
from sftcore.foundations.masks import IGNORED
from sftcore.foundations.randomness import row_uniforms

MAX_ZOOM = 2.0  # at strength 1; its reciprocal is the least
MIN_VISIBLE_FRACTION = 0.25  # of a box's or an object's area; with less of it, it is dropped
MIN_SIDE = 1.0  # of a box in pixels
PURPOSE = "placement"


def draw_views(
    rows: np.ndarray,
    strength: float,
    seed: int,
    epoch: int,
    *,
    max_degrees: float = 0.0,
    purpose: str = PURPOSE,
) -> np.ndarray:
    """The views of some rows in one epoch.

    At ``strength`` s a mirror image is taken with probability s/2, a zoom is drawn log-uniformly
    from 2^-s to 2^s, an angle from ±max_degrees·s. The centre is shifted so that the frame lies
    anywhere within a picture that is larger, or around one that is smaller (large scale jittering:
    Ghiasi et al., 2021, Simple copy-paste, section 3), and ±0.15·s of the side beyond.

    Args:
        rows: drawn rows [B].
        strength: one dial from 0 (nothing is moved) to 1.
        seed: of the training.
        epoch: counted from 0.
        max_degrees: the greatest angle at full strength. Turned boxes are loose: see
            :func:`place_boxes`.
        purpose: names the stream, where a picture is seen more than once in an epoch.

    Returns:
        float32 [B, 2, 3].
    """
    uniforms = row_uniforms(seed, purpose, epoch, rows=rows, num=5)
    centred = (2 * uniforms - 1) * strength  # [B, 5] in ±strength
    mirror = np.where(uniforms[:, 0] < strength / 2, -1.0, 1.0)
    zoom = MAX_ZOOM ** centred[:, 1]
    angle = centred[:, 2] * math.radians(max_degrees)
    reach = np.abs(zoom - 1) + 2 * MAX_SHIFT_FRACTION * strength  # in units of half a side
    shift = (2 * uniforms[:, 3:] - 1) * reach[:, None]
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    linear = np.stack([mirror * cos, mirror * sin, -sin, cos], axis=1).reshape(-1, 2, 2)
    return np.concatenate([linear, -linear @ shift[:, :, None]], axis=2).astype(np.float32)


def random_views(
    scenes: Scenes,
    rows: np.ndarray,
    strength: float,
    background: Tensor,
    seed: int,
    epoch: int,
    *,
    max_degrees: float = 0.0,
    purpose: str = PURPOSE,
) -> Scenes:
    """The scenes of some rows as they look in one epoch; at strength 0 the scenes themselves.

    Args:
        scenes: of the rows, B pictures.
        rows: drawn rows [B].
        strength: see :func:`draw_views`, as everything that is not named here.
        background: [3], colour in the pictures' range that fills what is uncovered.
        seed: of the training.
        epoch: counted from 0.
        max_degrees: the greatest angle at full strength.
        purpose: names the stream.
    """
    if strength == 0:
        return scenes
    views = draw_views(rows, strength, seed, epoch, max_degrees=max_degrees, purpose=purpose)
    return place(scenes, torch.from_numpy(views).to(scenes.images.device), background)


def place(scenes: Scenes, views: Tensor, background: Tensor) -> Scenes:
    """Scenes as their views show them.

    Pictures are bilinear, masks and objects are those of the pixel under a new pixel's centre. What
    no picture is under is background, ignored in the mask, and shows no object. Boxes are
    those of :func:`place_boxes`; where there are objects, the bounding boxes of the pixels that
    show them, which are tight also after a turn.

    Args:
        scenes: B pictures.
        views: [B, 2, 3].
        background: [3], colour in the pictures' range.
    """
    points = _points(views, scenes.side)
    is_inside = ((points >= -1) & (points < 1)).all(dim=3)
    images = _sample(scenes.images, points, is_inside, background)
    masks, boxes, objects = scenes.masks, scenes.boxes, scenes.objects
    if masks is not None:
        masks = _pick(masks, points, is_inside, IGNORED)
    if boxes is None:
        return Scenes(images, masks)
    moved, is_kept = place_boxes(boxes, views, scenes.side)
    if objects is None:
        return Scenes(images, masks, moved.kept(is_kept))
    objects = _pick(objects, points, is_inside, 0)
    tight = tight_boxes(objects, moved)
    objects, boxes = keep_objects(objects, tight, is_kept & (tight.corners[:, 2] > 0))
    return Scenes(images, masks, boxes, objects)


def place_boxes(boxes: Boxes, views: Tensor, side: int) -> tuple[Boxes, Tensor]:
    """Boxes in the views, clipped to the frame, and which of them are still to be seen.

    A box is the bounding box of its four moved corners. After a turn it is loose: it holds
    the object, but is greater than the object's own bounding box.

    Args:
        boxes: of B pictures.
        views: [B, 2, 3].
        side: S, of pictures and views in pixels.

    Returns:
        All boxes, and where at least a quarter of the area and one pixel of either side is in the
        frame, bool [M].
    """
    corners = boxes.corners.double() * 2 / side - 1
    linear, shift = views.double()[boxes.pictures].split([2, 1], dim=2)
    columns = corners[:, [0, 2, 0, 2]], corners[:, [1, 1, 3, 3]]
    points = _inverse(linear) @ (torch.stack(columns, dim=1) - shift)  # [M, 2, 4]
    pixels = (points + 1) * side / 2
    low, high = pixels.amin(dim=2), pixels.amax(dim=2)
    area = (high - low).prod(dim=1)
    low, high = low.clamp(0, side), high.clamp(0, side)
    sides = high - low
    is_kept = (sides >= MIN_SIDE).all(dim=1) & (sides.prod(dim=1) >= MIN_VISIBLE_FRACTION * area)
    return boxes.with_corners(torch.cat([low, high], dim=1).float()), is_kept


def _inverse(matrices: Tensor) -> Tensor:
    """Of matrices [M, 2, 2]."""
    (a, b), (c, d) = (row.unbind(dim=1) for row in matrices.unbind(dim=1))
    adjugate = torch.stack([d, -b, -c, a], dim=1).view(-1, 2, 2)
    return adjugate / (a * d - b * c)[:, None, None]


def _points(views: Tensor, side: int) -> Tensor:
    """The point of the picture under each pixel's centre [B, S, S, 2].

    Sums by hand: a matrix product may add in another order in a batch of another size.
    """
    centres = (2 * torch.arange(side, device=views.device) + 1 - side) / side
    x, y = centres.view(1, 1, side, 1), centres.view(1, side, 1, 1)
    by_x, by_y, shift = (views[:, None, None, :, k] for k in range(3))
    return by_x * x + by_y * y + shift


def _sample(images: Tensor, points: Tensor, is_inside: Tensor, background: Tensor) -> Tensor:
    is_whole = not images.is_floating_point()
    numbers = images.float() if is_whole else images
    # The picture's border continues outside, so that its edge is as sharp as the mask's.
    sampled = F.grid_sample(
        numbers, points.to(numbers.dtype), padding_mode="border", align_corners=False
    )
    sampled = torch.where(is_inside[:, None], sampled, background.to(sampled).view(1, 3, 1, 1))
    return sampled.round().to(images.dtype) if is_whole else sampled


def _pick(pixels: Tensor, points: Tensor, is_inside: Tensor, outside: int) -> Tensor:
    """The pixel that holds each point, of whole numbers, which grid_sample does not take."""
    side = pixels.shape[-1]
    column, row = ((points + 1) * side / 2).long().clamp(0, side - 1).unbind(dim=3)
    picked = pixels.flatten(1).gather(1, (row * side + column).flatten(1))
    return picked.view_as(pixels).masked_fill(~is_inside, outside)
