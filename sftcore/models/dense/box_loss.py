"""The loss of FCOS: focal, GIoU and centre-ness, as sums, in float32.

The weight of a batch, which its loss is divided by, is :func:`num_foreground`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sftcore.models.dense.points import Assigned, assign
from sftcore.models.dense.settings import BoxLossSettings


def num_foreground(targets: Tensor, points: Tensor, settings: BoxLossSettings) -> float:
    """Points that stand for a box, at least one: what the loss of a batch is divided by.

    Args:
        targets: boxes [B, M, 5]; see :mod:`sftcore.models.dense.points`.
        points: x, y and stride [P, 3].
        settings: of the assignment.
    """
    assigned = assign(points, targets, settings.center_radius)
    return max(1.0, float(assigned.is_foreground.sum()))


def focal_rows(logits: Tensor, classes: Tensor, settings: BoxLossSettings) -> Tensor:
    """Focal loss of each picture (Lin et al., 2017, Focal loss for dense object detection, eq. 5).

    Args:
        logits: of each class by itself [B, P, K].
        classes: int64 [B, P]; below zero where none is there.
        settings: α and γ.

    Returns:
        Sums over points and classes [B].
    """
    from torchvision.ops import sigmoid_focal_loss

    numbers = torch.arange(logits.shape[2], device=logits.device)
    wanted = (classes[:, :, None] == numbers).float()
    costs = sigmoid_focal_loss(
        logits.float(), wanted, alpha=settings.focal_alpha, gamma=settings.focal_gamma
    )
    return costs.sum(dim=(1, 2))


def giou_costs(predicted: Tensor, boxes: Tensor) -> Tensor:
    """``1 − GIoU`` of boxes [N, 4] with boxes [N, 4] (Rezatofighi et al., 2019, algorithm 1), [N].

    Up to 10⁻⁷ px², which torchvision adds to areas.
    """
    from torchvision.ops import generalized_box_iou_loss

    return generalized_box_iou_loss(predicted.float(), boxes.float())


def centerness(points: Tensor, boxes: Tensor) -> Tensor:
    """How central points lie in boxes, ``√(min(l,r)/max(l,r) · min(t,b)/max(t,b))``, in (0, 1].

    (Tian et al., 2019, FCOS, eq. 3.)

    Args:
        points: x, y (and stride) [N, 3], strictly inside.
        boxes: [N, 4].
    """
    before, behind = points[:, :2] - boxes[:, :2], boxes[:, 2:] - points[:, :2]
    ratios = torch.minimum(before, behind) / torch.maximum(before, behind)
    return ratios.prod(dim=1).sqrt()


def centerness_costs(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy of logits [N] against centre-ness [N], in nats, [N]."""
    return F.binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none")


def boxes_at(points: Tensor, sides: Tensor) -> Tensor:
    """Boxes [..., 4] whose sides [..., 4] are so many pixels left, up, right and down of points."""
    return torch.cat([points[..., :2] - sides[..., :2], points[..., :2] + sides[..., 2:]], dim=-1)


def fcos_terms(
    output: Tensor, targets: Tensor, points: Tensor, settings: BoxLossSettings
) -> dict[str, Tensor]:
    """The three parts of the loss of each picture (Tian et al., 2019, FCOS, eq. 2), undivided.

    Args:
        output: [B, P, K + 5]; see :class:`sftcore.models.dense.detection.DetectionHead`.
        targets: boxes [B, M, 5]; see :mod:`sftcore.models.dense.points`.
        points: x, y and stride [P, 3].
        settings: of the loss.

    Returns:
        ``focal``, ``giou`` and ``centerness``, each [B].
    """
    assigned = assign(points, targets, settings.center_radius)
    mask = assigned.is_foreground
    own_points = points.expand(len(output), -1, -1)[mask]
    own_boxes, own = assigned.boxes[mask], output[mask]
    overlap = giou_costs(boxes_at(own_points, own[:, -5:-1]), own_boxes)
    central = centerness_costs(own[:, -1], centerness(own_points, own_boxes))
    return {
        "focal": focal_rows(output[:, :, :-5], assigned.classes, settings),
        "giou": _row_sums(overlap, assigned),
        "centerness": _row_sums(central, assigned),
    }


def _row_sums(costs: Tensor, assigned: Assigned) -> Tensor:
    """Sums [B] of what the foreground points cost [N]."""
    mask = assigned.is_foreground
    placed = costs.new_zeros(mask.shape)
    placed[mask] = costs
    return placed.sum(dim=1)


def fcos_sum(output: Tensor, targets: Tensor, points: Tensor, settings: BoxLossSettings) -> Tensor:
    """All of it over all pictures, a scalar; see :func:`fcos_terms`."""
    terms = fcos_terms(output, targets, points, settings)
    return torch.stack(list(terms.values())).sum()
