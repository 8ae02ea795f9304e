"""The head of object detection: at each point of a pyramid classes, a box and its centre-ness."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sftcore.models.dense.maps import Maps
from sftcore.models.dense.points import grid_points
from sftcore.models.dense.pyramid import Pyramid, group_norm, pyramid_strides
from sftcore.models.dense.settings import DetectionHeadSettings


class DetectionHead(nn.Module):
    """FCOS (Tian et al., 2019, FCOS: Fully convolutional one-stage object detection).

    Two towers, of classes and of boxes, are shared by all levels; centre-ness goes with the boxes,
    as in the authors' later version. The four sides of a box are ``stride · exp(s·x)`` pixels from
    the point, with a factor s for each level (section 3.2). The bias of the classes is
    ``−log((1 − p)/p)`` for the prior p (Lin et al., 2017, Focal loss, section 4.1).

    Args:
        settings: of the head.
        channels: of the backbone's maps, by stride, from the finest that is taken to 32.
        num_classes: K.
    """

    def __init__(
        self, settings: DetectionHeadSettings, channels: Mapping[int, int], num_classes: int
    ) -> None:
        from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSRegressionHead

        super().__init__()
        strides = pyramid_strides(settings.finest_stride, settings.coarsest_stride)
        width, count = settings.width, settings.num_convs
        self.pyramid = Pyramid(channels, width, strides)
        self.classes = FCOSClassificationHead(
            width, 1, num_classes, count, settings.prior, norm_layer=group_norm
        )
        self.boxes = FCOSRegressionHead(width, 1, count, norm_layer=group_norm)
        self.scales = nn.Parameter(torch.ones(len(strides)))

    def forward(self, maps: Maps) -> Tensor:
        """For each point K logits, four distances and the logit of centre-ness.

        Returns:
            [B, P, K + 5], float32. Distances are pixels from the point to the left, upper, right
            and lower side, above zero. Points are those of :meth:`points`.
        """
        levels = self.pyramid(maps)
        sides, centerness = [], []
        for scale, (stride, level) in zip(self.scales, levels.items(), strict=True):
            tower = self.boxes.conv(level)
            raw = _by_point(self.boxes.bbox_reg(tower)).float()  # exp overflows a short type
            sides.append(stride * torch.exp(scale * raw))
            centerness.append(_by_point(self.boxes.bbox_ctrness(tower)).float())
        logits = self.classes(list(levels.tensors)).float()
        return torch.cat([logits, torch.cat(sides, dim=1), torch.cat(centerness, dim=1)], dim=2)

    def points(self, maps: Maps) -> Tensor:
        """Where the outputs for such maps are: x, y and stride of each point in pixels, [P, 3]."""
        return grid_points(self.pyramid.sizes(maps), maps.device)


def _by_point(level: Tensor) -> Tensor:
    """[B, C, H, W] to [B, H·W, C]."""
    return level.flatten(2).transpose(1, 2)
