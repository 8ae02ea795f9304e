"""Backbone, head, loss and decoding together learn a few pictures by heart."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sftcore.models.backbones import build_backbone
from sftcore.models.dense.box_loss import centerness, centerness_costs, fcos_sum, num_foreground
from sftcore.models.dense.decoding import Detections, decode
from sftcore.models.dense.detection import DetectionHead
from sftcore.models.dense.pixel_loss import num_labelled, pixel_loss_sum
from sftcore.models.dense.points import assign
from sftcore.models.dense.resampling import upsample
from sftcore.models.dense.segmentation import build_segmentation_head
from sftcore.models.dense.settings import (
    BoxLossSettings,
    DecodingSettings,
    DetectionHeadSettings,
    PixelLossSettings,
    SegmentationHeadSettings,
)
from sftcore.models.dense.taps import Taps, find_taps

SIDE = 64
BACKBONE = "timm/test_efficientnet"


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Four pictures of bright bars and dark discs on noise, their masks and their boxes."""
    torch.manual_seed(0)
    pictures = 0.3 * torch.randn(4, 3, SIDE, SIDE)
    masks = torch.zeros(4, SIDE, SIDE, dtype=torch.uint8)
    boxes = torch.full((4, 3, 5), -1.0)
    y, x = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    for number in range(4):
        left, up, radius = 4 + 4 * number, 34 - 3 * number, 8 + 2 * number
        bar = (x > left) & (x < left + 24) & (y > up) & (y < up + 16)
        disc = (x - 44) ** 2 + (y - radius - 2) ** 2 < radius**2
        for label, shape, shade in ((1, bar, 1.5), (2, disc & ~bar, -1.5)):
            pictures[number, :, shape] += shade
            masks[number, shape] = label
        boxes[number, 0] = torch.tensor([left, up, left + 24, up + 16, 0.0])
        boxes[number, 1] = torch.tensor([44 - radius, 2, 44 + radius, 2 + 2 * radius, 1.0])
    return pictures, masks, boxes


def started() -> tuple[nn.Module, Taps]:
    torch.manual_seed(1)
    module = build_backbone(BACKBONE, SIDE).module
    return module, find_taps(module)


def mask_iou(predicted: Tensor, labels: Tensor) -> float:
    found = []
    for k in range(3):
        both, either = (predicted == k) & (labels == k), (predicted == k) | (labels == k)
        found.append(float(both.sum()) / float(either.sum()))
    return sum(found) / len(found)


def average_precision(found: list[Detections], boxes: Tensor, label: int) -> float:
    """AP50 of a class: area under precision, made to descend, over recall."""
    guesses = sorted(
        (
            (-float(score), number, box.tolist())
            for number, each in enumerate(found)
            for box, score, kind in zip(each.boxes, each.scores, each.classes, strict=True)
            if int(kind) == label
        ),
    )
    taken: set[int] = set()
    hits: list[bool] = []
    for _, number, (x0, y0, x1, y1) in guesses:
        (own,) = [row.tolist() for row in boxes[number] if int(row[4]) == label]
        both = max(0, min(x1, own[2]) - max(x0, own[0])) * max(0, min(y1, own[3]) - max(y0, own[1]))
        union = (x1 - x0) * (y1 - y0) + (own[2] - own[0]) * (own[3] - own[1]) - both
        hits.append(both / union > 0.5 and number not in taken)
        taken |= {number} if hits[-1] else set()
    precisions = [sum(hits[: n + 1]) / (n + 1) for n in range(len(hits))]
    return sum(max(precisions[n:]) / len(boxes) for n in range(len(hits)) if hits[n])


def learnt(loss_of: Callable[[], Tensor], parts: list[nn.Module], num_steps: int) -> list[float]:
    """The loss before each update; the parts are left in evaluation mode."""
    parameters = [each for part in parts for each in part.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=5e-3)
    losses = []
    for _ in range(num_steps):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    for part in parts:
        part.eval()
    return losses


@pytest.mark.parametrize(("kind", "dice"), [("fpn", 0.0), ("unet", 1.0)])
def test_masks_are_learnt_by_heart(kind: str, dice: float) -> None:
    pictures, masks, _ = drawn()
    module, taps = started()
    settings = SegmentationHeadSettings(kind=kind, width=32, finest_stride=4)  # type: ignore[arg-type]
    head = build_segmentation_head(settings, taps.channels, 3)
    weight, loss_settings = num_labelled(masks), PixelLossSettings(dice=dice)

    def loss() -> Tensor:
        return pixel_loss_sum(head(taps.maps(pictures)), masks, loss_settings) / weight

    losses = learnt(loss, [module, head], num_steps=60)
    assert losses[-1] < losses[0] / 10
    with torch.no_grad():
        predicted = upsample(head(taps.maps(pictures)), (SIDE, SIDE)).argmax(dim=1)
    assert mask_iou(predicted, masks) > 0.9


def test_boxes_are_learnt_by_heart() -> None:
    pictures, _, boxes = drawn()
    module, taps = started()
    head = DetectionHead(DetectionHeadSettings(width=32, num_convs=1), taps.channels, 2)
    points, settings = head.points(taps.maps(pictures)), BoxLossSettings()
    weight = num_foreground(boxes, points, settings)

    def loss() -> Tensor:
        return fcos_sum(head(taps.maps(pictures)), boxes, points, settings) / weight

    losses = learnt(loss, [module, head], num_steps=90)
    assigned = assign(points, boxes, settings.center_radius)
    where = assigned.is_foreground
    wanted = centerness(points.expand(4, -1, -1)[where], assigned.boxes[where])
    least = float(centerness_costs(wanted.logit(eps=1e-6), wanted).sum()) / weight  # of any output
    assert 0 < losses[-1] - least < (losses[0] - least) / 10
    with torch.no_grad():
        found = decode(head(taps.maps(pictures)), points, (SIDE, SIDE), DecodingSettings())
    for label in range(2):
        assert average_precision(found, boxes, label) > 0.9
