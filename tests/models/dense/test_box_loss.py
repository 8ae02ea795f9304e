"""Points, their boxes and what they cost, against loops in double precision and torchvision."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.fcos import FCOS, FCOSHead

from sftcore.models.dense.box_loss import (
    boxes_at,
    centerness,
    fcos_sum,
    fcos_terms,
    focal_rows,
    giou_costs,
    num_foreground,
)
from sftcore.models.dense.points import assign, grid_points
from sftcore.models.dense.settings import BoxLossSettings

CLASSES = 3
SIZES = {8: (16, 20), 16: (8, 10), 32: (4, 5)}  # of pictures of 128 × 160 pixels
POINTS = grid_points(SIZES)
SETTINGS = BoxLossSettings()


def drawn_boxes(counts: list[int], seed: int, step: float = 0.0) -> Tensor:
    """Boxes of pictures with so many of them, between rows that are none; multiples of a step."""
    torch.manual_seed(seed)
    rows = torch.zeros(len(counts), max(counts) + 2, 5)
    rows[:, :, :4] = torch.tensor([5.0, 5, 100, 90])
    rows[:, :, 4] = -1
    for picture, count in enumerate(counts):
        corner = torch.rand(count, 2) * torch.tensor([140.0, 110])
        size = 4 + 220 * torch.rand(count, 2) ** 2
        boxes = torch.cat([corner, corner + size], dim=1)
        rows[picture, 1 : count + 1, :4] = (boxes / step).round() * step if step else boxes
        rows[picture, 1 : count + 1, 4] = torch.randint(0, CLASSES, (count,)).float()
    return rows


def drawn_output(rows: int, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    output = torch.randn(rows, len(POINTS), CLASSES + 5)
    output[:, :, -5:-1] = POINTS[:, 2:] * output[:, :, -5:-1].exp()
    return output


def assigned_by_loops(rows: Tensor, radius: float) -> list[int]:
    """The row of each point's box, -1 for none."""
    chosen = []
    for x, y, s in POINTS.tolist():
        best, best_area = -1, float("inf")
        for number, (x0, y0, x1, y1, label) in enumerate(rows.tolist()):
            sides = (x - x0, y - y0, x1 - x, y1 - y)
            near = max(abs(x - (x0 + x1) / 2), abs(y - (y0 + y1) / 2)) < radius * s or radius == 0
            low, high = {8: (0, 64), 16: (64, 128), 32: (128, float("inf"))}[int(s)]
            fits = label >= 0 and min(sides) > 0 and near and low < max(sides) <= high
            area = (x1 - x0) * (y1 - y0)
            if fits and area < best_area:
                best, best_area = number, area
        chosen.append(best)
    return chosen


@pytest.mark.parametrize("radius", [1.5, 0.0, 0.5])
@pytest.mark.parametrize("step", [0.0, 4.0])  # whole steps lie on borders and have equal areas
def test_points_stand_for_the_boxes_that_the_paper_says(radius: float, step: float) -> None:
    targets = drawn_boxes([20, 1, 0, 45], seed=3, step=step)
    found = assign(POINTS, targets, radius)
    kinds: set[int] = set()
    for picture, rows in enumerate(targets):
        for point, number in enumerate(assigned_by_loops(rows, radius)):
            kind, box = int(found.classes[picture, point]), found.boxes[picture, point]
            if number < 0:
                assert kind == -1
                assert not box.any()
            else:
                assert kind == int(rows[number, 4])
                assert torch.equal(box, rows[number, :4])
                kinds.add(int(POINTS[point, 2]))
    assert kinds == {8, 16, 32} or radius == 0.5


def test_each_size_belongs_to_one_level_and_borders_to_the_finer_one() -> None:
    x, y, _ = POINTS[0].tolist()  # (4, 4): 64 pixels from its farthest side
    targets = torch.tensor([[[x - 1, y - 1, x + 64, y + 1, 0.0]]])
    assert int(assign(POINTS, targets, 0.0).classes[0, 0]) == 0
    targets[0, 0, 2] += 0.01
    assert int(assign(POINTS, targets, 0.0).classes[0, 0]) == -1


def test_of_equal_boxes_the_first_is_taken_and_none_needs_to_be() -> None:
    box = [8.0, 8, 40, 40]
    both = torch.tensor([[[*box, 2], [*box, 1]]])
    classes = assign(POINTS, both, 1.5).classes
    assert set(classes.unique().tolist()) == {-1, 2}
    assert set(assign(POINTS, both.flip(1), 1.5).classes.unique().tolist()) == {-1, 1}
    nothing = assign(POINTS, torch.zeros(2, 0, 5), 1.5)
    assert nothing.classes.shape == (2, len(POINTS))
    assert not nothing.is_foreground.any()
    flat = torch.tensor([[[8.0, 8, 8, 40, 0], [8.0, 8, 8, 8, 1]]])
    assert not assign(POINTS, flat, 1.5).is_foreground.any()


