"""Random small sets of boxes with everything that is rare, and what pycocotools says of them."""

import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sftcore.metrics.detection_records import Detections, Truths

OUTSIDE = 1e11  # no range of COCO's holds this area, so such a truth is ignored in all of them


def made(
    seed: int,
    num_pictures: int = 4,
    num_classes: int = 3,
    *,
    ties: bool = True,
    most: int = 7,
) -> tuple[Detections, Truths]:
    """Boxes on a grid of quarters, whose overlaps are exact, so that thresholds are hit.

    Some pictures are empty, some classes never occur; half of the detections are near a truth.
    """
    stream = np.random.default_rng(seed)
    num_true = stream.integers(0, most, num_pictures) * (stream.random(num_pictures) < 0.8)
    picture = np.repeat(np.arange(num_pictures), num_true)
    count = len(picture)
    truths = Truths(
        picture,
        stream.integers(0, max(1, num_classes - 1), count),  # the last class is never true
        _boxes(stream, count),
        np.zeros(count),
        stream.random(count) < 0.15,
        stream.random(count) < 0.1,
    )
    width, height = (truths.box[:, 2:] - truths.box[:, :2]).T
    areas = width * height * stream.choice([1.0, 0.7], count)  # as of a mask
    truths = Truths(**vars(truths) | {"area": areas})
    near = stream.integers(0, count, stream.integers(0, 3 * count)) if count else np.zeros(0, int)
    far = np.flatnonzero(stream.random(num_pictures) < 0.6).repeat(stream.integers(0, 5))
    moved = truths.box[near] + stream.integers(-8, 9, (len(near), 4)) * stream.choice([0, 1, 2])
    moved = np.concatenate([np.minimum(moved[:, :2], moved[:, 2:]), moved[:, 2:]], axis=1)
    box = np.concatenate([moved, _boxes(stream, len(far))])
    label = np.concatenate([truths.label[near], np.zeros(len(far), dtype=int)])
    changed = stream.random(len(label)) < 0.3
    label = np.where(changed, stream.integers(0, num_classes, len(label)), label)
    score = stream.random(len(label))
    found = Detections(
        np.concatenate([picture[near], far]),
        label,
        box,
        np.round(score, 1) if ties else score,
    )
    order = stream.permutation(len(label))
    return Detections(**{name: column[order] for name, column in vars(found).items()}), truths


def _boxes(stream: np.random.Generator, count: int) -> np.ndarray:
    corner = stream.integers(0, 200, (count, 2)) / 4
    side = stream.choice([8, 16, 30, 31.75, 32, 60, 96, 96.25, 150, 200], (count, 2))
    return np.concatenate([corner, corner + side], axis=1)


def coco(detections: Detections, truths: Truths, counts: np.ndarray, num_classes: int) -> COCOeval:
    """pycocotools on the set in which picture i is there ``counts[i]`` times, copies adjacent."""
    data = COCO()
    copies = np.repeat(np.arange(len(counts)), counts)
    annotations: list[dict] = []
    results: list[dict] = []
    for number, original in enumerate(copies):
        for row in np.flatnonzero(truths.picture == original):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(truths.label[row]),
                    "bbox": _as_coco(truths.box[row]),
                    "area": OUTSIDE if truths.is_ignored[row] else float(truths.area[row]),
                    "iscrowd": int(truths.is_crowd[row]),
                }
            )
        for row in np.flatnonzero(detections.picture == original):
            results.append(
                {
                    "image_id": number,
                    "category_id": int(detections.label[row]),
                    "bbox": _as_coco(detections.box[row]),
                    "score": float(detections.score[row]),
                }
            )
    data.dataset = {
        "images": [{"id": number} for number in range(len(copies))],
        "categories": [{"id": k} for k in range(num_classes)],
        "annotations": annotations,
        "info": {},
    }
    with contextlib.redirect_stdout(io.StringIO()):
        data.createIndex()
        found = data.loadRes(results) if results else _nothing(data)
        evaluation = COCOeval(data, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _nothing(data: COCO) -> COCO:
    empty = COCO()
    empty.dataset = data.dataset | {"annotations": []}
    empty.createIndex()
    return empty


def _as_coco(box: np.ndarray) -> list[float]:
    left, top, right, bottom = map(float, box)
    return [left, top, right - left, bottom - top]


def subset(
    detections: Detections, truths: Truths, pictures: np.ndarray
) -> tuple[Detections, Truths]:
    """The named pictures, in this order and as often as they are named."""
    tables = []
    for table in (detections, truths):
        rows = [np.flatnonzero(table.picture == original) for original in pictures]
        columns = {name: column[np.concatenate(rows)] for name, column in vars(table).items()}
        columns["picture"] = np.repeat(np.arange(len(pictures)), [len(of) for of in rows])
        tables.append(type(table)(**columns))
    return tables[0], tables[1]


def apart_within_pictures(
    detections: Detections, truths: Truths, seed: int
) -> tuple[Detections, Truths]:
    """The same with scores that tie between pictures often, and never in one."""
    score = np.zeros(len(detections.score))
    for picture in np.unique(detections.picture):
        rows = np.flatnonzero(detections.picture == picture)
        levels = np.random.default_rng([seed, picture]).permutation(max(40, len(rows)))
        score[rows] = levels[: len(rows)] / 64
    return Detections(**vars(detections) | {"score": score}), truths
