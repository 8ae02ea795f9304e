"""The parts of every decoder in their order, and its head, are the model of the library."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sftcore.foundations.errors import WeightsError
from sftcore.models.network import Network
from sftcore.models.parameter_groups import claim_parameters
from sftcore.models.start import build_start
from sftcore.models.text.decoder import TiedHead
from sftcore.models.text.linear import use_one_dnn
from sftcore.models.text.settings import TextOptions
from sftcore.models.values import Sequences, take
from tests.models.text.test_families import texts
from tests.models.text.tiny import write_encoder
from tests.models.text.tiny_decoder import CONFIGS, VOCABULARY, causal_lm, write_decoder

UNCUT = ["stablelm"]
LENGTHS = [9, 3, 16, 1]
PADDING_BOUND = 2e-6  # as of encoders


def build(folder: Path, weights: str = "pretrained", **options: Any) -> Network:
    return build_start(
        backbone=f"transformers/{folder}", weights=weights, num_classes=0, dropout=0.0, seed=0,
        device=torch.device("cpu"), goes_on=True,
        text=TextOptions(**{"hidden_dropout": 0.0, "max_tokens": 32} | options),
    ).network.eval()  # fmt: skip


def tokens(lengths: list[int] = LENGTHS, width: int | None = None) -> Sequences:
    return texts(lengths, width=width)


@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_the_parts_in_order_are_the_model(tmp_path: Path, family: str) -> None:
    network = build(write_decoder(tmp_path / "d", family))
    library = causal_lm(family)
    use_one_dnn(library)
    rows = tokens()
    logits = network(rows)
    assert logits.shape == (sum(LENGTHS), VOCABULARY)
    first = 0
    for row, length in enumerate(LENGTHS):
        alone = library(input_ids=rows.data[row : row + 1], use_cache=False).logits[0, :length]
        own = logits[first : first + length]
        # One row and several are products of other shapes, which add in another order.
        assert torch.allclose(own, alone, atol=1e-5), family
        first += length
    together = library(input_ids=rows.data, use_cache=False).logits
    assert torch.equal(logits, together[rows.is_real])
    assert len(network.segments) == (1 if family in UNCUT else 4)
    assert len(network.blocks) == 4


@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_a_kept_beginning_gives_the_same_bits(tmp_path: Path, family: str) -> None:
    network = build(write_decoder(tmp_path / "d", family))
    rows = tokens()
    whole = network(rows)
    for block in range(len(network.blocks) + 1):
        kept = network.run_blocks(rows, 0, block)
        assert torch.equal(network(kept, block), whole)


@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_padding_and_companions_hardly_change_a_row(tmp_path: Path, family: str) -> None:
    network = build(write_decoder(tmp_path / "d", family))
    rows = tokens(width=24)
    together = network.run_blocks(rows, 0, len(network.blocks))
    for row, length in enumerate(LENGTHS):
        alone = network.run_blocks(take(rows, torch.tensor([row])), 0, len(network.blocks))
        difference = together.data[row, :length] - alone.data[0, :length]
        assert difference.abs().max() < PADDING_BOUND
        assert not together.data[row, length:].any()


@torch.no_grad()
def test_no_token_knows_a_later_one(tmp_path: Path) -> None:
    network = build(write_decoder(tmp_path / "d"))
    rows = tokens([12])
    changed = Sequences(rows.data.clone(), rows.lengths)
    changed.data[0, 7] = (changed.data[0, 7] + 1) % VOCABULARY
    before, after = network(rows), network(changed)
    assert torch.equal(before[:7], after[:7])
    assert not torch.equal(before[7], after[7])


@torch.no_grad()
def test_a_head_is_asked_only_where_it_is_wanted(tmp_path: Path) -> None:
    network = build(write_decoder(tmp_path / "d"))
    rows = tokens()
    wanted = rows.is_real & (torch.arange(16) % 3 == 1)
    asked = network(Sequences(rows.data, rows.lengths, wanted))
    whole = network(rows)
    assert torch.allclose(asked, whole[wanted[rows.is_real]], atol=1e-6)


def test_a_tied_table_is_one_parameter_and_is_trained_last(tmp_path: Path) -> None:
    network = build(write_decoder(tmp_path / "d"))
    assert isinstance(network.head, TiedHead)
    assert not list(network.head.parameters())
    assert [name for name in network.state_dict() if "embed_tokens" in name] == [
        "backbone.model.embed_tokens.weight"
    ]
    for first_block, is_trained in ((0, True), (1, False)):
        claims = claim_parameters(
            network, first_block=first_block, freeze_norm=False, penalize_norm_and_bias=False
        )
        (table,) = [claim for claim in claims if "embed_tokens" in claim.name]
        assert (table.is_trained, table.is_penalized) == (is_trained, False)
        assert not any(claim.is_penalized for claim in claims if "norm" in claim.name)
    twin = network.frozen_copy()
    assert twin.head._tables[0] is twin.backbone.model.embed_tokens
    assert twin.head._tables[0] is not network.backbone.model.embed_tokens
    assert torch.equal(twin(tokens()), network(tokens()))


def test_an_own_head_is_the_last_to_be_frozen(tmp_path: Path) -> None:
    network = build(write_decoder(tmp_path / "d", "mistral"))
    claims = claim_parameters(
        network, first_block=len(network.blocks), freeze_norm=False, penalize_norm_and_bias=False
    )
    assert [claim.name for claim in claims if claim.is_trained] == ["head.linear.weight"]


def test_weights_none_are_random_and_differ_by_seed(tmp_path: Path) -> None:
    folder = write_decoder(tmp_path / "d")
    first, again = build(folder, "none"), build(folder, "none")
    assert torch.equal(first(tokens()), again(tokens()))
    assert not torch.equal(first(tokens()), build(folder)(tokens()))


def test_old_names_of_the_first_models_are_read(tmp_path: Path) -> None:
    """GPT-2's files have no outer name, and hold masks that are computed."""
    folder = write_decoder(tmp_path / "d", "gpt2")
    state = load_file(folder / "model.safetensors")
    old = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
    old |= {f"h.{n}.attn.bias": torch.ones(1, 1, 8, 8) for n in range(3)}
    expected = build(folder)(tokens())
    save_file(old, folder / "model.safetensors")
    assert torch.equal(build(folder)(tokens()), expected)


