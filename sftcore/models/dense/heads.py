"""A network's head for masks or boxes, and the backbone that it takes its maps from."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sftcore.models.dense.detection import DetectionHead
from sftcore.models.dense.maps import Maps
from sftcore.models.dense.segmentation import build_segmentation_head
from sftcore.models.dense.settings import DetectionHeadSettings, SegmentationHeadSettings
from sftcore.models.dense.taps import STRIDES, Taps
from sftcore.models.dense.whole import sized
from sftcore.models.segments import Segment

DenseSettings = SegmentationHeadSettings | DetectionHeadSettings
_OF_TARGET: Mapping[str, type[DenseSettings]] = {
    "masks": SegmentationHeadSettings,
    "boxes": DetectionHeadSettings,
}


class DenseHead(nn.Module):
    """Dropout of whole channels (Tompson et al., 2015, SpatialDropout), and a head on maps.

    Args:
        settings: of the head.
        channels: of the backbone's maps, by stride.
        num_classes: K.
        dropout: probability of zeroing a channel of a map.
    """

    def __init__(
        self,
        settings: DenseSettings,
        channels: Mapping[int, int],
        num_classes: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.strides = tuple(channels)
        self.dropout = nn.Dropout2d(dropout)
        self.inner: Any
        if isinstance(settings, DetectionHeadSettings):
            self.inner = DetectionHead(settings, channels, num_classes)
        else:
            self.inner = build_segmentation_head(settings, channels, num_classes)

    def forward(self, maps: Maps) -> Tensor:
        """What the inner head makes of maps, also of those alone that a backbone has."""
        return self.inner(sized(maps, self.strides).each(self.dropout))


def head_settings(target: str, fields: Mapping[str, Any]) -> DenseSettings | None:
    """Settings of a head, of the fields that a model's record holds; None of other targets.

    Args:
        target: of the store.
        fields: by name.
    """
    return _OF_TARGET[target].model_validate(dict(fields)) if target in _OF_TARGET else None


def wanted_strides(settings: DenseSettings) -> tuple[int, ...]:
    """Strides of the maps that a head takes, ascending."""
    return tuple(stride for stride in STRIDES if stride >= settings.finest_stride)


def drop_unused(backbone: nn.Module, taps: Taps, side: int) -> None:
    """Take out of a backbone what has no part in its maps, such as the last convolution.

    Else it would be counted among the blocks, penalised, and kept in every file.

    Args:
        backbone: of these taps, which are to be looked for again.
        taps: of the backbone.
        side: of the pictures in pixels.
    """
    gone: list[str] = []
    for name in taps.idle_modules(backbone, side):
        if not any(name.startswith(f"{outer}.") for outer in gone):
            backbone.set_submodule(name, nn.Identity())
            gone.append(name)


def segments_of(taps: Taps) -> list[Segment]:
    """The steps of a backbone that gives maps, each from maps to maps."""
    return [
        Segment(segment.name, segment.prefixes, partial(_step, taps=taps, number=number))
        for number, segment in enumerate(taps.segments)
    ]


def _step(inputs: Tensor | Maps, taps: Taps, number: int) -> Maps:
    maps = inputs if isinstance(inputs, Maps) else Maps((1,), (inputs,))
    return taps.run(maps, number, number + 1)


@torch.no_grad()
def level_sizes(head: DenseHead, maps: Maps) -> dict[int, tuple[int, int]]:
    """Rows and columns of a detector's levels, by stride.

    Args:
        head: of a detector.
        maps: of any picture of the size that is meant.
    """
    return dict(head.inner.pyramid.sizes(maps))
