"""Where the maps of a backbone are taken: the last output of each stride, before its classifier.

A family with a rule here is a sequence of segments, so that what is frozen of it can be kept. The
others of timm are run as a whole (:mod:`sftcore.models.dense.whole`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sftcore.foundations.errors import WeightsError
from sftcore.models.dense.maps import Maps
from sftcore.models.dense.whole import WholeBackbone, sized
from sftcore.models.segments import Segment, split_segments

STRIDES = (4, 8, 16, 32)
_SIDE = 64  # of the picture that tells strides and channels, in pixels


@dataclass(frozen=True)
class Taps:
    """A backbone as a sequence that gives maps; pictures are the map of stride 1.

    They are of one backbone: its copy, or the same with other members, has taps of its own.

    Attributes:
        segments: of the backbone, first to last, up to the last map that is wanted; or a single one
            that gives all maps.
        segment_strides: of what each segment gives; they do not descend.
        channels: of each wanted map, by stride.
        whole: the same backbone, where it is that single segment.
    """

    segments: tuple[Segment, ...]
    segment_strides: tuple[int, ...]
    channels: Mapping[int, int]
    whole: WholeBackbone | None = None

    def maps(self, pictures: Tensor) -> Maps:
        """The wanted maps of pictures [B, 3, H, W]."""
        return sized(self.run(Maps((1,), (pictures,)), 0, len(self.segments)), tuple(self.channels))

    def run(self, maps: Maps, first: int, last: int) -> Maps:
        """What segment ``last`` takes, of what segment ``first`` takes.

        The coarsest map is what the next segment takes. The others are those wanted maps that are
        done, so that what has been run of a frozen beginning can be kept and gone on with.

        Args:
            maps: pictures as the map of stride 1, or what this method gave.
            first: position in :attr:`segments`.
            last: position in :attr:`segments`, or their number for the wanted maps.
        """
        done = dict(maps.items())
        latest = maps.strides[-1]
        x = done.pop(latest)
        for number in range(first, last):
            if latest in self.channels:
                done[latest] = x
            x, latest = self.segments[number].forward(x), self.segment_strides[number]
            if isinstance(x, Maps):
                return x
        done[latest] = x
        return Maps(tuple(done), tuple(done.values()))

    def entry(self, trained: Iterable[str]) -> int:
        """Number of the first segments that own none of these parameters of the backbone.

        Their outputs are a function of the picture alone, and can be computed once.
        """
        names = list(trained)
        is_touched = [any(map(segment.owns, names)) for segment in self.segments]
        return is_touched.index(True) if any(is_touched) else len(self.segments)

    def owns(self, name: str) -> bool:
        """Whether a parameter of the backbone has a part in the maps.

        The last convolution before a classifier may have none.
        """
        return any(segment.owns(name) for segment in self.segments)

    def idle_modules(self, backbone: nn.Module, side: int) -> list[str]:
        """Names of the backbone's modules that have parameters, none of them with a part in a map.

        Args:
            backbone: of these taps.
            side: of the pictures in pixels.
        """
        if self.whole is not None:
            with _in_evaluation(backbone):
                return self.whole.idle_modules(side)
        found = []
        for name, module in backbone.named_modules():
            own = [f"{name}.{inner}" for inner, _ in module.named_parameters()] if name else []
            if own and not any(map(self.owns, own)):
                found.append(name)
        return found


def find_taps(backbone: nn.Module, strides: Sequence[int] = STRIDES, side: int = _SIDE) -> Taps:
    """Find the maps of a backbone by showing it a black picture.

    Args:
        backbone: of timm or torchvision, whose classifier has been taken off.
        strides: that are wanted, ascending.
        side: of the pictures in pixels; a family without a rule may have been built for it.

    Raises:
        WeightsError: it is not known where this family's maps are, or it has none of such a stride.
    """
    kind = f"{type(backbone).__module__.partition('.')[0]}.{type(backbone).__name__}"
    if kind not in _RULES:
        return _taps_of_whole(backbone, kind, strides, side)
    segments = _RULES[kind](backbone)
    outputs = _outputs(backbone, segments)
    found = [_SIDE // output.shape[2] for output in outputs]
    missing = sorted(set(strides) - set(found))
    if missing or found != sorted(found):
        raise WeightsError(
            f"{kind} has maps of strides {sorted(set(found))} and none of {missing}: choose "
            "another backbone or other strides"
        )
    last = {stride: place for place, stride in enumerate(found)}
    end = last[max(strides)] + 1
    channels = {stride: outputs[last[stride]].shape[1] for stride in strides}
    return Taps(tuple(segments[:end]), tuple(found[:end]), channels)


def _taps_of_whole(backbone: nn.Module, kind: str, strides: Sequence[int], side: int) -> Taps:
    if not hasattr(backbone, "forward_intermediates"):
        raise WeightsError(
            f"it is not known where {kind} has maps of features: choose a backbone of "
            f"{', '.join(_RULES)}, or one of timm's that gives its inner maps"
        )
    with _in_evaluation(backbone):
        whole = WholeBackbone(backbone, strides, side)
    return Taps((whole.segment,), (max(strides),), whole.channels, whole)


@torch.no_grad()
def _outputs(backbone: nn.Module, segments: Sequence[Segment]) -> list[Tensor]:
    """What each segment gives for one black picture; the backbone is left as it was."""
    device = next(backbone.parameters()).device
    outputs = [torch.zeros(1, 3, _SIDE, _SIDE, device=device)]
    with _in_evaluation(backbone):
        for segment in segments:
            outputs.append(segment.forward(outputs[-1]))
    return outputs[1:]


@contextmanager
def _in_evaluation(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _without_last(count: int) -> Callable[[Any], list[Segment]]:
    """The segments but the last ones: pooling, and a convolution that only a classifier needs."""
    return lambda backbone: split_segments(backbone)[:-count]


def _resnet(backbone: Any) -> list[Segment]:
    return [*split_segments(backbone)[:-1], Segment("layer4", ("layer4",), backbone.layer4)]


def _timm_mobilenet(backbone: Any) -> list[Segment]:
    stem = nn.Sequential(backbone.conv_stem, backbone.bn1)
    blocks = [
        Segment(f"blocks.{number}", (f"blocks.{number}",), block)
        for number, block in enumerate(backbone.blocks)
    ]
    return [Segment("stem", ("conv_stem", "bn1"), stem), *blocks]


_RULES: dict[str, Callable[[Any], list[Segment]]] = {
    "timm.EfficientNet": _without_last(1),
    "timm.MobileNetV3": _timm_mobilenet,
    "timm.ResNet": _resnet,
    "torchvision.ResNet": _resnet,
    "torchvision.VGG": _without_last(1),
    "torchvision.MobileNetV2": _without_last(2),
    "torchvision.MobileNetV3": _without_last(1),
    "torchvision.EfficientNet": _without_last(2),
    "torchvision.ConvNeXt": _without_last(1),
}