@pytest.mark.parametrize(
    ("family", "change", "said"),
    [
        ("mistral", lambda s: s.pop("lm_head.weight"), r"its head wants \[24, 16\].* hold none"),
        ("mistral", lambda s: s.update({"lm_head.weight": torch.ones(3, 16)}), r"hold \[3, 16\]"),
        ("llama", lambda s: s.update({"lm_head.weight": torch.ones(24, 16)}), "tie_word_emb"),
        ("llama", lambda s: s.pop("model.norm.weight"), r"only in the backbone.*norm\.weight"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, family: str, change: Any, said: str
) -> None:
    folder = write_decoder(tmp_path / "d", family)
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=f"(?s){said}"):
        build(folder)


def test_a_head_that_is_there_twice_and_equal_is_no_fault(tmp_path: Path) -> None:
    folder = write_decoder(tmp_path / "d")
    state = load_file(folder / "model.safetensors")
    expected = build(folder)(tokens())
    state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
    save_file(state, folder / "model.safetensors")
    assert torch.equal(build(folder)(tokens()), expected)


def test_what_is_no_decoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is no decoder that goes on with a text"):
        build(write_encoder(tmp_path / "encoder"))
    folder = write_decoder(tmp_path / "d")
    with pytest.raises(WeightsError, match="sees a text both ways"):
        build_start(
            backbone=f"transformers/{folder}", weights="pretrained", num_classes=2, dropout=0.0,
            seed=0, device=torch.device("cpu"), text=TextOptions(hidden_dropout=0.0),
        )  # fmt: skip
    fields = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(fields | {"model_type": "cohere", "logit_scale": 0.0625})
    )
    with pytest.raises(WeightsError, match="changes its logits"):
        build(folder)
    with pytest.raises(WeightsError, match="takes at most 64 tokens"):
        build(write_decoder(tmp_path / "e"), max_tokens=65)
    with pytest.raises(WeightsError, match="reads pictures"):
        build_start(
            backbone="timm/test_vit", weights="none", num_classes=0, dropout=0.0, seed=0,
            device=torch.device("cpu"), goes_on=True,
        )  # fmt: skip
