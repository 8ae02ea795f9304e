"""Outputs to boxes, against plain loops: thresholds, levels, suppression by class, ties."""

import pytest
import torch
from torch import Tensor

from sftcore.models.dense.decoding import Detections, decode
from sftcore.models.dense.points import grid_points
from sftcore.models.dense.settings import DecodingSettings

SIZE = (60, 70)  # cells of 64 × 96 pixels: some lie beyond the border
POINTS = grid_points({8: (8, 12), 16: (4, 6), 32: (2, 3)})
LEVELS = [range(96), range(96, 120), range(120, 126)]


def drawn(num_classes: int, seed: int, num_values: int) -> Tensor:
    """Outputs of two pictures; of few values, so that many scores are equal."""
    torch.manual_seed(seed)
    output = torch.randint(-num_values, num_values, (2, len(POINTS), num_classes + 5)).float()
    output[:, :, -5:-1] = 3 + 25 * torch.rand(2, len(POINTS), 4)
    output[:, :, -5:-1] = output[:, :, -5:-1].round()
    return output / torch.tensor([num_values / 4] * num_classes + [1] * 4 + [num_values / 4])


def overlap(a: list[float], b: list[float]) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(wide, 0) * max(high, 0)
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return both / (sum(areas) - both)


def by_loops(
    rows: Tensor, settings: DecodingSettings
) -> tuple[list[list[float]], list[float], list[int]]:
    num_classes = rows.shape[1] - 5
    chosen: list[tuple[float, int, int, int]] = []
    for level, points in enumerate(LEVELS):
        own = []
        for point in points:
            central = float(torch.sigmoid(rows[point, -1].double()))
            for k in range(num_classes):
                p = float(torch.sigmoid(rows[point, k].double()))
                if p > settings.score_threshold:
                    own.append((-p * central, level, point, k))
        chosen += sorted(own)[: settings.num_candidates]
    boxes: list[list[float]] = []
    scores: list[float] = []
    classes: list[int] = []
    for score, _, point, k in sorted(chosen):
        x, y, _ = POINTS[point].tolist()
        left, up, right, down = rows[point, -5:-1].tolist()
        box = [max(x - left, 0), max(y - up, 0), min(x + right, SIZE[1]), min(y + down, SIZE[0])]
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        if all(
            c != k or overlap(box, other) <= settings.nms_iou
            for c, other in zip(classes, boxes, strict=True)
        ):
            boxes.append(box)
            scores.append(-score)
            classes.append(k)
    most = settings.max_detections
    return boxes[:most], scores[:most], classes[:most]


def assert_same(
    found: Detections, wanted: tuple[list[list[float]], list[float], list[int]]
) -> None:
    boxes, scores, classes = wanted
    assert found.classes.tolist() == classes
    torch.testing.assert_close(found.scores, torch.tensor(scores))
    assert torch.equal(found.boxes, torch.tensor(boxes).reshape(-1, 4))


@pytest.mark.parametrize("num_values", [1, 3, 1000])
@pytest.mark.parametrize(
    "settings",
    [
        DecodingSettings(),
        DecodingSettings(score_threshold=0.5, num_candidates=7, nms_iou=0.3),
        DecodingSettings(score_threshold=0.0, num_candidates=100_000, max_detections=100_000),
        DecodingSettings(score_threshold=0.0, nms_iou=0.0, max_detections=5),
    ],
)
@pytest.mark.parametrize("num_classes", [1, 12])  # 1512 candidates: torchvision goes class by class
def test_boxes_are_those_of_plain_loops(
    num_values: int, settings: DecodingSettings, num_classes: int
) -> None:
    output = drawn(num_classes, seed=num_values, num_values=num_values)
    for found, rows in zip(decode(output, POINTS, SIZE, settings), output, strict=True):
        assert_same(found, by_loops(rows, settings))


def one_box(*outputs: list[float]) -> Tensor:
    """Outputs that are no box but for the first points of the finest level."""
    output = torch.full((1, len(POINTS), 2 + 5), -100.0)
    output[:, :, -5:-1] = 4.0
    for point, values in enumerate(outputs):
        output[0, point] = torch.tensor(values)
    return output


def test_classes_do_not_suppress_each_other() -> None:
    output = one_box([3.0, 2.0, 4, 4, 20, 20, 0.0], [1.0, 1.5, 12, 4, 12, 20, 0.0])
    (found,) = decode(output, POINTS, SIZE, DecodingSettings())
    assert found.classes.tolist() == [0, 1]
    assert found.boxes.tolist() == [[0, 0, 24, 24]] * 2
    wanted = torch.sigmoid(torch.tensor([3.0, 2.0])) / 2
    torch.testing.assert_close(found.scores, wanted)


def test_the_threshold_is_on_the_class_and_the_order_on_its_product_with_centerness() -> None:
    output = one_box([1.0, -100, 4, 4, 4, 4, -5.0], [-1.0, -100, 2, 2, 2, 2, 5.0])
    (found,) = decode(output, POINTS, SIZE, DecodingSettings(score_threshold=0.2))
    assert found.boxes.tolist() == [[10, 2, 14, 6], [0, 0, 8, 8]]
    (found,) = decode(output, POINTS, SIZE, DecodingSettings(score_threshold=0.5))
    assert found.boxes.tolist() == [[0, 0, 8, 8]]


def test_of_two_certain_boxes_the_more_certain_is_kept() -> None:
    output = one_box([20.0, -100, 4, 4, 20, 20, 20.0], [25.0, -100, 12, 4, 14, 20, 25.0])
    (found,) = decode(output, POINTS, SIZE, DecodingSettings())  # float32 has 1 for both
    assert found.boxes.tolist() == [[0, 0, 26, 24]]


def test_a_picture_without_boxes_has_none_and_numbers_out_of_range_do_no_harm() -> None:
    (found,) = decode(one_box(), POINTS, SIZE, DecodingSettings())
    assert (found.boxes.shape, found.scores.shape, found.classes.shape) == ((0, 4), (0,), (0,))
    inf, nan = float("inf"), float("nan")
    output = one_box([9.0, -100, inf, inf, inf, inf, 9.0], [nan, -100, 1, 1, 1, 1, nan])
    (found,) = decode(output.requires_grad_(), POINTS, SIZE, DecodingSettings())
    assert found.boxes.tolist() == [[0, 0, 70, 60]]
    assert not found.boxes.requires_grad


def test_boxes_do_not_depend_on_the_other_pictures_of_a_batch() -> None:
    output = drawn(3, seed=9, num_values=2)
    settings = DecodingSettings()
    both = decode(output, POINTS, SIZE, settings)
    for number in range(2):
        (alone,) = decode(output[number : number + 1], POINTS, SIZE, settings)
        assert torch.equal(alone.boxes, both[number].boxes)
        assert torch.equal(alone.scores, both[number].scores)
