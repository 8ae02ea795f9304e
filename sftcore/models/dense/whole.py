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
from torch import Tensor, nn

from sftcore.foundations.errors import WeightsError
from sftcore.models.dense.maps import Maps
from sftcore.models.dense.resampling import upsample
from sftcore.models.segments import Segment

_REFUSALS = (AssertionError, ValueError, RuntimeError, IndexError, KeyError, TypeError)


class WholeBackbone:
    """A backbone as one step from pictures to those of its maps that are needed.

    Args:
        backbone: of timm, in evaluation mode, with ``forward_intermediates``.
        strides: that are wanted, ascending powers of two.
        side: of the pictures in pixels.

    Attributes:
        channels: of each wanted map, by stride.
        segment: the step.

    Raises:
        WeightsError: it gives no maps of such pictures, or none whose places divide them evenly.
    """

    def __init__(self, backbone: Any, strides: Sequence[int], side: int) -> None:
        self._backbone = backbone
        self._options: dict[str, Any] = {
            "intermediates_only": True, "norm": True, "stop_early": True,
        }  # fmt: skip
        declared = [int(each["reduction"]) for each in list(backbone.feature_info)]
        own = {stride: place for place, stride in enumerate(declared)}  # the last map of each
        usable = [stride for stride in own if stride & (stride - 1) == 0]
        sources = {stride: _nearest(stride, usable) for stride in strides if usable}
        self._kept = sorted(set(sources.values()))
        self._options["indices"] = [own[stride] for stride in self._kept]
        maps = self._try(side) if usable else []
        sides = [each.shape[2] for each in maps]
        if not usable or sides != [-(-side // stride) for stride in self._kept]:
            raise WeightsError(
                f"{type(backbone).__name__} has maps at steps of {list(own)} pixels "
                f"({sides} places a side for pictures of {side} pixels), and heads take places of "
                "4, 8, 16 or 32 whole pixels: choose another data.pictures.image_size, such as a "
                "multiple of 32, or another backbone"
            )
        channels = dict(zip(self._kept, (each.shape[1] for each in maps), strict=True))
        self.channels: Mapping[int, int] = {
            stride: channels[source] for stride, source in sources.items()
        }
        members = {name.partition(".")[0] for name, _ in backbone.named_parameters()}
        self.segment = Segment("backbone", tuple(sorted(members)), self.own_maps)

    def own_maps(self, pictures: Tensor) -> Maps:
        """The backbone's maps that are needed, of pictures [B, 3, H, W]."""
        found = self._backbone.forward_intermediates(pictures, **self._options)
        return Maps(tuple(self._kept), tuple(found))

    @torch.no_grad()
    def _try(self, side: int) -> list[Tensor]:
        """Maps of a black picture; the last norm is left out where a family has none for them."""
        picture = torch.zeros(1, 3, side, side, device=next(self._backbone.parameters()).device)
        try:
            try:
                return self._backbone.forward_intermediates(picture, **self._options)
            except AssertionError:
                self._options["norm"] = False
                return self._backbone.forward_intermediates(picture, **self._options)
        except _REFUSALS as error:
            raise WeightsError(
                f"{type(self._backbone).__name__} gives no maps of pictures of {side} pixels "
                f"({error}): choose another backbone or data.pictures.image_size"
            ) from error

    def idle_modules(self, side: int) -> list[str]:
        """Names of modules with parameters that take no part in any map and are not even run.

        The layers of a classifier, and stages that are coarser than the coarsest map.

        Args:
            side: of the pictures in pixels.
        """
        named = list(self._backbone.named_parameters())
        parameters = {name: each for name, each in named if each.requires_grad}
        is_run: set[str] = set()
        hooks = [
            module.register_forward_pre_hook(lambda _, __, name=name: is_run.add(name))
            for name, module in self._backbone.named_modules()
        ]
        try:
            picture = torch.zeros(1, 3, side, side, device=next(iter(parameters.values())).device)
            with torch.enable_grad():
                total = torch.stack([each.sum() for each in self.own_maps(picture).tensors]).sum()
            found = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
        finally:
            for hook in hooks:
                hook.remove()
        idle = {name for name, each in zip(parameters, found, strict=True) if each is None}
        used = [name for name, _ in named if name not in idle]
        return [name for name, module in self._backbone.named_modules()
                if name and _is_idle(name, module, is_run, used)]  # fmt: skip


def sized(maps: Maps, strides: Sequence[int]) -> Maps:
    """The maps at some strides; what lacks is made of the nearest map, and none is made twice.

    Args:
        maps: that a backbone has.
        strides: that are wanted, ascending powers of two.
    """
    if maps.strides == tuple(strides):
        return maps
    sources = {stride: _nearest(stride, maps.strides) for stride in strides}
    wanted = (_sized(maps[own], own, new) for new, own in sources.items())
    return Maps(tuple(strides), tuple(wanted))


def _is_idle(name: str, module: nn.Module, is_run: set[str], used: Sequence[str]) -> bool:
    inside = f"{name}."
    return (
        any(True for _ in module.parameters())
        and not any(other == name or other.startswith(inside) for other in is_run)
        and not any(other.startswith(inside) for other in used)
    )


def _nearest(stride: int, own: Sequence[int]) -> int:
    """The stride of the map that serves for one: its own, or the next coarser, or the coarsest."""
    return min((other for other in own if other >= stride), default=max(own))


def _sized(x: Tensor, own: int, new: int) -> Tensor:
    """A map of stride ``own`` at the stride ``new``."""
    if new > own:
        return F.avg_pool2d(x, new // own, ceil_mode=True)
    return upsample(x, (x.shape[2] * own // new, x.shape[3] * own // new))
