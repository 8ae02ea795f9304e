"""What a training keeps of a detector's answers, against its parts and small cases by hand."""

import json
import math
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from sftcore.data.pictures.annotated import NO_BOX, padded_boxes
from sftcore.metrics.detection import detection_scores
from sftcore.metrics.detection_records import box_areas
from sftcore.models.dense.box_loss import fcos_terms
from sftcore.models.dense.decoding import decode
from sftcore.models.dense.points import grid_points
from sftcore.models.dense.settings import (
    BoxLossSettings,
    DecodingSettings,
    DetectionHeadSettings,
)
from sftcore.models.network import Network
from sftcore.models.settings import ModelSettings
from sftcore.models.start import build_start
from sftcore.tasks.answers import answers_of
from sftcore.tasks.detection.boxes import detections_of, learnt_boxes, padded, truths_of
from sftcore.tasks.detection.records import box_rows, loss_per_point, matches_of
from sftcore.tasks.detection.task import NOTHING, DetectionTask
from sftcore.training.settings import TrainSettings

SIDE, K = 160, 3
SIZES = {8: (20, 20), 16: (10, 10), 32: (5, 5)}
POINTS = grid_points(SIZES)
DECODING = DecodingSettings(score_threshold=0.3, max_detections=7, num_candidates=20)
LOSS = BoxLossSettings()
BACKBONE = "timm/test_efficientnet"
NO_DETECTION = [0.0, 0.0, 0.0, 0.0, 0.0, -1.0]


def decoded(output: Tensor) -> Tensor:
    """The boxes that outputs mean, as answers."""
    return padded(decode(output, POINTS, (SIDE, SIDE), DECODING), DECODING.max_detections)


def boxes() -> np.ndarray:
    """Of six pictures: several, one, none, a crowd among others, a crowd alone, small ones."""
    return padded_boxes([
        np.array([[0, 0, 75, 50, 0, 0], [5, 3, 150, 160, 1, 0], [83, 100, 118, 152, 1, 0]]),
        np.array([[10, 20, 70, 70, 2, 0]]),
        np.zeros((0, 6)),
        np.array([[12, 12, 63, 113, 1, 0], [0, 0, 160, 160, 1, 1], [30, 30, 150, 125, 0, 0]]),
        np.array([[0, 0, 125, 125, 2, 1]]),
        np.array([[1, 1, 22, 22, 0, 0], [125, 125, 150, 146, 0, 0]]),
    ])  # fmt: skip


def outputs(seed: int = 0, rows: int = 6) -> Tensor:
    """Of a head: logits, distances in pixels above zero, centre-ness."""
    drawn = torch.randn(rows, len(POINTS), K + 5, generator=torch.Generator().manual_seed(seed))
    drawn[:, :, K : K + 4] = POINTS[:, 2:] * drawn[:, :, K : K + 4].exp()
    return drawn


@cache
def network() -> Network:
    return build_start(
        backbone=BACKBONE, weights="none", num_classes=K, image_size=SIDE, dropout=0.0, seed=0,
        device=torch.device("cpu"), dense=DetectionHeadSettings(width=8, num_convs=0),
    ).network  # fmt: skip


def task_of(targets: np.ndarray, train: Any = (0, 1, 2, 3, 4), **update: Any) -> DetectionTask:
    """The task as a training has it."""
    task = DetectionTask(torch.from_numpy(targets), ["a", "b", "c"], np.array(train))
    detection = DetectionHeadSettings(width=8, num_convs=0, decoding=DECODING)
    model = ModelSettings(backbone=BACKBONE, weights="none", detection=detection)
    task.meet(network(), model, TrainSettings(**update), SIDE)
    return task


def test_a_record_is_the_detections_and_the_sums_of_the_loss() -> None:
    targets, output = torch.from_numpy(boxes()), outputs()
    rows = box_rows(output, targets, POINTS, SIDE, DECODING, LOSS)
    assert rows.shape == (6, DECODING.max_detections + 1, 6)
    assert rows.dtype == torch.float64
    for row, (own, of_picture) in enumerate(zip(targets, output, strict=True)):
        plain = own[(own[:, 4] >= 0) & (own[:, 5] == 0)][:, :5]  # crowds are not learnt
        terms = fcos_terms(of_picture[None], plain[None], POINTS, LOSS)
        wanted = [float(terms[name]) for name in ("focal", "giou", "centerness")]
        np.testing.assert_allclose(rows[row, -1, :3], wanted, rtol=1e-5)
        assert rows[row, -1, 3] == num_points(plain)
        (found,) = decode(of_picture[None], POINTS, (SIDE, SIDE), DECODING)
        count = len(found.scores)
        assert count > 2
        columns = [found.boxes, found.scores[:, None], found.classes[:, None].float()]
        torch.testing.assert_close(rows[row, :count], torch.cat(columns, dim=1).double())
        assert (rows[row, count:-1] == torch.tensor(NO_DETECTION)).all()
        scores = rows[row, :count, 4]
        assert torch.equal(scores, scores.sort(descending=True).values)
    assert rows[2, -1, 1:4].tolist() == rows[4, -1, 1:4].tolist() == [0, 0, 0]


