"""Who is frozen together, whatever can be computed by itself."""

import pytest
import torch
from torch import nn

from benchmarks.families import FAMILIES, try_family
from sftcore.foundations.errors import WeightsError
from sftcore.models.backbones import build_backbone
from sftcore.models.network import Network
from sftcore.models.parameter_groups import claim_parameters
from sftcore.stability.batch_norm import recalibrate, set_training_mode
from tests.models.test_network import network

# One of each kind of head, of matcher and of state; all of them: python -m benchmarks.families.
_MAPS = nn.Linear | nn.Conv2d | nn.MultiheadAttention
SOME = [
    "timm/test_byobnet",
    "timm/cait_xxs24_224",
    "timm/convit_tiny",
    "timm/test_convnext",
    "timm/cs3darknet_focus_s",
    "timm/deit_tiny_distilled_patch16_224",
    "timm/densenet121",
    "timm/dla46x_c",
    "timm/edgenext_xx_small",
    "timm/efficientformerv2_s0",
    "timm/test_efficientnet",
    "timm/efficientvit_b0",
    "timm/efficientvit_m0",
    "timm/fastvit_t8",
    "timm/levit_128s",
    "timm/test_mambaout",
    "timm/test_coatnet",
    "timm/mobilenetv3_small_050",
    "timm/mobilevit_xxs",
    "timm/test_nfnet",
    "timm/pit_ti_224",
    "timm/pvt_v2_b0",
    "timm/regnetx_002",
    "timm/repvit_m1",
    "timm/test_resnet",
    "timm/swiftformer_xs",
    "timm/swin_tiny_patch4_window7_224",
    "timm/test_vit",
    "timm/test_vit_relpos",
    "timm/ese_vovnet19b_slim_dw",
    "timm/xcit_nano_12_p8_224",
    "torchvision/densenet121",
    "torchvision/mnasnet0_5",
    "torchvision/mobilenet_v3_small",
    "torchvision/regnet_y_400mf",
    "torchvision/shufflenet_v2_x0_5",
    "torchvision/squeezenet1_1",
    "torchvision/swin_t",
    "torchvision/googlenet",
]


@pytest.mark.parametrize("name", SOME)
def test_the_shipped_settings_train_any_family(name: str) -> None:
    trained = try_family(name, FAMILIES[name]).trained
    network, result = trained.start.network, trained.result
    assert not result.diverged
    assert len(result.updates.epoch) + len(result.incidents) == 2
    count = len(network.blocks)
    assert count >= 4
    start = build_again(name)
    moved = {
        network.block_of(key)
        for key, tensor in network.state_dict().items()
        if not torch.equal(tensor, start[key])
    }
    assert count in moved  # the head
    assert min(moved) >= count - 4
    assert count - 4 in moved


def test_every_method_that_looks_at_blocks_works_without_cuts() -> None:
    tried = try_family(
        "timm/regnetx_002",
        32,
        train__features__delta=0.1,
        train__features__bss=0.001,
        train__epochs=2,
        train__batch_norm="recalibrate",
        train__layer_rate_decay=0.5,
        train__unfreeze_every_epochs=1,
        train__head__epochs=1,
        model__trainable_blocks=2,
    )
    history = tried.trained.result.history
    assert [record.phase for record in history] == ["head", "full", "full"]
    rates = [float(line.split()[-1]) for line in tried.trained.claims.splitlines()[1:]]
    assert rates == pytest.approx([0.5**depth for depth in range(5, -1, -1)], rel=1e-2)


def build_again(name: str) -> dict[str, torch.Tensor]:
    from sftcore.models.start import build_start

    start = build_start(
        backbone=name,
        weights="none",
        num_classes=2,
        image_size=FAMILIES[name],
        dropout=0.0,
        seed=0,
        device=torch.device("cpu"),
    )
    return start.network.state_dict()


def test_the_shipped_backbone_has_its_nine_blocks_and_can_be_entered_at_each() -> None:
    net = network(backbone="timm/tf_efficientnet_lite0")
    assert net.blocks == ("stem", *(f"blocks.{i}" for i in range(7)), "features")
    assert [net.entry(first) for first in range(10)] == list(range(10))
    assert net.block_of("backbone.conv_head") == net.block_of("backbone.bn2.weight") == 8
    assert net.block_of("head.linear.weight") == 9


