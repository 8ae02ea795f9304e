import pytest
import torch
from torch import nn

from sftcore.models.network import Network
from sftcore.models.parameter_groups import claim_parameters, format_claims, freeze_all_but
from sftcore.models.start import build_start
from sftcore.stability.batch_norm import set_training_mode


def network(seed: int = 0, backbone: str = "timm/test_efficientnet", size: int = 32) -> Network:
    start = build_start(
        backbone=backbone,
        weights="none",
        num_classes=4,
        image_size=size,
        dropout=0.0,
        seed=seed,
        device=torch.device("cpu"),
    )
    return start.network


def test_the_seed_decides_the_parameters() -> None:
    first, again, other = (network(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.linear.weight"], other["head.linear.weight"])


@pytest.mark.parametrize("backbone", ["timm/test_efficientnet", "timm/test_vit"])
def test_every_tensor_is_claimed_once(backbone: str) -> None:
    net = network(backbone=backbone, size=160)
    claims = claim_parameters(net, first_block=2, freeze_norm=False, penalize_norm_and_bias=False)
    assert [claim.name for claim in claims] == [name for name, _ in net.named_parameters()]
    for claim in claims:
        position = net.block_of(claim.name)
        assert claim.is_trained == (position >= 2)
        assert not (claim.is_penalized and claim.parameter.ndim < 2 and "token" not in claim.name)
    freeze_all_but(claims, 0)
    assert all(claim.parameter.requires_grad == claim.is_trained for claim in claims)
    assert "head" in format_claims(claims).splitlines()[-1]


def test_norms_can_be_frozen_and_penalised() -> None:
    net = network()
    frozen = claim_parameters(net, first_block=0, freeze_norm=True, penalize_norm_and_bias=False)
    held = {claim.name for claim in frozen if not claim.is_trained}
    assert held
    assert all("bn" in name for name in held)
    every = claim_parameters(net, first_block=0, freeze_norm=False, penalize_norm_and_bias=True)
    assert all(claim.is_penalized for claim in every)


@pytest.mark.parametrize("policy", ["freeze_statistics", "freeze_all"])
def test_frozen_statistics_give_the_same_output_in_training_mode(policy: str) -> None:
    net = network()
    pictures = torch.rand(4, 3, 32, 32)
    set_training_mode(net, batch_norm=policy, first_block=0)
    before = {name: b.clone() for name, b in net.named_buffers()}
    training = net(pictures)
    assert torch.equal(training, net.eval()(pictures))
    assert all(torch.equal(before[name], b) for name, b in net.named_buffers())


def test_the_train_policy_moves_statistics_but_not_those_of_frozen_blocks() -> None:
    net = network()
    set_training_mode(net, batch_norm="train", first_block=2)
    before = {name: b.clone() for name, b in net.named_buffers() if name.endswith("running_mean")}
    net(torch.rand(4, 3, 32, 32))
    after = dict(net.named_buffers())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if net.block_of(name) >= 2}


def test_dropout_of_frozen_blocks_is_off_and_of_the_head_is_on() -> None:
    net = network()
    net.head.dropout.p = 0.5
    set_training_mode(net, batch_norm="freeze_statistics", first_block=len(net.blocks))
    assert net.head.dropout.training
    frozen = [m for name, m in net.named_modules() if name.startswith("backbone.blocks.0")]
    assert frozen
    assert not any(module.training for module in frozen if isinstance(module, nn.Module))
