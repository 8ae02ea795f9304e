"""Kinds of errors against their definition in loops, and mended sets shown to pycocotools."""

import numpy as np
import pytest

from sftcore.metrics.detection_errors import (
    BACKGROUND,
    BOTH,
    CLASSIFICATION,
    DUPLICATE,
    KINDS,
    LOCALISATION,
    MISSED,
    DetectionErrors,
    detection_errors,
    error_gains,
)
from sftcore.metrics.detection_records import Detections, Truths
from tests.metrics.detection_cases import apart_within_pictures, coco, made


def iou(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared) if shared else 0.0


def explained_in_loops(sets: tuple[Detections, Truths], errors: DetectionErrors) -> dict:
    """(picture, label, score) of each wrong detection to its kind and the truth it wanted."""
    detections, truths = sets
    kind_of = {
        key: kind
        for *key_, kind in zip(errors.picture, errors.label, errors.score, errors.kind, strict=True)
        for key in [tuple(key_)]
    }
    explained = {}
    for picture, label, box, score in zip(*vars(detections).values(), strict=True):
        if kind_of[picture, label, score] < 0:
            continue
        own, other = (0.0, -1), (0.0, -1)
        for row in range(len(truths.label)):
            if truths.picture[row] != picture or truths.is_crowd[row] or truths.is_ignored[row]:
                continue
            overlap = iou(box.tolist(), truths.box[row].tolist())
            if truths.label[row] == label and overlap > own[0]:
                own = overlap, row
            if truths.label[row] != label and overlap > other[0]:
                other = overlap, row
        if 0.1 <= own[0] < 0.5:
            explained[picture, label, score] = LOCALISATION, own[1]
        elif other[0] >= 0.5:
            explained[picture, label, score] = CLASSIFICATION, other[1]
        elif own[0] >= 0.5:
            explained[picture, label, score] = DUPLICATE, -1
        elif max(own[0], other[0]) < 0.1:
            explained[picture, label, score] = BACKGROUND, -1
        else:
            explained[picture, label, score] = BOTH, -1
    return explained


def mended_in_loops(
    sets: tuple[Detections, Truths], explained: dict, missed: np.ndarray, kind: int
) -> tuple[Detections, Truths]:
    """The set with the errors of a kind mended in boxes and classes."""
    detections, truths = sets
    if kind == MISSED:
        return detections, Truths(**{name: col[~missed] for name, col in vars(truths).items()})
    found = found_truths(sets)
    best: dict[int, tuple] = {}
    for key, (of, target) in explained.items():
        if of == kind and target >= 0 and target not in found:
            best[target] = max(best.get(target, key), key, key=lambda k: k[2])
    rows = []
    for *key, box in zip(
        detections.picture, detections.label, detections.score, detections.box, strict=True
    ):
        picture, label, score = key
        of, target = explained.get(tuple(key), (None, -1))
        if of != kind:
            rows.append((picture, label, box, score))
        elif target >= 0 and best.get(target) == tuple(key):
            rows.append((picture, truths.label[target], truths.box[target], score))
    columns = [np.array(column) for column in zip(*rows, strict=True)] if rows else []
    if not rows:
        columns = [np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0)]
    return Detections(*columns), truths


def found_truths(sets: tuple[Detections, Truths]) -> set[int]:
    """Rows of the truths that a detection is right about, by pycocotools."""
    evaluation = coco(*sets, np.ones(4, dtype=int), 3)
    return {
        number - 1
        for picture in evaluation.evalImgs
        if picture is not None and picture["aRng"] == [0, 1e10]
        for number, match in zip(picture["gtIds"], picture["gtMatches"][0], strict=True)
        if match > 0
    }


@pytest.mark.parametrize("seed", range(40))
def test_kinds_and_gains_are_those_of_mended_sets(seed: int) -> None:
    sets = apart_within_pictures(*made(seed), seed)
    errors = detection_errors(*sets, 4, 3)
    explained = explained_in_loops(sets, errors)
    for row in range(len(errors.kind)):
        key = errors.picture[row], errors.label[row], errors.score[row]
        if errors.kind[row] >= 0:
            assert errors.kind[row] == explained[key][0]
    counted = ~sets[1].is_free
    wanted = {target for _, target in explained.values()}
    found = found_truths(sets)
    missed = np.array(
        [
            bool(counted[row]) and row not in wanted and row not in found
            for row in range(len(counted))
        ],
        dtype=bool,
    )
    np.testing.assert_array_equal(
        errors.num_missed, count(sets[1].picture[missed], sets[1].label[missed])
    )
    np.testing.assert_array_equal(
        errors.num_truths, count(sets[1].picture[counted], sets[1].label[counted])
    )
    counts = np.random.default_rng(seed).integers(0, 3, (2, 4))
    counts[:, 0] += 1
    gains = error_gains(errors, counts.astype(float))
    np.testing.assert_array_equal(gains.count, counts @ errors.counts)
    for row, weights in enumerate(counts):
        before = ap50(sets, weights)
        np.testing.assert_allclose(gains.ap50[row], before, atol=1e-9)
        for kind in range(6):
            after = ap50(mended_in_loops(sets, explained, missed, kind), weights)
            message = f"{KINDS[kind]} of {seed}"
            np.testing.assert_allclose(
                gains.gain[row, kind], after - before, atol=1e-9, err_msg=message
            )


def count(picture: np.ndarray, label: np.ndarray) -> np.ndarray:
    table = np.zeros((4, 3), dtype=int)
    np.add.at(table, (picture, label), 1)
    return table


def ap50(sets: tuple[Detections, Truths], weights: np.ndarray) -> float:
    value = coco(*sets, weights, 3).stats[1]
    return float("nan") if value == -1 else float(value)
