import pytest
import torch

from sftcore.foundations.errors import WeightsError
from sftcore.models.backbones import build_backbone
from sftcore.models.network import Network
from sftcore.models.segments import _RULES, split_segments

# The smallest member of every family that has a rule, and two that have none.
FAMILIES = {
    "timm/test_efficientnet": "timm.EfficientNet",
    "timm/resnet10t": "timm.ResNet",
    "timm/test_vit": "timm.VisionTransformer",
    "torchvision/resnet18": "torchvision.ResNet",
    "torchvision/vgg11": "torchvision.VGG",
    "torchvision/mobilenet_v2": "torchvision.MobileNetV2",
    "torchvision/mobilenet_v3_small": "torchvision.MobileNetV3",
    "torchvision/efficientnet_b0": "torchvision.EfficientNet",
    "torchvision/convnext_tiny": "torchvision.ConvNeXt",
    "torchvision/vit_b_16": "torchvision.VisionTransformer",
    "timm/test_convnext": "",
    "torchvision/shufflenet_v2_x0_5": "",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_segments_in_order_are_the_backbone(name: str) -> None:
    backbone = build_backbone(name, 64)
    backbone.module.eval()
    segments = split_segments(backbone.module)
    pictures = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        whole, through = backbone.module(pictures), pictures
        for segment in segments:
            through = segment.forward(through)
    assert whole.shape == (2, backbone.num_features)
    assert torch.equal(whole, through)
    library = type(backbone.module).__module__.partition(".")[0]
    rule = f"{library}.{type(backbone.module).__name__}"
    assert (rule if rule in _RULES else "") == FAMILIES[name]
    assert (len(segments) > 1) == bool(FAMILIES[name])


def test_every_rule_has_a_family_above() -> None:
    # tests/models/text/test_families.py and test_decoders.py
    texts = {"sftcore.TextEncoder", "sftcore.TextDecoder"}
    assert set(FAMILIES.values()) - {""} == set(_RULES) - texts


def test_entering_later_gives_the_same_logits() -> None:
    backbone = build_backbone("timm/test_efficientnet", 32)
    network = Network(backbone, num_classes=5, dropout=0.0).eval()
    pictures = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        logits = network(pictures)
        assert logits.shape == (2, 5)
        for first in range(len(network.blocks) + 1):
            features = network.run_blocks(pictures, 0, first)
            assert torch.equal(logits, network(features, first))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision/resnet51", "did you mean torchvision/resnet"),
        ("timm/tf_efficientnet_lite99", "did you mean timm/tf_efficientnet_lite"),
        ("keras/resnet50", "the library is one of torchvision, timm"),
        ("torchvision/inception_v3", "cannot take pictures of 50 pixels: .*Kernel"),
        ("torchvision/vit_b_16", "cannot take pictures of 50 pixels"),
    ],
)
def test_unknown_backbones_and_sizes_say_what_there_is(name: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        build_backbone(name, 50)


def test_dropout_before_the_classifier_is_taken_off() -> None:
    module = build_backbone("torchvision/mobilenet_v2", 32).module
    assert not any(isinstance(part, torch.nn.Dropout) for part in module.modules())
