"""Scenes of filled shapes in colours of their own, so that every pixel tells what it shows."""

import numpy as np
import torch

from sftcore.data.pictures.scenes import Scenes
from sftcore.foundations.boxes import Boxes, pack_boxes

BACKGROUND = torch.tensor([250, 10, 30], dtype=torch.uint8)  # uncovers; no shape has it
GROUND = (128, 128, 128)


def colour_of(label: np.ndarray) -> np.ndarray:
    """Colours [..., 3] of class 0, the ground, and of others, whatever they are."""
    shades = np.stack([40 * label % 256, 90 * label % 256, 255 - 60 * label % 256], axis=-1)
    return np.where(label[..., None] == 0, GROUND, shades).astype(np.uint8)


def paint(count: int, side: int, seed: int, shapes: int = 1, ellipses: bool = False) -> Scenes:
    """Random shapes of 6 pixels or more; the later are in front and may hide the earlier."""
    stream = np.random.default_rng(seed)
    objects = np.zeros((count, side, side), dtype=np.int32)
    row, column = np.mgrid[:side, :side] + 0.5
    for picture in objects:
        for number in range(1, shapes + 1):
            low = stream.integers(0, side - 6, 2)
            high = np.minimum(low + stream.integers(6, side // 2 + 1, 2), side)
            middle, half = (low + high) / 2, (high - low) / 2
            x, y = (column - middle[0]) / half[0], (row - middle[1]) / half[1]
            inside = x**2 + y**2 <= 1 if ellipses else np.maximum(abs(x), abs(y)) < 1
            picture[inside] = number
    return from_objects(objects)


def from_objects(objects: np.ndarray) -> Scenes:
    """Scenes of numbered objects, number k being of class k, with the boxes of what is seen."""
    found = [boxes_of(picture) for picture in objects]
    numbers = [np.unique(picture[picture > 0]) for picture in objects]
    renumbered = [
        np.searchsorted(own, picture) + 1 for own, picture in zip(numbers, objects, strict=True)
    ]
    shown = np.where(objects > 0, np.stack(renumbered), 0).astype(np.int32)
    return Scenes(
        torch.from_numpy(colour_of(objects)).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(objects.astype(np.uint8)),
        pack_boxes([torch.tensor(each) for each in found], [torch.tensor(own) for own in numbers]),
        torch.from_numpy(shown),
    )


def boxes_of(picture: np.ndarray) -> np.ndarray:
    """Bounding boxes of the positive numbers in a map [S, S], in the order of the numbers."""
    places = [np.nonzero(picture == number) for number in np.unique(picture[picture > 0])]
    boxes = [[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in places]
    return np.array(boxes, dtype=np.float32).reshape(-1, 4)


def without_objects(scenes: Scenes) -> Scenes:
    return Scenes(scenes.images, scenes.masks, scenes.boxes)


def one_box(*corners: float, pictures: int = 1) -> Boxes:
    """The same box, of class 7, in every picture."""
    return pack_boxes([torch.tensor([corners])] * pictures, [torch.tensor([7])] * pictures)


def content(scenes: Scenes) -> bytes:
    """All bytes of scenes."""
    tensors = (scenes.images, scenes.masks, scenes.objects)
    parts = [each.contiguous().numpy().tobytes() for each in tensors if each is not None]
    return b"|".join([*parts, scenes.boxes.to_bytes() if scenes.boxes is not None else b""])
