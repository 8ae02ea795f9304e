"""Small members of families of which the libraries have large ones alone."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
from torch import nn
from torchvision.models import VGG, ConvNeXt, _api
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.vgg import make_layers

WIDTHS = (8, 16, 24, 32)  # at strides 4 to 32


def convnext(**_: Any) -> nn.Module:
    """A ConvNeXt with one block at each stride: its blocks have linear maps."""
    ends = (*WIDTHS[1:], None)
    return ConvNeXt([CNBlockConfig(*pair, 1) for pair in zip(WIDTHS, ends, strict=True)])


def vgg(**_: Any) -> nn.Module:
    """A VGG whose classifier is as narrow as the rest; its own would be made first."""
    layers: list[Any] = [8, "M"]
    for width in WIDTHS:
        layers += [width, "M"]
    network = VGG.__new__(VGG)
    nn.Module.__init__(network)
    network.features, network.avgpool = make_layers(layers), nn.AdaptiveAvgPool2d((7, 7))
    network.classifier = nn.Sequential(
        nn.Linear(WIDTHS[-1] * 49, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 16), nn.ReLU(),
        nn.Dropout(), nn.Linear(16, 10),
    )  # fmt: skip
    return network


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the smallest ConvNeXt and VGG of torchvision have few channels."""
    builders: dict[str, Callable[..., nn.Module]] = {"convnext_tiny": convnext, "vgg11": vgg}
    for name, build in builders.items():
        known = wraps(_api.BUILTIN_MODELS[name])(build)  # the library looks at signatures
        monkeypatch.setitem(_api.BUILTIN_MODELS, name, known)
