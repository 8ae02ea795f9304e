"""Pictures with boxes, boxes that a model gives, maps that tell the boxes, and plain matching."""

from typing import Any

import numpy as np
import torch

from sftcore.models.dense.maps import Maps
from sftcore.models.dense.points import assign, grid_points
from sftcore.models.dense.settings import DecodingSettings

SIDE, NUM_CLASSES, MOST_TRUE, MOST_GIVEN = 128, 3, 4, 12
SIZES = {8: (16, 16), 16: (8, 8), 32: (4, 4)}


def boxes_facts() -> dict[str, Any]:
    """Facts of a model's record, with the keys that JSON gives."""
    decoding = DecodingSettings(max_detections=MOST_GIVEN).model_dump()
    levels = {str(stride): list(size) for stride, size in SIZES.items()}
    return {"levels": levels, "decoding": decoding, "side": SIDE}


def true_boxes(count: int, seed: int) -> np.ndarray:
    """Targets [N, M, 6]: one picture in six is empty, one box in twelve a crowd."""
    stream = np.random.default_rng(seed)
    targets = np.zeros((count, MOST_TRUE, 6), np.float32)
    targets[..., 4] = -1
    for picture in range(count):
        for row in range(stream.integers(1, MOST_TRUE + 1) if picture % 6 else 0):
            width, height = stream.uniform(8, 40, 2) + stream.choice([0, 85], p=[0.8, 0.2])
            left, top = stream.uniform(0, SIDE - width), stream.uniform(0, SIDE - height)
            label, is_crowd = stream.integers(NUM_CLASSES), stream.random() < 1 / 12
            targets[picture, row] = left, top, left + width, top + height, label, is_crowd
    return targets


def given_boxes(targets: np.ndarray, seed: int) -> np.ndarray:
    """Answers [N, D, 6]: most true boxes, moved, some twice or of another class, and some more."""
    stream = np.random.default_rng(seed)
    answers = np.zeros((len(targets), MOST_GIVEN, 6), np.float32)
    answers[..., 5] = -1
    for picture, rows in enumerate(targets):
        found = []
        for row in np.repeat(rows[rows[:, 4] >= 0], 2, axis=0):
            if stream.random() < 0.6:
                box = row[:4] + stream.normal(0, stream.choice([1, 4]), 4)
                label = row[4] if stream.random() < 0.85 else stream.integers(NUM_CLASSES)
                found.append([*box, stream.beta(5, 3), label])
        for _ in range(stream.integers(0, 3)):
            corner = stream.uniform(0, SIDE - 20, 2)
            found.append([*corner, *(corner + 15), stream.beta(2, 6), stream.integers(NUM_CLASSES)])
        for place, row in enumerate(sorted(found, key=lambda row: -row[4])):
            row[2], row[3] = max(row[2], row[0] + 1), max(row[3], row[1] + 1)
            answers[picture, place] = row
    return answers


def telling_maps(targets: torch.Tensor, noise: float = 0.5) -> Maps:
    """Maps that say in their first channels what a point stands for, and noise in the others."""
    stream = torch.Generator().manual_seed(len(targets))
    points, start, tensors = grid_points(SIZES), 0, []
    is_thing = (targets[..., 4:5] >= 0) & (targets[..., 5:] == 0)
    rows = torch.where(is_thing, targets[..., :5], -1.0)
    found = assign(points, rows, 1.5)
    for height, width in SIZES.values():
        own = points[start : start + height * width]
        classes = found.classes[:, start : start + height * width]
        boxes = found.boxes[:, start : start + height * width]
        sides = torch.cat([own[:, :2] - boxes[..., :2], boxes[..., 2:] - own[:, :2]], dim=2)
        logs = torch.where(classes[..., None] >= 0, (sides / own[:, 2:]).clamp(min=1e-3).log(), 0)
        one_hot = (classes[..., None] == torch.arange(NUM_CLASSES)).float()
        told = torch.cat([one_hot, logs, torch.zeros(*classes.shape, 2)], dim=2)
        told = told + noise * torch.randn(told.shape, generator=stream)
        tensors.append(told.transpose(1, 2).reshape(len(targets), -1, height, width))
        start += height * width
    return Maps(tuple(SIZES), tuple(tensors))


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, float(width)) * max(0.0, float(height))
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (one, other)]
    return shared / (sum(areas) - shared)


def plainly_matched(answers: np.ndarray, targets: np.ndarray) -> list[tuple[str, set[int]]]:
    """Of one picture what becomes of each box at IoU .5, and the rows of the truths found so far.

    Box by box in the order of the answers, which is that of the scores; written as it is said in
    COCO's paper, without any of the program's code.
    """
    exact, true = answers.astype(float), targets.astype(float)
    taken: set[int] = set()
    fates: list[tuple[str, set[int]]] = []
    for box in exact[exact[:, 5] >= 0]:
        own = [row for row in range(len(true)) if true[row, 4] == box[5]]
        plain = [
            row for row in own
            if not true[row, 5] and row not in taken and overlap(box, true[row]) >= 0.5
        ]  # fmt: skip
        fate = "wrong"
        if plain:
            taken = taken | {max(plain, key=lambda row, box=box: overlap(box, true[row]))}
            fate = "right"
        else:
            area = (box[2] - box[0]) * (box[3] - box[1])
            for crowd in (true[row] for row in own if true[row, 5]):
                width = min(box[2], crowd[2]) - max(box[0], crowd[0])
                height = min(box[3], crowd[3]) - max(box[1], crowd[1])
                if max(0.0, width) * max(0.0, height) >= 0.5 * area:
                    fate = "ignored"
        fates.append((fate, taken))
    return fates
