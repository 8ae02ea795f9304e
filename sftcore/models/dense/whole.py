"""Maps of a timm backbone that is run as a whole: of every family that gives its inner maps.

Such a network is not entered between its blocks, so what is frozen of it is computed again in each
update, unless all of it is frozen.

A vision transformer has maps of one stride. Its last one serves for every other, which Li et al.
(2022, Exploring plain vision transformer backbones for object detection, section 3) found to be
enough. There learnt convolutions bring it to the other sizes; here it is upsampled or averaged, and
what is learnt comes in the head. The same is done for any stride that a family lacks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sftcore.foundations.errors import WeightsError
from sftcore.models.dense.maps import Maps
from sftcore.models.dense.resampling import upsample
from sftcore.models.segments import Segment


class WholeBackbone:
    """A backbone as one step from pictures to the wanted maps.

    Args:
        backbone: of timm, in evaluation mode, with ``forward_intermediates``.
        strides: that are wanted, ascending powers of two.
        side: of the pictures in pixels.

    Attributes:
        channels: of each wanted map, by stride.

    Raises:
        WeightsError: its maps lie at steps that are no powers of two.
    """

    def __init__(self, backbone: Any, strides: Sequence[int], side: int) -> None:
        self._backbone, self._strides = backbone, tuple(strides)
        self._options: dict[str, Any] = {"intermediates_only": True, "norm": True}
        picture = torch.zeros(1, 3, side, side, device=next(backbone.parameters()).device)
        with torch.no_grad():
            maps = self._find(picture)
        own = [side // each.shape[2] for each in maps]
        declared = [each["reduction"] for each in list(backbone.feature_info)]
        if own != declared or any(stride & (stride - 1) for stride in own):
            sides = sorted({each.shape[2] for each in maps}, reverse=True)
            raise WeightsError(
                f"{type(backbone).__name__} has maps of {sides} places a side for pictures of "
                f"{side} pixels, at steps of {sorted(set(declared))}, and heads take maps that "
                "divide a picture evenly in steps of 1, 2, 4, 8, ...: choose another backbone"
            )
        place = {stride: number for number, stride in enumerate(own)}  # the last map of each
        self._sources = {stride: _nearest(stride, own) for stride in strides}
        self._kept = sorted(set(self._sources.values()))
        self._options["indices"] = [place[stride] for stride in self._kept]
        self.channels: Mapping[int, int] = {
            stride: maps[place[source]].shape[1] for stride, source in self._sources.items()
        }
        self.segment = Segment("backbone", self._members(picture), self.maps)

    def maps(self, pictures: Tensor) -> Maps:
        """The wanted maps of pictures [B, 3, H, W], whose sides are multiples of the strides."""
        found = self._backbone.forward_intermediates(pictures, **self._options)
        own = dict(zip(self._kept, found, strict=True))
        sized = (_sized(own[source], source, new) for new, source in self._sources.items())
        return Maps(self._strides, tuple(sized))

    def _find(self, picture: Tensor) -> list[Tensor]:
        """All maps that the backbone has; the last norm is left out where it serves none."""
        try:
            return self._backbone.forward_intermediates(picture, **self._options)
        except AssertionError:
            self._options["norm"] = False
            return self._backbone.forward_intermediates(picture, **self._options)

    def _members(self, picture: Tensor) -> tuple[str, ...]:
        """The backbone's members with a part in a map: a classifier's last layers have none."""
        parameters = dict(self._backbone.named_parameters())
        frozen = [each for each in parameters.values() if not each.requires_grad]
        try:
            for each in frozen:
                each.requires_grad_(True)
            with torch.enable_grad():
                total = torch.stack([each.sum() for each in self.maps(picture).tensors]).sum()
            found = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
        finally:
            for each in frozen:
                each.requires_grad_(False)
        used = (name for name, each in zip(parameters, found, strict=True) if each is not None)
        return tuple(dict.fromkeys(name.partition(".")[0] for name in used))


def _nearest(stride: int, own: Sequence[int]) -> int:
    """The stride of the map that serves for one: its own, or the next coarser, or the coarsest."""
    return min((other for other in own if other >= stride), default=max(own))


def _sized(x: Tensor, own: int, new: int) -> Tensor:
    """A map of stride ``own`` at the stride ``new``."""
    if new > own:
        return F.avg_pool2d(x, new // own)
    return upsample(x, (x.shape[2] * own // new, x.shape[3] * own // new))
