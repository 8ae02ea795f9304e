"""Heads of semantic segmentation: maps of a backbone to logits [B, K, h, w].

Their logits have the stride of the finest map that they take. They are brought to the size of the
labels by :func:`sftcore.models.dense.resampling.upsample`, for the loss and for predictions alike.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sftcore.models.dense.maps import Maps
from sftcore.models.dense.pyramid import Pyramid, conv_norm_relu, pyramid_strides
from sftcore.models.dense.resampling import upsample
from sftcore.models.dense.settings import FPN, LINEAR, UNET, SegmentationHeadSettings


class SemanticFPN(nn.Module):
    """Every level of a pyramid is brought to the finest one, and all are added.

    A level has one convolution for each doubling on its way, the finest one a single convolution
    (Kirillov et al., 2019, Panoptic feature pyramid networks, section 3). There the convolutions
    have half of the pyramid's width, here all of it.
    """

    def __init__(
        self, channels: Mapping[int, int], width: int, finest: int, num_classes: int
    ) -> None:
        super().__init__()
        self.strides = pyramid_strides(finest)
        self.pyramid = Pyramid(channels, width, self.strides)
        self.branches = nn.ModuleList(
            nn.ModuleList(conv_norm_relu(width, width) for _ in range(max(1, number)))
            for number in range(len(self.strides))
        )
        self.classifier = nn.Conv2d(width, num_classes, kernel_size=1)

    def forward(self, maps: Maps) -> Tensor:
        """Logits [B, K, h, w] at the finest stride."""
        levels = self.pyramid(maps)
        sizes = list(levels.sizes.values())
        total: Tensor | None = None
        for number, branch in enumerate(self.branches):
            x = levels.tensors[number]
            for place, block in enumerate(branch.children()):
                x = upsample(block(x), sizes[max(0, number - 1 - place)])
            total = x if total is None else total + x
        return self.classifier(total)


class UNetDecoder(nn.Module):
    """From the coarsest map on: upsample, lay the next finer map beside, two convolutions.

    (Ronneberger et al., 2015, U-Net, section 2.) The width halves from level to level, down to
    ``width`` at the finest. Maps are upsampled bilinearly and padded, so none is cropped.
    """

    def __init__(
        self, channels: Mapping[int, int], width: int, finest: int, num_classes: int
    ) -> None:
        super().__init__()
        self.strides = pyramid_strides(finest)
        self.steps = nn.ModuleList()
        below = channels[self.strides[-1]]
        for stride in self.strides[-2::-1]:
            own = width * stride // finest
            first = conv_norm_relu(below + channels[stride], own)
            self.steps.append(nn.Sequential(first, conv_norm_relu(own, own)))
            below = own
        self.classifier = nn.Conv2d(below, num_classes, kernel_size=1)

    def forward(self, maps: Maps) -> Tensor:
        """Logits [B, K, h, w] at the finest stride."""
        x = maps[self.strides[-1]]
        for stride, step in zip(self.strides[-2::-1], self.steps, strict=True):
            x = step(torch.cat([upsample(x, maps.sizes[stride]), maps[stride]], dim=1))
        return self.classifier(x)


class LinearDecoder(nn.Module):
    """One linear map from all maps of a place, the coarser ones upsampled, to its logits.

    With the finest stride 32 it sees the last map alone.
    """

    def __init__(self, channels: Mapping[int, int], finest: int, num_classes: int) -> None:
        super().__init__()
        self.strides = pyramid_strides(finest)
        total = sum(channels[stride] for stride in self.strides)
        self.classifier = nn.Conv2d(total, num_classes, kernel_size=1)

    def forward(self, maps: Maps) -> Tensor:
        """Logits [B, K, h, w] at the finest stride."""
        size = maps.sizes[self.strides[0]]
        columns = [upsample(maps[stride], size) for stride in self.strides]
        return self.classifier(torch.cat(columns, dim=1))


def build_segmentation_head(
    settings: SegmentationHeadSettings, channels: Mapping[int, int], num_classes: int
) -> nn.Module:
    """A head with random parameters from torch's global stream.

    Args:
        settings: of the head.
        channels: of the backbone's maps, by stride, from the finest that is taken to 32.
        num_classes: K.
    """
    finest = settings.finest_stride
    if settings.kind == LINEAR:
        return LinearDecoder(channels, finest, num_classes)
    kinds = {FPN: SemanticFPN, UNET: UNetDecoder}
    return kinds[settings.kind](channels, settings.width, finest, num_classes)
