"""The maps of a backbone are those that its library gives, whole or from a kept beginning."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter

from sftcore.foundations.errors import WeightsError
from sftcore.models.backbones import build_backbone
from sftcore.models.dense.maps import Maps, contiguous_copy, to_bytes
from sftcore.models.dense.taps import _RULES, find_taps

# Channels by stride, as the papers and the libraries have them.
TIMM = {
    "timm/tf_efficientnet_lite0": {4: 24, 8: 40, 16: 112, 32: 320},
    "timm/resnet18": {4: 64, 8: 128, 16: 256, 32: 512},
    "timm/mobilenetv3_small_100": {4: 16, 8: 24, 16: 48, 32: 576},
}
TORCHVISION = {
    "torchvision/resnet18": ("", ("layer1", "layer2", "layer3", "layer4"), (64, 128, 256, 512)),
    "torchvision/vgg11": ("features", ("5", "10", "15", "20"), (128, 256, 512, 512)),
    "torchvision/mobilenet_v2": ("features", ("3", "6", "13", "17"), (24, 32, 96, 320)),
    "torchvision/mobilenet_v3_small": ("features", ("1", "3", "8", "12"), (16, 24, 48, 576)),
    "torchvision/efficientnet_b0": ("features", ("2", "3", "5", "7"), (24, 40, 112, 320)),
    "torchvision/convnext_tiny": ("features", ("1", "3", "5", "7"), (96, 192, 384, 768)),
}

KINDS = {
    "timm/tf_efficientnet_lite0": "timm.EfficientNet",
    "timm/resnet18": "timm.ResNet",
    "timm/mobilenetv3_small_100": "timm.MobileNetV3",
    "torchvision/resnet18": "torchvision.ResNet",
    "torchvision/vgg11": "torchvision.VGG",
    "torchvision/mobilenet_v2": "torchvision.MobileNetV2",
    "torchvision/mobilenet_v3_small": "torchvision.MobileNetV3",
    "torchvision/efficientnet_b0": "torchvision.EfficientNet",
    "torchvision/convnext_tiny": "torchvision.ConvNeXt",
}


def started(name: str) -> nn.Module:
    """A backbone with moving statistics that are not those of a new network."""
    torch.manual_seed(0)
    module = build_backbone(name, 64).module
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn_like(part.running_mean) / 10  # type: ignore[arg-type]
            part.running_var = torch.rand_like(part.running_var) + 0.5  # type: ignore[arg-type]
    return module.eval()


def by_timm(name: str, module: nn.Module) -> Callable[[Tensor], list[Tensor]]:
    other: Any = timm.create_model(name.partition("/")[2], features_only=True).eval()
    assert not other.load_state_dict(module.state_dict(), strict=False).missing_keys
    reductions = other.feature_info.reduction()
    wanted = [reductions.index(stride) for stride in (4, 8, 16, 32)]
    return lambda pictures: [other(pictures)[place] for place in wanted]


def by_torchvision(name: str, module: nn.Module) -> Callable[[Tensor], list[Tensor]]:
    inside, layers, _ = TORCHVISION[name]
    getter = IntermediateLayerGetter(module.get_submodule(inside), {each: each for each in layers})
    return lambda pictures: list(getter(pictures).values())


@pytest.mark.parametrize("name", [*TIMM, *TORCHVISION])
@torch.no_grad()
def test_the_maps_are_those_of_the_library(name: str) -> None:
    module = started(name)
    oracle = by_timm if name in TIMM else by_torchvision
    channels = (
        TIMM[name] if name in TIMM else dict(zip((4, 8, 16, 32), TORCHVISION[name][2], strict=True))
    )
    assert f"{name.partition('/')[0]}.{type(module).__name__}" == KINDS[name]
    taps = find_taps(module)
    assert taps.channels == channels
    for side in ((64, 96), (200, 168)):
        pictures = torch.rand(2, 3, *side)
        maps = taps.maps(pictures)
        assert maps.strides == (4, 8, 16, 32)
        wanted = oracle(name, module)(pictures)
        assert all(map(torch.equal, maps.tensors, wanted))
        assert maps[4].shape[1:] == (channels[4], side[0] // 4, side[1] // 4)


def test_every_rule_has_a_family_above() -> None:
    assert set(KINDS.values()) == set(_RULES)
    assert set(KINDS) == {*TIMM, *TORCHVISION}


@pytest.mark.parametrize(
    "name", ["timm/tf_efficientnet_lite0", "torchvision/resnet18", "timm/mobilenetv3_small_100"]
)
@pytest.mark.parametrize("strides", [(4, 8, 16, 32), (8, 32)])
@torch.no_grad()
def test_a_kept_beginning_gives_the_same_bits(name: str, strides: tuple[int, ...]) -> None:
    module = started(name).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    taps = find_taps(module, strides)
    pictures = torch.rand(2, 3, 96, 64)
    whole, count = to_bytes(taps.maps(pictures)), len(taps.segments)
    start = Maps((1,), (pictures,))
    for cut in range(count + 1):
        kept = contiguous_copy(taps.run(start, 0, cut))
        assert set(kept.strides[:-1]) <= set(strides)  # nothing is kept that nobody asks for
        assert to_bytes(taps.run(kept, cut, count)) == whole
        for later in range(cut, count + 1):
            between = taps.run(kept, cut, later)
            assert to_bytes(taps.run(between, later, count)) == whole


def test_a_beginning_ends_before_the_first_trained_parameter() -> None:
    module = started("timm/tf_efficientnet_lite0")
    taps = find_taps(module)
    assert [segment.name for segment in taps.segments] == [
        "stem", *(f"blocks.{number}" for number in range(7))
    ]  # fmt: skip
    assert taps.segment_strides == (2, 2, 4, 8, 16, 16, 32, 32)
    trained = [name for name, _ in module.named_parameters() if name.startswith("blocks.5")]
    assert taps.entry(trained) == 6
    assert taps.entry([*trained, "blocks.1.0.conv_pw.weight"]) == 2
    assert taps.entry(["conv_stem.weight"]) == 0
    assert taps.entry([]) == taps.entry(["conv_head.weight"]) == 8
    assert taps.owns("blocks.6.0.conv_pw.weight")
    assert not taps.owns("conv_head.weight")
    assert not taps.owns("bn2.running_mean")
    maps = taps.maps(torch.rand(1, 3, 64, 64))
    sum(each.sum() for each in maps.tensors).backward()  # type: ignore[union-attr]
    has_gradient = {name for name, each in module.named_parameters() if each.grad is not None}
    assert has_gradient == {n for n, _ in module.named_parameters() if taps.owns(n)}


def test_nothing_is_run_behind_the_last_wanted_map() -> None:
    taps = find_taps(started("timm/tf_efficientnet_lite0"), (4, 16))
    assert [segment.name for segment in taps.segments][-1] == "blocks.4"
    assert taps.maps(torch.rand(1, 3, 64, 64)).strides == (4, 16)


def test_looking_for_maps_leaves_the_backbone_as_it_was() -> None:
    module = build_backbone("torchvision/resnet18", 64).module.train()
    module.layer1.eval()  # type: ignore[operator, union-attr]
    modes = [part.training for part in module.modules()]
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    find_taps(module)
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(state[name], tensor) for name, tensor in module.state_dict().items())


def test_a_family_without_known_maps_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"not known where .* has maps.*torchvision\.ResNet"):
        find_taps(build_backbone("torchvision/shufflenet_v2_x0_5", 64).module)


def test_a_stride_that_there_is_not_is_refused() -> None:
    module = build_backbone("torchvision/resnet18", 64).module
    with pytest.raises(WeightsError, match=r"strides \[4, 8, 16, 32\] and none of \[2\]"):
        find_taps(module, (2, 4))