def stands_for(place: list[float], box: list[float]) -> bool:
    """Whether a point is inside a box, near its centre, and on the level of its size."""
    x, y, stride = place
    sides = x - box[0], y - box[1], box[2] - x, box[3] - y
    away = max(abs(x - (box[0] + box[2]) / 2), abs(y - (box[1] + box[3]) / 2))
    low, high = {8: (0, 64), 16: (64, 128), 32: (128, math.inf)}[int(stride)]
    return min(sides) > 0 and low < max(sides) <= high and away < LOSS.center_radius * stride


def num_points(targets: Tensor) -> int:
    return sum(any(stands_for(place, box) for box in targets.tolist()) for place in POINTS.tolist())


def test_pictures_without_any_detection_are_padded() -> None:
    output = outputs()
    output[:, :, :K] = -9.0
    rows = decoded(output)
    assert rows.shape == (6, DECODING.max_detections, 6)
    assert (rows == torch.tensor(NO_DETECTION)).all()
    assert len(detections_of(rows.numpy()).score) == 0
    scores = detection_scores(matches_of(rows.numpy(), boxes(), K))
    assert scores["average_precision"] == 0.0


def test_tables_hold_what_the_rows_hold() -> None:
    truths = truths_of(boxes())
    assert truths.picture.tolist() == [0, 0, 0, 1, 3, 3, 3, 4, 5, 5]
    assert truths.label.tolist() == [0, 1, 1, 2, 1, 1, 0, 2, 0, 0]
    assert truths.is_crowd.tolist() == [False] * 5 + [True, False, True, False, False]
    assert not truths.is_ignored.any()
    np.testing.assert_array_equal(truths.area, box_areas(truths.box))
    rows = decoded(outputs()).numpy()
    found = detections_of(rows)
    assert len(found.score) == (rows[:, :, 5] >= 0).sum()
    for picture, label, box, score in zip(
        found.picture, found.label, found.box, found.score, strict=True
    ):
        assert [*box, score, label] in rows[picture].tolist()


def perfect(targets: np.ndarray) -> np.ndarray:
    """Every object found, crowds not, with a record's last row of no loss."""
    rows = np.tile(np.array(NO_DETECTION), (len(targets), targets.shape[1] + 1, 1))
    for row, own in enumerate(targets):
        real = own[(own[:, 4] >= 0) & (own[:, 5] == 0)]
        rows[row, : len(real)] = np.column_stack([real[:, :4], np.full(len(real), 0.9), real[:, 4]])
    rows[:, -1] = 0
    return rows


def test_objects_that_are_all_found_have_a_precision_of_one() -> None:
    targets = boxes()
    task = task_of(targets)
    rows = perfect(targets)
    rows[2, -1, 3] = 5  # points of any picture
    found = task.measure(torch.from_numpy(rows), torch.from_numpy(targets))
    assert found == {"loss": 0.0, "average_precision": 1.0, "average_precision_50": 1.0}
    assert task.judged(rows, np.arange(6), None) == found
    rows[4, 0] = [2, 2, 40, 40, 0.99, 2]  # within a crowd: neither right nor wrong
    assert task.judged(rows, np.arange(6), None) == found
    rows[2, 0] = [2, 2, 40, 40, 0.99, 2]  # where there is nothing
    assert task.judged(rows, np.arange(6), None)["average_precision"] < 1


def test_the_loss_of_pictures_is_that_of_all_their_points() -> None:
    targets, output = torch.from_numpy(boxes()), outputs()
    rows = box_rows(output, targets, POINTS, SIDE, DECODING, LOSS).numpy()
    terms = fcos_terms(output, learnt_boxes(targets), POINTS, LOSS)
    total = sum(float(term.sum()) for term in terms.values())
    task = task_of(boxes())
    num = task.weight(targets)
    assert num == rows[:, -1, 3].sum() > 1
    assert loss_per_point(rows) == pytest.approx(total / num, rel=1e-6)
    assert loss_per_point(rows, (1,)) == pytest.approx(float(terms["giou"].sum()) / num, rel=1e-6)
    assert math.isnan(loss_per_point(rows[:0]))
    assert loss_per_point(rows[2:3]) == pytest.approx(float(terms["focal"][2]), rel=1e-6)
    values = task.row_values(torch.from_numpy(rows), targets, "loss")
    assert float(values[2]) == pytest.approx(-float(terms["focal"][2]), rel=1e-6)
    own = sum(float(term[0]) for term in terms.values()) / rows[0, -1, 3]
    assert float(values[0]) == pytest.approx(-own, rel=1e-6)


