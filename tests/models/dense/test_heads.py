"""Heads on maps: sizes, what depends on what, and where they begin."""

import math

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from sftcore.models.backbones import build_backbone
from sftcore.models.dense.detection import DetectionHead
from sftcore.models.dense.maps import Maps
from sftcore.models.dense.pyramid import Pyramid, group_norm, pyramid_strides
from sftcore.models.dense.resampling import upsample
from sftcore.models.dense.segmentation import build_segmentation_head
from sftcore.models.dense.settings import DetectionHeadSettings, SegmentationHeadSettings
from sftcore.models.dense.taps import find_taps

CHANNELS = {4: 3, 8: 5, 16: 7, 32: 9}


def drawn(height: int, width: int, rows: int = 2) -> Maps:
    """Maps of random numbers, as a backbone gives them of pictures of any size."""
    tensors = [
        torch.randn(rows, count, -(-height // stride), -(-width // stride))
        for stride, count in CHANNELS.items()
    ]
    return Maps(tuple(CHANNELS), tuple(tensors))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("size", [(6, 10), (7, 5), (5, 9), (13, 40), (64, 5)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_upsampling_is_that_of_torch(
    size: tuple[int, int], memory_format: torch.memory_format
) -> None:
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64).contiguous(memory_format=memory_format)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    wanted = F.interpolate(theirs, size=size, mode="bilinear", align_corners=False)
    found = upsample(mine, size)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    slope = torch.randn_like(wanted)
    found.backward(slope)
    wanted.backward(slope)
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-12, atol=1e-12)


def test_upsampling_keeps_type_and_constants_and_refuses_to_shrink() -> None:
    constant = torch.full((1, 2, 3, 4), 1.75)
    torch.testing.assert_close(upsample(constant, (11, 9)), torch.full((1, 2, 11, 9), 1.75))
    assert upsample(constant, (3, 4)) is constant
    with torch.autocast("cpu", torch.bfloat16):
        x = torch.rand(1, 2, 3, 4)
        found = upsample(x, (7, 11))
    assert found.dtype == torch.float32
    assert torch.equal(found, upsample(x, (7, 11)))
    assert upsample(constant.bfloat16(), (6, 8)).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="not made smaller, from 4 to 3"):
        upsample(constant, (3, 3))


def test_a_pyramid_adds_coarser_levels_from_the_top_down() -> None:
    pyramid = Pyramid(CHANNELS, 16, (8, 16, 32)).eval()
    maps = drawn(72, 104)
    levels = pyramid(maps)
    inner, outer = pyramid.levels.inner_blocks, pyramid.levels.layer_blocks
    total = inner[2](maps[32])
    assert torch.equal(levels[32], outer[2](total))
    for number, stride in ((1, 16), (0, 8)):
        rows, columns = maps.sizes[stride]
        low_rows, low_columns = total.shape[2:]
        y = [i * low_rows // rows for i in range(rows)]  # nearest, as torch counts it
        x = [i * low_columns // columns for i in range(columns)]
        total = inner[number](maps[stride]) + total[:, :, y][:, :, :, x]
        torch.testing.assert_close(levels[stride], outer[number](total))
    norms = [part for part in pyramid.modules() if isinstance(part, nn.GroupNorm)]
    assert len(norms) == 6
    assert {norm.num_groups for norm in norms} == {2}
    assert not any(isinstance(part, nn.BatchNorm2d) for part in pyramid.modules())
    assert group_norm(256).num_groups == 32


@pytest.mark.parametrize("size", [(64, 64), (200, 72), (256, 33)])
@pytest.mark.parametrize(("finest", "coarsest"), [(8, 32), (4, 32), (8, 128), (4, 128)])
def test_levels_have_the_sizes_that_are_foretold(
    size: tuple[int, int], finest: int, coarsest: int
) -> None:
    strides = pyramid_strides(finest, coarsest)
    assert strides == tuple(s for s in (4, 8, 16, 32, 64, 128) if finest <= s <= coarsest)
    pyramid = Pyramid(CHANNELS, 8, strides)
    maps = drawn(*size)
    levels = pyramid(maps)
    assert levels.strides == strides
    assert levels.sizes == pyramid.sizes(maps)
    assert {level.shape[:2] for level in levels.tensors} == {(2, 8)}


@pytest.mark.parametrize("kind", ["fpn", "unet", "linear"])
@pytest.mark.parametrize("finest", [4, 8, 16, 32])
def test_logits_have_the_stride_of_the_finest_map(kind: str, finest: int) -> None:
    settings = SegmentationHeadSettings(kind=kind, finest_stride=finest, width=16)  # type: ignore[arg-type]
    head = build_segmentation_head(settings, CHANNELS, 6)
    for height, width in ((64, 96), (200, 72)):
        maps = drawn(height, width)
        used = maps.each(Tensor.requires_grad_)
        logits = head(used)
        assert logits.shape == (2, 6, *maps.sizes[finest])
        logits.square().sum().backward()
        for stride, tensor in used.items():  # every coarser map is heard, no finer one
            assert (tensor.grad is not None and bool(tensor.grad.any())) == (stride >= finest)
    assert all(each.grad is not None for each in head.parameters())
    assert head.classifier.out_channels == 6  # type: ignore[union-attr]


def test_the_linear_head_is_linear_in_each_place() -> None:
    settings = SegmentationHeadSettings(kind="linear", finest_stride=8)
    head = build_segmentation_head(settings, CHANNELS, 4)
    maps = drawn(64, 64)
    size = maps.sizes[8]
    columns = [
        F.interpolate(maps[s], size=size, mode="bilinear", align_corners=False) for s in (8, 16, 32)
    ]
    weight, bias = head.classifier.weight[:, :, 0, 0], head.classifier.bias  # type: ignore[index, union-attr]
    wanted = torch.einsum("kc,bchw->bkhw", weight, torch.cat(columns, dim=1))
    torch.testing.assert_close(head(maps), wanted + bias[:, None, None])  # type: ignore[index]


def test_semantic_fpn_doubles_each_level_up_to_the_finest() -> None:
    head = build_segmentation_head(SegmentationHeadSettings(finest_stride=4, width=16), CHANNELS, 3)
    maps = drawn(128, 64)
    levels = head.pyramid(maps)  # type: ignore[operator]
    total: Tensor | int = 0
    for number, stride in enumerate((4, 8, 16, 32)):
        x = levels[stride]
        blocks = head.branches[number]  # type: ignore[index]
        assert len(blocks) == (1, 1, 2, 3)[number]
        for block in blocks:
            x = block(x)
            if stride > 4:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        total = total + x
    torch.testing.assert_close(head(maps), head.classifier(total))  # type: ignore[operator]


def test_the_width_of_a_unet_halves_from_level_to_level() -> None:
    head = build_segmentation_head(
        SegmentationHeadSettings(kind="unet", finest_stride=4, width=8), CHANNELS, 3
    )
    convs = [part for part in head.modules() if isinstance(part, nn.Conv2d)]
    assert [(conv.in_channels, conv.out_channels) for conv in convs] == [
        (9 + 7, 32), (32, 32), (32 + 5, 16), (16, 16), (16 + 3, 8), (8, 8), (8, 3)
    ]  # fmt: skip


@pytest.mark.parametrize("num_convs", [0, 2])
@pytest.mark.parametrize(("finest", "coarsest"), [(8, 32), (4, 128)])
def test_outputs_stand_at_their_points(num_convs: int, finest: int, coarsest: int) -> None:
    settings = DetectionHeadSettings(
        width=16, num_convs=num_convs, finest_stride=finest, coarsest_stride=coarsest  # type: ignore[arg-type]
    )  # fmt: skip
    head = DetectionHead(settings, CHANNELS, 5)
    with torch.no_grad():
        head.scales.copy_(torch.arange(1, len(head.scales) + 1) / 2)
        head.boxes.bbox_reg.weight.mul_(30)
    maps = drawn(72, 104)
    output, points = head(maps), head.points(maps)
    assert output.shape == (2, len(points), 5 + 5)
    levels, place = head.pyramid(maps), 0
    for number, (stride, level) in enumerate(levels.items()):
        classes = head.classes.cls_logits(head.classes.conv(level))
        tower = head.boxes.conv(level)
        raw, central = head.boxes.bbox_reg(tower), head.boxes.bbox_ctrness(tower)
        for i in range(level.shape[2]):
            for j in range(level.shape[3]):
                x, y, s = points[place].tolist()
                assert (x, y, s) == ((j + 0.5) * stride, (i + 0.5) * stride, stride)
                sides = stride * torch.exp(raw[:, :, i, j] * (number + 1) / 2)
                wanted = torch.cat([classes[:, :, i, j], sides, central[:, :, i, j]], dim=1)
                torch.testing.assert_close(output[:, place], wanted)
                place += 1
    assert place == len(points)


@pytest.mark.parametrize("prior", [0.01, 0.5, 0.2])
def test_every_class_begins_with_its_prior(prior: float) -> None:
    head = DetectionHead(DetectionHeadSettings(width=64, prior=prior), CHANNELS, 3)
    wanted = -math.log((1 - prior) / prior)
    assert torch.allclose(head.classes.cls_logits.bias, torch.full((3,), wanted))
    logits = head(drawn(128, 128))[:, :, :3]
    assert abs(float(logits.detach().mean()) - wanted) < 0.2


def test_a_short_type_does_not_reach_the_distances() -> None:
    head = DetectionHead(DetectionHeadSettings(width=16), CHANNELS, 3)
    with torch.no_grad():
        head.boxes.bbox_reg.bias.fill_(12)  # e¹² pixels are more than fp16 can hold
    with torch.autocast("cpu", torch.float16):
        output = head(drawn(64, 64))
    assert output.dtype == torch.float32
    assert output.isfinite().all()


@pytest.mark.parametrize(
    "wrong", [{"width": 12}, {"width": 0}, {"finest_stride": 2}, {"finest_stride": 12}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    for kind in (SegmentationHeadSettings, DetectionHeadSettings):
        with pytest.raises(ValidationError):
            kind(**wrong)  # type: ignore[arg-type]
    for prior in (0.0, 1.0):
        with pytest.raises(ValidationError):
            DetectionHeadSettings(prior=prior)


@pytest.mark.parametrize("name", ["torchvision/resnet18", "timm/tf_efficientnet_lite0"])
@torch.no_grad()
def test_a_picture_does_not_depend_on_its_companions(name: str) -> None:
    module = build_backbone(name, 64).module
    module.train()(torch.rand(8, 3, 64, 64))  # statistics that are not those of a new network
    module.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    taps = find_taps(module)
    heads = [
        build_segmentation_head(SegmentationHeadSettings(kind=kind), taps.channels, 3)  # type: ignore[arg-type]
        for kind in ("fpn", "unet", "linear")
    ]
    heads.append(DetectionHead(DetectionHeadSettings(), taps.channels, 3))
    pictures = torch.rand(4, 3, 96, 96)
    others = torch.cat([pictures[:1], 50 * torch.rand(3, 3, 96, 96)])
    for head in heads:
        head.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        own, among_others = head(taps.maps(pictures)), head(taps.maps(others))
        assert torch.equal(own[0], among_others[0])
        assert not torch.equal(own[1], among_others[1])
        swapped = head(taps.maps(pictures.flip(0)))
        assert torch.equal(own[0], swapped[3])
