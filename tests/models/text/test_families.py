"""The parts of every family in their order are the model of the library, on padded texts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sftcore.foundations.artifacts import write_tensors
from sftcore.models.network import Network
from sftcore.models.parameter_groups import claim_parameters, freeze_all_but
from sftcore.models.start import build_start
from sftcore.models.text.encoder import TextEncoder
from sftcore.models.text.families import FAMILIES
from sftcore.models.text.settings import TextOptions
from sftcore.models.values import Sequences, take
from sftcore.models.weights import read_state
from tests.models.text.tiny import CONFIGS, SPECIAL, VOCABULARY, write_config

UNCUT = ["albert", "ernie"]
# Another padding adds zeros in another order: of features around 1 that is a few last bits.
PADDING_BOUND = 2e-6


def tiny(folder: Path, family: str, pooling: str = "mean", dropout: float = 0.0) -> Network:
    start = build_start(
        backbone=f"transformers/{write_config(folder / family, family)}",
        weights="none", num_classes=3, dropout=0.0, seed=0, device=torch.device("cpu"),
        text=TextOptions(pooling=pooling, hidden_dropout=dropout, max_tokens=32),
    )  # fmt: skip
    return start.network.eval()


def texts(lengths: list[int], seed: int = 0, width: int | None = None) -> Sequences:
    stream = np.random.default_rng(seed)
    ids = torch.zeros(len(lengths), width or max(lengths), dtype=torch.int64)
    for row, length in enumerate(lengths):
        drawn = stream.integers(len(SPECIAL), VOCABULARY, length)
        ids[row, :length] = torch.from_numpy(drawn)
    return Sequences(ids, torch.tensor(lengths))


def library_features(encoder: TextEncoder, tokens: Sequences) -> Tensor:
    """Pooled by a loop over the states that the library's own model gives."""
    padding = encoder.model.config.pad_token_id or 0
    real = torch.zeros_like(tokens.data)
    for row, length in enumerate(tokens.lengths.tolist()):
        real[row, :length] = 1
    ids = torch.where(real == 1, tokens.data, padding)
    return encoder.model(input_ids=ids, attention_mask=real).last_hidden_state


@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_the_segments_in_order_are_the_model(tmp_path: Path, family: str) -> None:
    network = tiny(tmp_path, family)
    encoder = network.backbone
    assert isinstance(encoder, TextEncoder)
    tokens = texts([9, 3, 16, 1])
    whole = library_features(encoder, tokens)
    outputs = network.block_outputs(tokens, 0)
    if family not in UNCUT:
        assert len(network.segments) == 5
        states = outputs[-2]
        if FAMILIES[family].last:
            states = states.with_data(encoder.model.final_norm(states.data))
        for row, length in enumerate([9, 3, 16, 1]):
            assert torch.equal(states.data[row, :length], whole[row, :length])
            assert not states.data[row, length:].any()
    for row, length in enumerate([9, 3, 16, 1]):
        mean = whole[row, :length].double().mean(0)
        assert torch.allclose(outputs[-1][row].double(), mean, atol=1e-6)
    assert torch.equal(network.backbone(tokens), outputs[-1])


@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_padding_and_companions_hardly_change_a_row(tmp_path: Path, family: str) -> None:
    network = tiny(tmp_path, family)
    rows = texts([9, 3, 16, 1], width=24)
    together = network(rows)
    for row in range(4):
        alone = take(rows, slice(row, row + 1))
        assert alone.data.shape[1] in (8, 16)
        assert (network(alone) - together[row]).abs().max() < PADDING_BOUND
    changed = Sequences(rows.data.clone(), rows.lengths)
    changed.data[1:] = texts([3, 16, 1], seed=5, width=24).data[[0, 1, 2]]
    changed = Sequences(changed.data, torch.tensor([9, 3, 16, 1]))
    assert torch.equal(network(changed)[0], together[0])  # the shape decides, not the companions
    assert not torch.equal(network(changed)[1], together[1])


@pytest.mark.parametrize("family", CONFIGS)
def test_blocks_are_embeddings_and_layers_in_order(tmp_path: Path, family: str) -> None:
    network = tiny(tmp_path, family)
    claims = claim_parameters(
        network, first_block=0, freeze_norm=False, penalize_norm_and_bias=False
    )
    assert [claim.name for claim in claims] == [name for name, _ in network.named_parameters()]
    for claim in claims:
        number = next((int(p) for p in claim.name.split(".") if p.isdigit()), None)
        if "albert" in family:  # one layer, run again and again
            continue
        if number is not None:
            assert claim.depth == number + 1, claim.name
        elif ".conv." in claim.name:
            assert claim.depth == 1
        elif "final_norm" in claim.name:
            assert claim.depth == 4
        elif not claim.name.startswith("head."):
            assert claim.depth == 0, claim.name
    if family not in UNCUT:
        last = "pooling" if FAMILIES[family].last else None
        names = ("embeddings", "layers.0", "layers.1", "layers.2", last)
        assert network.blocks == tuple(name for name in names if name)
        count = len(network.blocks)
        assert [network.entry(first) for first in range(count)] == list(range(count))
        assert network.entry(count) == 5