def by_torchvision(output: Tensor, targets: Tensor) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Its three losses, each a mean over the foreground, and the boxes' rows by point."""
    kept: list[Tensor] = []
    head = FCOSHead(32, 1, CLASSES, 1)

    def compute_loss(*arguments: Any) -> dict[str, Tensor]:
        kept.extend(arguments[-1])
        return head.compute_loss(*arguments)

    half = POINTS[:, 2:] / 2
    anchors = [torch.cat([POINTS[:, :2] - half, POINTS[:, :2] + half], dim=1)] * len(targets)
    boxes = [rows[rows[:, 4] >= 0] for rows in targets]
    detector: Any = SimpleNamespace(compute_loss=compute_loss)
    detector = SimpleNamespace(center_sampling_radius=1.5, head=detector)
    losses = FCOS.compute_loss(
        detector,
        [{"boxes": rows[:, :4], "labels": rows[:, 4].long()} for rows in boxes],
        {
            "cls_logits": output[:, :, :-5],
            "bbox_regression": output[:, :, -5:-1] / POINTS[:, 2:],
            "bbox_ctrness": output[:, :, -1:],
        },
        anchors,
        [height * width for height, width in SIZES.values()],
    )
    return losses, kept


def test_sums_over_the_weight_are_torchvisions_means_for_a_whole_batch() -> None:
    targets, output = drawn_boxes([20, 1, 0, 45], seed=4), drawn_output(4)
    losses, rows = by_torchvision(output, targets)
    assigned = assign(POINTS, targets, 1.5)
    for picture, own in enumerate(targets):
        real = own[own[:, 4] >= 0]
        for point, number in enumerate(rows[picture].tolist()):
            expected = int(real[number, 4]) if number >= 0 else -1
            assert int(assigned.classes[picture, point]) == expected
    weight = num_foreground(targets, POINTS, SETTINGS)
    assert weight == sum(int((own >= 0).sum()) for own in rows) > 20
    terms = fcos_terms(output, targets, POINTS, SETTINGS)
    means = {name: float(value.sum()) / weight for name, value in terms.items()}
    assert means["focal"] == pytest.approx(float(losses["classification"]), rel=1e-5)
    assert means["giou"] == pytest.approx(float(losses["bbox_regression"]), rel=1e-5)
    assert means["centerness"] == pytest.approx(float(losses["bbox_ctrness"]), rel=1e-5)
    whole = fcos_sum(output, targets, POINTS, SETTINGS)
    assert float(whole) / weight == pytest.approx(sum(means.values()), rel=1e-5)


def gradient(loss: Tensor, output: Tensor) -> Tensor:
    return torch.autograd.grad(loss, output)[0]


def test_parts_of_a_batch_add_up_to_it_and_means_of_parts_do_not() -> None:
    targets, output = drawn_boxes([20, 1, 0, 45], seed=5), drawn_output(4).requires_grad_()
    weight = num_foreground(targets, POINTS, SETTINGS)
    parts = [slice(0, 1), slice(1, 3), slice(3, 4)]
    counts = [num_foreground(targets[part], POINTS, SETTINGS) for part in parts]
    assert len(set(counts)) == 3
    whole = gradient(fcos_sum(output, targets, POINTS, SETTINGS) / weight, output)
    added = sum(
        gradient(fcos_sum(output[part], targets[part], POINTS, SETTINGS) / weight, output)
        for part in parts
    )
    torch.testing.assert_close(added, whole)
    theirs = gradient(torch.stack(list(by_torchvision(output, targets)[0].values())).sum(), output)
    torch.testing.assert_close(theirs, whole, rtol=1e-4, atol=1e-7)
    means = sum(
        gradient(torch.stack(list(by_torchvision(output[p], targets[p])[0].values())).sum(), output)
        for p in parts
    )
    assert isinstance(means, Tensor)
    assert float((means / 3 - whole).norm() / whole.norm()) > 0.3


def terms_by_loops(output: Tensor, targets: Tensor) -> list[list[Tensor]]:
    """Focal, GIoU and centre-ness of each picture by their formulas, float64."""
    found = []
    for picture, rows in enumerate(targets):
        focal, giou, central = (torch.zeros((), dtype=torch.float64) for _ in range(3))
        for point, number in enumerate(assigned_by_loops(rows, 1.5)):
            own = output[picture, point].double()
            x, y, _ = POINTS[point].double()
            label = int(rows[number, 4]) if number >= 0 else -1
            for k in range(CLASSES):
                p = 1 / (1 + torch.exp(-own[k]))
                if k == label:
                    focal = focal - 0.25 * (1 - p) ** 2 * torch.log(p)
                else:
                    focal = focal - 0.75 * p**2 * torch.log(1 - p)
            if number < 0:
                continue
            a0, b0, a1, b1 = x - own[-5], y - own[-4], x + own[-3], y + own[-2]
            c0, d0, c1, d1 = rows[number, :4].double()
            wide = torch.clamp(torch.min(a1, c1) - torch.max(a0, c0), min=0)
            high = torch.clamp(torch.min(b1, d1) - torch.max(b0, d0), min=0)
            union = (a1 - a0) * (b1 - b0) + (c1 - c0) * (d1 - d0) - wide * high
            hull = (torch.max(a1, c1) - torch.min(a0, c0)) * (torch.max(b1, d1) - torch.min(b0, d0))
            giou = giou + 1 - (wide * high / union - (hull - union) / hull)
            across, along = sorted((x - c0, c1 - x)), sorted((y - d0, d1 - y))
            t = torch.sqrt(across[0] / across[1] * along[0] / along[1])
            q = 1 / (1 + torch.exp(-own[-1]))
            central = central - t * torch.log(q) - (1 - t) * torch.log(1 - q)
        found.append([focal, giou, central])
    return found


