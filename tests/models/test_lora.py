"""LoRA: the branch, what it becomes when it is merged, and what is trained with it."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from sftcore.data.store import Store
from sftcore.foundations.errors import ParamsError, WeightsError
from sftcore.models.lora import Adapter, LoraSettings, adapted, is_adapter
from sftcore.models.network import Network
from sftcore.models.parameter_groups import claim_parameters
from sftcore.models.start import build_start
from tests.models.text.test_decoders import build, tokens
from tests.models.text.tiny_decoder import write_decoder
from tests.training.test_every_task import run

CPU = torch.device("cpu")


def vit() -> Network:
    return build_start(
        backbone="timm/test_vit", weights="none", num_classes=3, image_size=32, dropout=0.0,
        seed=0, device=CPU,
    ).network.eval()  # fmt: skip


def fill(network: Network, seed: int = 0) -> None:
    """Adapters that have learnt something."""
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, module in adapted(network):
            module.lora.b.normal_(std=0.05, generator=stream)


def test_the_branch_is_a_scaled_product() -> None:
    adapter = Adapter(5, 7, rank=4, alpha=6.0)
    with torch.no_grad():
        adapter.a.normal_()
        adapter.b.normal_()
    x = torch.randn(2, 3, 5)
    wanted = (x.double() @ (adapter.b.double() @ adapter.a.double()).T) * 6.0 / 2.0
    assert torch.allclose(adapter(x).double(), wanted, atol=1e-5)
    assert torch.allclose(adapter.product().double() @ x[0, 0].double(), wanted[0, 0], atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox"])
@torch.no_grad()
def test_a_decoder_begins_as_it_was_and_merged_computes_the_same(
    tmp_path: Path, family: str
) -> None:
    folder = write_decoder(tmp_path / "d", family)
    network, plain = build(folder), build(folder)
    names = set(plain.state_dict())
    network.adapt(LoraSettings(rank=2), first_block=2, seed=0)
    assert torch.equal(network(tokens()), plain(tokens()))
    fill(network)
    learnt = network(tokens())
    assert not torch.allclose(learnt, plain(tokens()), atol=1e-3)
    merged = network.model_state()
    assert set(merged) == names
    plain.load_state_dict(merged)
    assert torch.allclose(plain(tokens()), learnt, atol=1e-5)
    network.load_state_dict(merged)
    assert torch.equal(network(tokens()), plain(tokens()))
    changed = {name for name, _ in adapted(network)}
    assert changed
    assert all(name.split(".")[3] in ("1", "2") for name in changed), "of the last two layers"


@torch.no_grad()
def test_pictures_have_linear_maps_too(tmp_path: Path) -> None:
    network, plain = vit(), vit()
    network.adapt(LoraSettings(rank=3), first_block=len(network.blocks) - 2, seed=0)
    fill(network)
    images = torch.rand(4, 3, 32, 32)
    plain.load_state_dict(network.model_state())
    assert torch.allclose(plain(images), network(images), atol=1e-5)
    twin = network.frozen_copy()
    assert torch.equal(twin(images), network(images))


def test_only_adapters_and_a_new_head_are_trained() -> None:
    network = vit()
    network.adapt(LoraSettings(rank=3), first_block=1, seed=0)
    claims = claim_parameters(
        network, first_block=1, freeze_norm=False, penalize_norm_and_bias=False, rate_of_b=4.0
    )
    trained = {claim.name: claim.rate_factor for claim in claims if claim.is_trained}
    assert {n for n in trained if not n.startswith("head.")} == {
        claim.name for claim in claims if is_adapter(claim.name)
    }
    assert {f for n, f in trained.items() if n.endswith("lora.b")} == {4.0}
    assert {f for n, f in trained.items() if not n.endswith("lora.b")} == {1.0}
    others = claim_parameters(
        network, first_block=len(network.blocks), freeze_norm=False, penalize_norm_and_bias=False
    )
    assert all(claim.name.startswith("head.") for claim in others if claim.is_trained)


def test_the_first_matrices_differ_by_seed_and_place() -> None:
    first, again, other = vit(), vit(), vit()
    for network, seed in ((first, 0), (again, 0), (other, 1)):
        network.adapt(LoraSettings(rank=3), first_block=1, seed=seed)
    of = [[module.lora.a for _, module in adapted(n)] for n in (first, again, other)]
    assert all(torch.equal(a, b) for a, b in zip(of[0], of[1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(of[0], of[2], strict=True))
    same_shape = [a for a in of[0] if a.shape == of[0][0].shape]
    assert not torch.equal(same_shape[0], same_shape[1])


def test_a_convolution_is_no_linear_map() -> None:
    network = build_start(
        backbone="timm/test_efficientnet", weights="none", num_classes=3, image_size=32,
        dropout=0.0, seed=0, device=CPU,
    ).network  # fmt: skip
    with pytest.raises(WeightsError, match="has a linear map"):
        network.adapt(LoraSettings(rank=2), first_block=0, seed=0)


LORA = {
    "model.backbone": "timm/test_vit", "model.lora.rank": 4, "train.epochs": 4,
    "train.learning_rate": 1e-2, "train.head.method": "solve", "model.trainable_blocks": 2,
    "train.head.strength": 1.0, "model.lora.alpha": 2.0,
}  # fmt: skip


def test_averages_are_of_the_weights_and_not_of_the_factors(store: Store) -> None:
    """What SWA, soup and WiSE-FT choose are plain weights; their line is a line of weights."""
    result = run(store, "classification", {
        **LORA, "train.averaging.swa_fraction": 0.5, "train.averaging.wise_ft": True,
        "train.averaging.soup_size": 2,
    })  # fmt: skip
    plain = vit().state_dict()
    assert result.chosen_state.keys() == plain.keys()
    assert {"swa", "soup", "wise_ft"} <= {candidate.name for candidate in result.candidates}
    line = [c for c in result.candidates if c.name == "wise_ft"]
    # Every step of a line is as long as every other; from the start one sees them at an angle.
    steps = [b.weight_distance - a.weight_distance for a, b in pairwise(line)]
    assert min(steps[2:]) > 0
    assert max(steps[2:]) < 2 * min(steps[2:])


def test_it_learns_moves_only_its_weights_and_ends_as_a_plain_model(store: Store) -> None:
    result = run(store, "classification", LORA)
    assert result.history[-1].train_loss < result.history[0].train_loss
    assert result.history[-1].weight_distance > result.history[1].weight_distance > 0
    start = run(store, "classification", {**LORA, "train.epochs": 0}).chosen_state
    moved = {
        name for name, tensor in result.chosen_state.items()
        if not torch.equal(tensor, start[name])
    }  # fmt: skip
    backbone = {name for name in moved if name.startswith("backbone.")}
    assert backbone
    assert all(name.endswith(".weight") and "norm" not in name for name in backbone)
    assert not any("patch_embed" in name or "pos_embed" in name for name in backbone)


def test_what_changes_weights_by_themselves_is_refused(store: Store) -> None:
    with pytest.raises(ParamsError, match=r"model\.lora\.rank is above 0"):
        run(store, "classification", {**LORA, "train.mixout": 0.5})
