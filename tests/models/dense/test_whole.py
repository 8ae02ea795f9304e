"""Backbones that are run as a whole give timm's maps, and others where a stride lacks."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from sftcore.foundations.errors import WeightsError
from sftcore.models.backbones import build_backbone
from sftcore.models.dense.taps import find_taps
from sftcore.models.start import build_start
from tests.models.dense.test_heads_in_networks import BOXES, CPU, HEADS, MASKS, K

FOUR = ("convnext_atto", "regnetx_002", "swin_tiny_patch4_window7_224", "pvt_v2_b0", "test_nfnet",
        "efficientvit_b0", "test_maxvit", "hiera_tiny_224", "densenet121")  # fmt: skip


def module_of(name: str, side: int = 64) -> Any:
    torch.manual_seed(0)
    return build_backbone(f"timm/{name}", side).module.eval()


@pytest.mark.parametrize("name", FOUR)
@torch.no_grad()
def test_families_of_four_strides_give_their_own_maps(name: str) -> None:
    module = module_of(name)
    taps, picture = find_taps(module), torch.rand(2, 3, 64, 64)
    maps = taps.maps(picture)
    norm = {} if name.startswith("hiera") else {"norm": True}
    own = module.forward_intermediates(picture, intermediates_only=True, **norm)
    wanted = {64 // each.shape[2]: each for each in own}
    for stride in (4, 8, 16, 32):
        assert torch.equal(maps[stride], wanted[stride])
        assert taps.channels[stride] == maps[stride].shape[1]


@torch.no_grad()
def test_a_transformers_last_map_serves_for_every_stride() -> None:
    module = module_of("test_vit", 96)
    picture = torch.rand(2, 3, 96, 96)
    maps = find_taps(module, side=96).maps(picture)
    last = module.forward_intermediates(picture, norm=True, intermediates_only=True)[-1]
    tokens = module.forward_features(picture)[:, module.num_prefix_tokens :]
    assert torch.equal(last.flatten(2).mT, tokens)  # what the classifier would see
    assert torch.equal(maps[16], last)
    assert torch.equal(maps[32], F.avg_pool2d(last, 2))
    for stride in (4, 8):
        larger = F.interpolate(last, scale_factor=16 // stride, mode="bilinear")
        torch.testing.assert_close(maps[stride], larger)


@torch.no_grad()
def test_sides_of_half_a_place_are_rounded_up_as_convolutions_do() -> None:
    maps = find_taps(module_of("test_vit", 80), side=80).maps(torch.rand(1, 3, 80, 80))
    convolved = find_taps(module_of("test_efficientnet")).maps(torch.rand(1, 3, 80, 80))
    assert maps.sizes == convolved.sizes == {4: (20, 20), 8: (10, 10), 16: (5, 5), 32: (3, 3)}
    assert find_taps(module_of("test_vit", 16), side=16).maps(torch.rand(1, 3, 16, 16)).sizes[
        32
    ] == (1, 1)


@pytest.mark.parametrize("name", ["levit_128s", "shvit_s1", "efficientvit_m0"])
@pytest.mark.parametrize("side", [64, 224])
def test_what_lies_behind_the_last_map_is_gone(name: str, side: int) -> None:
    """These have a stage of stride 64, which no head takes."""
    network = build_start(
        backbone=f"timm/{name}", weights="none", num_classes=K, image_size=side, dropout=0.0,
        seed=0, device=CPU, dense=HEADS[MASKS],
    ).network.train()  # fmt: skip
    network(torch.rand(2, 3, side, side)).square().sum().backward()
    idle = [name for name, each in network.named_parameters() if each.grad is None]
    assert [name for name in idle if name.count(".") > 1] == []  # the backbone's own may stay
    last = len(network.blocks) - 1
    assert any(
        network.block_of(name) == last
        for name, each in network.named_parameters()
        if each.grad is not None and not name.startswith("head.")
    )


def test_a_frozen_transformer_is_kept_as_the_one_map_that_it_has() -> None:
    network = build_start(
        backbone="timm/test_vit", weights="none", num_classes=K, image_size=64, dropout=0.0,
        seed=0, device=CPU, dense=HEADS[MASKS],
    ).network.eval()  # fmt: skip
    kept = network.run_blocks(torch.rand(2, 3, 64, 64), 0, len(network.blocks))
    assert kept.strides == (16,)
    assert network.features(kept, len(network.blocks)).strides == (8, 16, 32)


@torch.no_grad()
def test_a_stride_that_lacks_is_made_of_the_next_coarser_map() -> None:
    module = module_of("levit_128s")  # strides 16, 32 and 64
    taps = find_taps(module)
    assert taps.channels == {4: 128, 8: 128, 16: 128, 32: 256}
    maps = taps.maps(torch.rand(1, 3, 64, 64))
    assert maps.sizes == {4: (16, 16), 8: (8, 8), 16: (4, 4), 32: (2, 2)}


@pytest.mark.parametrize("name", ["eva02_tiny_patch14_224", "inception_v3"])
def test_maps_that_divide_no_picture_evenly_are_refused(name: str) -> None:
    with pytest.raises(WeightsError, match=r"maps at steps of .*multiple of 32, or another"):
        find_taps(module_of(name, 96), side=96)


def test_frozen_or_not_a_backbone_is_left_as_it_was() -> None:
    module = build_backbone("timm/test_vit", 64).module.train()
    module.blocks.requires_grad_(False)  # type: ignore[union-attr]
    before = [each.requires_grad for each in module.parameters()]
    find_taps(module)
    assert [each.requires_grad for each in module.parameters()] == before
    assert all(each.grad is None for each in module.parameters())
    assert all(part.training for part in module.modules())


def test_a_transformer_is_entered_with_pictures_unless_all_of_it_is_frozen() -> None:
    network = build_start(
        backbone="timm/test_vit", weights="none", num_classes=K, image_size=64, dropout=0.0,
        seed=0, device=CPU, dense=HEADS[BOXES],
    ).network  # fmt: skip
    count = len(network.blocks)
    assert count > 3
    assert [network.entry(block) for block in range(count + 1)] == [0] * count + [1]