def test_a_backbone_without_places_to_enter_is_fed_pictures_unless_all_of_it_is_frozen() -> None:
    net = network(backbone="timm/test_convnext")
    assert [net.entry(first) for first in range(len(net.blocks) + 1)] == [0, 0, 0, 0, 0, 0, 1]
    pictures = torch.rand(2, 3, 32, 32)
    net.eval()
    for first in range(len(net.blocks) + 1):
        features = net.run_blocks(pictures, 0, first)
        assert torch.equal(net(features, first), net(pictures))
    assert net.block_outputs(pictures, 2)[0].shape == (2, net.head.linear.in_features)


def test_registers_and_tokens_lie_at_the_beginning() -> None:
    net = network(backbone="timm/vit_little_patch16_reg4_gap_256")
    assert net.block_of("backbone.reg_token") == net.block_of("backbone.pos_embed") == 0
    assert [net.entry(first) for first in range(len(net.blocks))] == list(range(len(net.blocks)))
    assert network(backbone="timm/pit_ti_224").block_of("backbone.patch_embed.conv.weight") == 0


@pytest.mark.parametrize("backbone", ["timm/regnetx_002", "torchvision/densenet121"])
def test_frozen_blocks_of_an_uncut_network_neither_drop_nor_move(backbone: str) -> None:
    net = network(backbone=backbone)
    assert len(net.segments) == 1
    first = len(net.blocks) - 2
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    set_training_mode(net, batch_norm="train", first_block=first)
    assert_norms_move_from(net, first, lambda: net(torch.rand(4, 3, 32, 32)))
    assert any(m.training for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    assert_norms_move_from(net, first, lambda: recalibrate(net, [torch.rand(4, 3, 32, 32)], first))


def assert_norms_move_from(net: Network, first: int, act: object) -> None:
    assert callable(act)
    before = {n: b.clone() for n, b in net.named_buffers() if n.endswith("running_mean")}
    act()
    after = dict(net.named_buffers())
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {name for name in before if net.block_of(name) >= first}


def test_networks_that_keep_something_in_evaluation_forget_it_with_their_parameters() -> None:
    """LeViT adds up its attention biases once per evaluation."""
    net = network(backbone="timm/levit_128s").eval()
    pictures = torch.rand(2, 3, 32, 32)
    before = net(pictures)
    state = {
        name: tensor + 1.0 * torch.arange(tensor[0].numel())
        if "attention_biases" in name
        else tensor
        for name, tensor in net.state_dict().items()
    }
    net.load_state_dict(state)
    assert not torch.equal(net.eval()(pictures), before)


@pytest.mark.parametrize(
    ("backbone", "spared"),
    [
        ("timm/vit_little_patch16_reg4_gap_256", {"reg_token", "pos_embed", "gamma"}),
        ("timm/test_convnext", {"gamma"}),
        ("timm/cait_xxs24_224", {"cls_token", "pos_embed", "gamma_1", "gamma_2"}),
        ("timm/levit_128s", {"attention_biases"}),
        ("timm/swin_tiny_patch4_window7_224", {"relative_position_bias_table"}),
        ("torchvision/convnext_tiny", {"layer_scale"}),
        ("torchvision/vit_b_32", {"class_token", "pos_embedding"}),
    ],
)
def test_tokens_tables_and_layer_scales_are_spared(backbone: str, spared: set[str]) -> None:
    net = network(backbone=backbone)
    claims = claim_parameters(net, first_block=0, freeze_norm=False, penalize_norm_and_bias=False)
    kinds = {claim.name.rpartition(".")[2]: claim for claim in claims if not claim.is_penalized}
    assert spared | {"bias"} <= set(kinds)
    matrices = {
        id(p)
        for m in net.modules()
        if isinstance(m, _MAPS)
        for p in m.parameters(recurse=False)
        if p.ndim > 1
    }
    penalized = {id(claim.parameter) for claim in claims if claim.is_penalized}
    assert penalized == matrices
    every = claim_parameters(net, first_block=0, freeze_norm=False, penalize_norm_and_bias=True)
    assert all(claim.is_penalized for claim in every)


def test_pictures_that_do_not_fit_are_refused_before_the_training() -> None:
    with pytest.raises(WeightsError, match="cannot take pictures of 64 pixels"):
        build_backbone("timm/efficientformer_l1", 64)
    with torch.device("meta"), pytest.raises(WeightsError, match="has no classifier"):
        build_backbone("timm/qwen3_vit_88m_enc", 64)