def test_the_terms_of_each_picture_are_their_formulas() -> None:
    targets, output = drawn_boxes([6, 0], seed=6), drawn_output(2).requires_grad_()
    terms = fcos_terms(output, targets, POINTS, SETTINGS)
    wanted = terms_by_loops(output, targets)
    assert list(terms) == ["focal", "giou", "centerness"]
    for number, values in enumerate(terms.values()):
        expected = torch.stack([picture[number] for picture in wanted])
        torch.testing.assert_close(values, expected.float(), rtol=2e-5, atol=1e-6)
        if number:
            assert float(values[0].detach()) > 1
            assert float(values[1].detach()) == 0
    loss = fcos_sum(output, targets, POINTS, SETTINGS)
    total = torch.stack([torch.stack(picture) for picture in wanted]).sum()
    torch.testing.assert_close(
        gradient(loss, output), gradient(total, output), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.9, 1.0)])
def test_focal_loss_obeys_its_settings(alpha: float, gamma: float) -> None:
    torch.manual_seed(0)
    logits, classes = 3 * torch.randn(2, 7, CLASSES), torch.randint(-1, CLASSES, (2, 7))
    settings = BoxLossSettings(focal_alpha=alpha, focal_gamma=gamma)
    wanted = torch.zeros(2, dtype=torch.float64)
    for b in range(2):
        for i in range(7):
            for k in range(CLASSES):
                p = torch.sigmoid(logits[b, i, k].double())
                is_there = int(classes[b, i]) == k
                right, share = (p, alpha) if is_there else (1 - p, 1 - alpha)
                wanted[b] -= share * (1 - right) ** gamma * torch.log(right)
    torch.testing.assert_close(focal_rows(logits, classes, settings), wanted.float())


def test_known_overlaps_and_centres() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4]] * 3)
    others = torch.tensor([[0.0, 0, 4, 4], [4.0, 4, 8, 8], [0.0, 0, 4, 2]])
    torch.testing.assert_close(giou_costs(others, boxes), torch.tensor([0.0, 1.5, 0.5]))
    points = torch.tensor([[2.0, 2, 8], [1, 2, 8], [1, 1, 8]])
    torch.testing.assert_close(
        centerness(points, boxes), torch.tensor([1.0, (1 / 3) ** 0.5, 1 / 3])
    )
    sides = torch.tensor([[1.0, 2, 3, 4]])
    assert boxes_at(points[:1], sides).tolist() == [[1.0, 0.0, 5.0, 6.0]]


def test_rows_that_are_no_boxes_change_no_bit() -> None:
    targets, output = drawn_boxes([9, 2], seed=7), drawn_output(2).requires_grad_()
    some = torch.tensor([[[0.0, 0, 30, 30, -1], [9e9, -9e9, 3, 3, -1]]]).expand(2, -1, -1)
    wider = torch.cat([some, targets, some], dim=1)
    assert num_foreground(wider, POINTS, SETTINGS) == num_foreground(targets, POINTS, SETTINGS)
    found, wanted = (fcos_sum(output, rows, POINTS, SETTINGS) for rows in (wider, targets))
    assert torch.equal(found, wanted)
    assert torch.equal(gradient(found, output), gradient(wanted, output))


@pytest.mark.parametrize("num_rows", [0, 3])
def test_a_batch_without_boxes_pulls_classes_down_and_nothing_else(num_rows: int) -> None:
    targets = torch.full((2, num_rows, 5), -1.0)
    output = drawn_output(2).requires_grad_()
    assert num_foreground(targets, POINTS, SETTINGS) == 1
    found = gradient(fcos_sum(output, targets, POINTS, SETTINGS), output)
    assert (found[:, :, :CLASSES] > 0).all()
    assert not found[:, :, CLASSES:].any()


def test_losses_are_of_float32_whatever_the_output_is() -> None:
    targets, output = drawn_boxes([9, 2], seed=8), drawn_output(2).bfloat16()
    short, long = (fcos_terms(each, targets, POINTS, SETTINGS) for each in (output, output.float()))
    for name, values in short.items():
        assert values.dtype == torch.float32
        assert torch.equal(values, long[name])