@pytest.mark.parametrize("family", [name for name in CONFIGS if name not in UNCUT])
@torch.no_grad()
def test_entering_later_gives_the_same_logits(tmp_path: Path, family: str) -> None:
    network = tiny(tmp_path, family, pooling="max")
    tokens = texts([9, 3, 16])
    logits = network(tokens)
    for first in range(len(network.blocks) + 1):
        kept = network.run_blocks(tokens, 0, first)
        assert torch.equal(network(kept, first), logits)


@pytest.mark.parametrize("family", CONFIGS)
def test_only_matrices_are_penalised(tmp_path: Path, family: str) -> None:
    network = tiny(tmp_path, family)
    claims = claim_parameters(
        network, first_block=0, freeze_norm=False, penalize_norm_and_bias=False
    )
    matrices = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, nn.Linear | nn.Conv1d)
        for parameter in module.parameters(recurse=False)
        if parameter.ndim > 1
    }
    assert {id(claim.parameter) for claim in claims if claim.is_penalized} == matrices


@pytest.mark.parametrize("family", CONFIGS)
def test_dropout_is_that_of_the_call_and_frozen_blocks_do_not_drop(
    tmp_path: Path, family: str
) -> None:
    tokens = texts([9, 3])
    network = tiny(tmp_path, family, dropout=0.5).train()
    assert {m.p for m in network.backbone.modules() if isinstance(m, nn.Dropout)} == {0.5}
    torch.manual_seed(3)
    first = network(tokens)
    assert not torch.equal(first, network(tokens))
    torch.manual_seed(3)
    assert torch.equal(first, network(tokens))
    network.hold_in_evaluation(network.frozen_modules(len(network.blocks)))
    network.train()
    assert torch.equal(network(tokens), network(tokens))
    still = tiny(tmp_path, family, dropout=0.0).train()
    assert torch.equal(still(tokens), still(tokens))


@pytest.mark.parametrize("family", CONFIGS)
def test_gradients_reach_what_is_trained_and_nothing_else(tmp_path: Path, family: str) -> None:
    network = tiny(tmp_path, family).train()
    claims = claim_parameters(
        network, first_block=2 if len(network.blocks) > 2 else 0, freeze_norm=False,
        penalize_norm_and_bias=False,
    )  # fmt: skip
    freeze_all_but(claims, 0)
    network(texts([9, 3])).square().sum().backward()
    for claim in claims:
        if not claim.is_trained:
            assert claim.parameter.grad is None
    moved = [c for c in claims if c.parameter.grad is not None and c.parameter.grad.any()]
    assert {c.depth for c in moved} == {c.depth for c in claims if c.is_trained}


@pytest.mark.parametrize("family", CONFIGS)
def test_a_network_is_kept_and_read_again(tmp_path: Path, family: str) -> None:
    network = tiny(tmp_path, family)
    write_tensors(tmp_path / "model.safetensors", network.model_state())
    other = tiny(tmp_path / "other", family)
    nn.init.ones_(other.head.linear.weight)
    other.load_state_dict(read_state(tmp_path / "model.safetensors"))
    tokens = texts([4, 2])
    assert torch.equal(other(tokens), network(tokens))
    assert torch.equal(network.frozen_copy()(tokens), network(tokens))


@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_short_products_change_little(tmp_path: Path, family: str) -> None:
    network, tokens = tiny(tmp_path, family), texts([9, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        short = network(tokens)
    assert torch.allclose(short.float(), network(tokens), atol=0.05)


def test_every_rule_is_tested() -> None:
    assert set(FAMILIES) == set(CONFIGS) - set(UNCUT)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@torch.no_grad()
def test_poolings_look_at_real_tokens_alone(tmp_path: Path, pooling: str) -> None:
    network = tiny(tmp_path, "bert", pooling)
    tokens = texts([5, 2])
    states = network.run_blocks(tokens, 0, len(network.blocks) - 1)
    assert isinstance(states, Sequences)
    states = network.block_outputs(tokens, 0)[-2].data.numpy()
    features = network.backbone(tokens).numpy()
    for row, length in enumerate([5, 2]):
        real = states[row, :length]
        expected = {"mean": real.mean(0), "cls": real[0], "max": real.max(0)}[pooling]
        np.testing.assert_allclose(features[row], expected, atol=1e-6)
