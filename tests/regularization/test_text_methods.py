"""The answers that only texts have, on a small encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sftcore.foundations.errors import WeightsError
from sftcore.models.network import Network
from sftcore.models.start import build_start
from sftcore.models.text.encoder import TextEncoder
from sftcore.models.text.settings import TextOptions
from sftcore.models.values import Sequences
from sftcore.regularization.embedding_noise import neftune_noise, noise_added
from sftcore.regularization.mixout import mixed_with_origin
from sftcore.regularization.r3f import r3f_noise, r3f_penalty
from sftcore.regularization.reinitialize import reinitialize
from tests.models.text.tiny import CONFIGS, write_config

CUT = [family for family in CONFIGS if family not in ("albert", "ernie")]
TOKENS = Sequences(
    torch.tensor([[2, 7, 8, 9, 3, 0, 0, 0], [2, 6, 3, 0, 0, 0, 0, 0]]), torch.tensor([5, 3])
)


def tiny(folder: Path, family: str) -> tuple[Network, TextEncoder]:
    start = build_start(
        backbone=f"transformers/{write_config(folder / family, family)}", weights="none",
        num_classes=3, dropout=0.0, seed=0, device=torch.device("cpu"),
        text=TextOptions(pooling="mean", hidden_dropout=0.0, max_tokens=32),
    )  # fmt: skip
    assert isinstance(start.network.backbone, TextEncoder)
    return start.network, start.network.backbone


@pytest.mark.parametrize("family", CUT)
def test_the_last_layers_begin_anew(tmp_path: Path, family: str) -> None:
    network, encoder = tiny(tmp_path, family)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert encoder.top_layers(0) == {}
    reinitialize(encoder.top_layers(2), 0.5, seed=3)
    assert torch.isfinite(network(TOKENS)).all()
    changed = {
        network.block_of(name)
        for name, tensor in network.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {2, 3}  # of the blocks embeddings, 0, 1, 2
    with pytest.raises(WeightsError, match="4 layers are asked for, and the encoder has 3"):
        encoder.top_layers(4)


def test_layers_that_are_not_known_do_not_begin_anew(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="layers of albert are not known"):
        tiny(tmp_path, "albert")[1].top_layers(1)


@pytest.mark.parametrize("family", CONFIGS)
def test_noise_reaches_the_features_and_padding_does_not_matter(
    tmp_path: Path, family: str
) -> None:
    network, encoder = tiny(tmp_path, family)
    network.eval()
    width = encoder.token_embedding(TOKENS.data).shape[-1]
    plain = network(TOKENS)
    lengths, key = TOKENS.lengths.numpy(), {"rows": np.array([4, 9]), "seed": 0, "epoch": 0}
    with noise_added(encoder.token_embedding, neftune_noise(lengths, (8, width), 5.0, **key)):
        noisy = network(TOKENS)
    wide = Sequences(torch.nn.functional.pad(TOKENS.data, (0, 8)), TOKENS.lengths)
    with noise_added(encoder.token_embedding, neftune_noise(lengths, (16, width), 5.0, **key)):
        assert torch.allclose(network(wide), noisy, atol=2e-6)
    assert not torch.allclose(noisy, plain, atol=1e-4)
    assert torch.equal(network(TOKENS), plain)
    with noise_added(encoder.token_embedding, r3f_noise(lengths, (8, width), **key)):
        penalty = r3f_penalty(plain, network(TOKENS))
    assert 0 <= float(penalty.detach()) < 1e-4


@pytest.mark.parametrize("family", CONFIGS)
def test_an_encoder_computes_with_mixed_weights(tmp_path: Path, family: str) -> None:
    network, encoder = tiny(tmp_path, family)
    network.eval()
    origins = {
        f"backbone.{name}": torch.zeros_like(parameter)
        for name, parameter in encoder.named_parameters()
        if parameter.ndim == 2 and "embeddings." not in name
    }
    plain = network(TOKENS)
    with mixed_with_origin(network, origins, 0.5, seed=0, step=1):
        mixed = network(TOKENS)
        again = network(TOKENS)
    assert torch.equal(mixed, again)
    assert not torch.equal(mixed, plain)
    assert torch.equal(network(TOKENS), plain)
    mixed.sum().backward()
    assert all(network.get_parameter(name).grad is not None for name in origins)