def test_a_row_is_as_good_as_its_boxes_that_are_shown() -> None:
    targets = boxes()
    rows = perfect(targets)
    rows[0, 1] = [0, 0, 5, 5, 0.9, 1]  # wrong, instead of the second box
    rows[0, 2, 4] = 0.29  # right, and not shown
    rows[1, 0, 5] = 0  # of another class
    rows[2, 0] = [0, 0, 5, 5, 0.2, 1]  # wrong, and not shown
    rows[4, 0] = [2, 2, 40, 40, 0.9, 2]  # in a crowd
    values = task_of(targets).row_values(
        torch.from_numpy(rows), torch.from_numpy(targets), "average_precision"
    )
    assert values.tolist() == pytest.approx([2 * 1 / (2 + 3), 0, 1, 1, 1, 1])
    rows[2, 0, 4] = 0.31  # now it is shown
    rows[5] = np.array(NO_DETECTION)
    values = task_of(targets).row_values(
        torch.from_numpy(rows), torch.from_numpy(targets), "average_precision_50"
    )
    assert values.tolist() == pytest.approx([0.4, 0, 0, 1, 1, 0])


def test_parts_of_a_batch_add_up_to_its_loss_and_gradient() -> None:
    targets = torch.from_numpy(boxes())
    task = task_of(boxes())
    criterion, weight = task.criterion(TrainSettings()), task.weight(targets)
    assert task.weight(targets[2:3]) == task.weight(targets[4:5]) == 1.0
    found = []
    for ends in ((0, 6), (0, 1, 3, 5, 6)):
        given = outputs().requires_grad_()
        losses = [criterion(given[a:b], targets[a:b], weight) for a, b in pairwise(ends)]
        loss = torch.stack(losses).sum()
        loss.backward()
        assert given.grad is not None
        found.append((float(loss.detach()), given.grad))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0)])
def test_guessing_is_one_answer_for_all_points_of_a_level(alpha: float, gamma: float) -> None:
    """It is what the training loss gives to such an answer, and no other chance costs less."""
    loss = BoxLossSettings(focal_alpha=alpha, focal_gamma=gamma)
    task = task_of(boxes(), box_loss=loss)
    targets = task.of(task.train_rows)
    learnt, weight = learnt_boxes(targets), task.weight(targets)
    given = torch.zeros(len(targets), len(POINTS), K + 5)
    given[:, :, K : K + 4] = usual_sides(learnt)

    def cost(logits: Any) -> float:
        given[:, :, :K] = torch.as_tensor(logits, dtype=torch.float32)
        return float(task.criterion(TrainSettings(box_loss=loss))(given, targets, weight))

    start = np.full(K, -4.0)
    for k in range(K):  # a class costs the same whatever the others' chance is

        def of_one(logit: float, k: int = k) -> float:
            return cost([*start[:k], logit, *start[k + 1 :]])

        start[k] = minimize_scalar(of_one, bounds=(-12, 3), method="bounded").x
    assert task.guessing_loss() == pytest.approx(cost(start), rel=1e-3)
    nothing = task.simpler((Tensor(), task.train_rows), (Tensor(), task.train_rows), Tensor(),
                           np.array([5]))  # fmt: skip
    assert nothing == {
        NOTHING: {
            "loss": task.guessing_loss(), "average_precision": 0.0, "average_precision_50": 0.0,
        }
    }  # fmt: skip


def usual_sides(learnt: Tensor) -> Tensor:
    """For each point the median distances of the foreground points of its level [P, 4]."""
    found: dict[float, list[list[float]]] = {8: [], 16: [], 32: []}
    for own in learnt:
        for place in POINTS.tolist():
            x, y, stride = place
            inside = [box for box in own.tolist() if box[4] >= 0 and stands_for(place, box)]
            if inside:
                box = min(inside, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
                found[stride].append([x - box[0], y - box[1], box[2] - x, box[3] - y])
    assert min(len(found[8]), len(found[16])) > 3
    usual = {s: torch.tensor(rows).median(dim=0).values for s, rows in found.items() if rows}
    return torch.stack([usual.get(stride, torch.ones(4)) for stride in POINTS[:, 2].tolist()])


def test_guessing_without_any_box_costs_next_to_nothing() -> None:
    targets = np.tile(NO_BOX, (3, 1, 1))
    assert task_of(targets, train=(0, 1)).guessing_loss() == pytest.approx(math.log(2), abs=1e-3)


def test_a_record_of_the_task_tells_how_outputs_become_boxes() -> None:
    task = task_of(boxes())
    record = json.loads(json.dumps(task.record()))
    assert record["task"] == "detection"
    assert record["facts"] == {
        "names": ["a", "b", "c"],
        "levels": {"8": [20, 20], "16": [10, 10], "32": [5, 5]},
        "decoding": DECODING.model_dump(),
        "side": SIDE,
    }
    answers = answers_of(record["task"], record["facts"])(outputs())
    assert torch.equal(answers, decoded(outputs()))
    assert answers.dtype == torch.float32
