"""A backbone cut into segments, so that a frozen beginning can be computed once.

Running the segments one after the other gives exactly what the backbone gives; a test holds this
for every family. A family that is not listed is one single segment: what is frozen of it is
computed again and again. What is frozen is another matter (:mod:`sftcore.models.depth`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sftcore.foundations.errors import WeightsError


@dataclass(frozen=True)
class Segment:
    """One step of the backbone.

    Attributes:
        name: shown in tables and messages.
        prefixes: names of the backbone's members whose parameters belong to this segment.
        forward: from the segment before to the segment after: tensors of pictures, sequences of
            texts (:mod:`sftcore.models.values`); the last one gives features [B, D].
    """

    name: str
    prefixes: tuple[str, ...]
    forward: Callable[[Any], Any]

    def owns(self, parameter_name: str) -> bool:
        """Whether a parameter, buffer or module name of the backbone belongs to this segment."""
        return any(
            parameter_name == prefix or parameter_name.startswith(f"{prefix}.")
            for prefix in self.prefixes
        )


def split_segments(backbone: nn.Module) -> list[Segment]:
    """The segments of a backbone whose classifier has been taken off, first to last.

    Every parameter belongs to exactly one segment.

    Raises:
        WeightsError: a parameter belongs to none or to several (the family's rule is wrong for
            this variant).
    """
    rule = _RULES.get(f"{_library(backbone)}.{type(backbone).__name__}", _whole)
    segments = rule(backbone)
    for name, _ in backbone.named_parameters():
        owners = [segment.name for segment in segments if segment.owns(name)]
        if len(owners) != 1:
            raise WeightsError(
                f"parameter {name!r} of {type(backbone).__name__} belongs to "
                f"{owners or 'no segment'}: this variant's segments are not known"
            )
    return segments


def _library(backbone: nn.Module) -> str:
    return type(backbone).__module__.partition(".")[0]


def _chain(backbone: nn.Module, name: str, *prefixes: str) -> Segment:
    """A segment that runs members of the backbone one after the other."""
    modules = [backbone.get_submodule(prefix) for prefix in prefixes]

    def forward(x: Tensor) -> Tensor:
        for module in modules:
            x = module(x)
        return x

    return Segment(name, prefixes, forward)


def _whole(backbone: nn.Module) -> list[Segment]:
    prefixes = {name.partition(".")[0] for name, _ in backbone.named_parameters()}
    return [Segment("backbone", tuple(sorted(prefixes)), backbone)]


def _timm_efficientnet(backbone: Any) -> list[Segment]:
    return [
        _chain(backbone, "stem", "conv_stem", "bn1"),
        *(_chain(backbone, f"blocks.{i}", f"blocks.{i}") for i in range(len(backbone.blocks))),
        _chain(backbone, "features", "conv_head", "bn2", "global_pool"),
    ]


def _timm_resnet(backbone: Any) -> list[Segment]:
    return [
        _chain(backbone, "stem", "conv1", "bn1", "act1", "maxpool"),
        *(_chain(backbone, name, name) for name in ("layer1", "layer2", "layer3")),
        _chain(backbone, "layer4", "layer4", "global_pool"),
    ]


def _timm_vision_transformer(backbone: Any) -> list[Segment]:
    def embed(x: Tensor) -> Tensor:
        x = backbone._pos_embed(backbone.patch_embed(x))
        return backbone.norm_pre(backbone.patch_drop(x))

    def pool(x: Tensor) -> Tensor:
        return backbone.forward_head(backbone.norm(x), pre_logits=True)

    embed_names = ("patch_embed", "cls_token", "reg_token", "pos_embed", "norm_pre")
    return [
        Segment("embed", embed_names, embed),
        *(_chain(backbone, f"blocks.{i}", f"blocks.{i}") for i in range(len(backbone.blocks))),
        Segment("norm", ("norm", "attn_pool", "fc_norm"), pool),
    ]


def _torchvision_resnet(backbone: Any) -> list[Segment]:
    def last(x: Tensor) -> Tensor:
        return torch.flatten(backbone.avgpool(backbone.layer4(x)), 1)

    return [
        _chain(backbone, "stem", "conv1", "bn1", "relu", "maxpool"),
        *(_chain(backbone, name, name) for name in ("layer1", "layer2", "layer3")),
        Segment("layer4", ("layer4",), last),
    ]


def _torchvision_vgg(backbone: Any) -> list[Segment]:
    def classify(x: Tensor) -> Tensor:
        return backbone.classifier(torch.flatten(backbone.avgpool(x), 1))

    segments: list[Segment] = []
    members: list[str] = []
    for index, module in enumerate(backbone.features):
        members.append(f"features.{index}")
        if isinstance(module, nn.MaxPool2d):
            segments.append(_chain(backbone, f"conv{len(segments) + 1}", *members))
            members = []
    return [*segments, Segment("classifier", ("classifier",), classify)]


def _torchvision_features(backbone: Any) -> list[Segment]:
    """MobileNet, EfficientNet and ConvNeXt: a sequence, average pooling, a classifier."""

    def pool(x: Tensor) -> Tensor:
        x = backbone.avgpool(x) if hasattr(backbone, "avgpool") else _average(x)
        x = x if isinstance(backbone.classifier[0], nn.LayerNorm) else torch.flatten(x, 1)
        return backbone.classifier(x)

    def _average(x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x, (1, 1))

    count = len(backbone.features)
    segments = [_chain(backbone, f"features.{i}", f"features.{i}") for i in range(count)]
    return [*segments, Segment("classifier", ("classifier",), pool)]


def _torchvision_vision_transformer(backbone: Any) -> list[Segment]:
    encoder = backbone.encoder

    def embed(x: Tensor) -> Tensor:
        x = backbone._process_input(x)
        token = backbone.class_token.expand(x.shape[0], -1, -1)
        return encoder.dropout(torch.cat([token, x], dim=1) + encoder.pos_embedding)

    def last(x: Tensor) -> Tensor:
        return backbone.heads(encoder.ln(x)[:, 0])

    layers = [f"encoder.layers.{name}" for name, _ in encoder.layers.named_children()]
    return [
        Segment("embed", ("conv_proj", "class_token", "encoder.pos_embedding"), embed),
        *(_chain(backbone, name, name) for name in layers),
        Segment("norm", ("encoder.ln", "heads"), last),
    ]


def _text_encoder(backbone: Any) -> list[Segment]:
    return [Segment(step.name, step.prefixes, step.forward) for step in backbone.steps()]


_RULES: dict[str, Callable[[Any], list[Segment]]] = {
    "timm.EfficientNet": _timm_efficientnet,
    "timm.ResNet": _timm_resnet,
    "timm.VisionTransformer": _timm_vision_transformer,
    "torchvision.ResNet": _torchvision_resnet,
    "torchvision.VGG": _torchvision_vgg,
    "torchvision.MobileNetV2": _torchvision_features,
    "torchvision.MobileNetV3": _torchvision_features,
    "torchvision.EfficientNet": _torchvision_features,
    "torchvision.ConvNeXt": _torchvision_features,
    "torchvision.VisionTransformer": _torchvision_vision_transformer,
    "sftcore.TextEncoder": _text_encoder,
    "sftcore.TextDecoder": _text_encoder,
}
