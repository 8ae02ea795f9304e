"""A quantised model in one file becomes a folder, once; its numbers are the library's."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants

from sftcore.foundations.artifacts import sha256_file
from sftcore.foundations.errors import WeightsError
from sftcore.models.start import build_start
from sftcore.models.text import files, quantised
from sftcore.models.text.files import EncoderFiles, PackagedEncoder
from sftcore.models.text.quantised import unpacked
from sftcore.models.text.settings import TextOptions
from sftcore.models.text.templates import ChatTemplate, end_of_text, load_template
from sftcore.models.text.tokens import load_tokenizer
from sftcore.models.values import Sequences

WIDTH, INNER, HEADS, VOCABULARY = 32, 64, 2, 64
TEMPLATE = "{% for m in messages %}{{ m.content }}<e>{% endfor %}"


def write_gguf(path: Path) -> Path:
    """A Llama of one layer with 4-bit weights, a byte-level tokenizer and a chat template."""
    stream = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("gpt2")
    letters = [chr(33 + n) for n in range(VOCABULARY - 4)]
    writer.add_token_list(["<|endoftext|>", "<b>", "<e>", *letters, "AB"])
    writer.add_token_merges(["A B"])
    writer.add_token_types([3, 3, 3, *[1] * (VOCABULARY - 3)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    shapes = {
        "token_embd": (VOCABULARY, WIDTH), "blk.0.attn_q": (WIDTH, WIDTH),
        "blk.0.attn_k": (WIDTH // 2, WIDTH), "blk.0.attn_v": (WIDTH // 2, WIDTH),
        "blk.0.attn_output": (WIDTH, WIDTH), "blk.0.ffn_gate": (INNER, WIDTH),
        "blk.0.ffn_up": (INNER, WIDTH), "blk.0.ffn_down": (WIDTH, INNER),
    }  # fmt: skip
    kind = GGMLQuantizationType.Q4_1
    for name, shape in shapes.items():
        values = stream.normal(size=shape).astype(np.float32)
        writer.add_tensor(f"{name}.weight", quants.quantize(values, kind), raw_dtype=kind)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFT_SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch" / "weights"


def test_a_file_becomes_a_folder_once(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    folder = unpacked(file)
    assert folder == scratch / sha256_file(file)
    found = EncoderFiles(folder, "here")
    tokens = {"bos_token": "<b>", "eos_token": "<e>"}
    assert load_template(found) == ChatTemplate(TEMPLATE, tokens, "<e>")
    assert end_of_text(found) == 2
    text = load_tokenizer(found).tokenizer.encode("ABC<e>", add_special_tokens=False)
    assert text.tokens[-1] == "<e>"

    def fails(*_: Any) -> None:
        raise AssertionError("it is unpacked again")

    monkeypatch.setattr(quantised, "_unpack", fails)
    assert unpacked(file) == folder

    from transformers import AutoModelForCausalLM

    library = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=file.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    start = build_start(
        backbone=f"transformers/{folder}", weights="pretrained", num_classes=0, dropout=0.0,
        seed=0, device=torch.device("cpu"), goes_on=True,
        text=TextOptions(hidden_dropout=0.0, max_tokens=32),
    )  # fmt: skip
    ids = torch.arange(5, 21)[None]
    with torch.no_grad():
        own = start.network.eval()(Sequences(ids, torch.tensor([16])))
        assert torch.allclose(own, library(input_ids=ids).logits[0], atol=1e-4)


def test_a_package_names_what_is_made_of_it(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "tiny_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('code of the package was run')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    tensors = unpacked(write_gguf(package / "tiny.gguf")) / "model.safetensors"
    known = PackagedEncoder(
        "tiny-weights", "tiny_weights", sha256_file(tensors), "MIT", "tiny.gguf"
    )
    monkeypatch.setitem(files.PACKAGED, "a/tiny", known)
    found = files.find_files("transformers/a/tiny", "package")
    assert (found.folder, found.origin, found.licence) == (
        tensors.parent, "package tiny-weights", "MIT",
    )  # fmt: skip
    monkeypatch.setitem(files.PACKAGED, "a/tiny", PackagedEncoder(
        "dvc", "tiny_weights", "0" * 64, "MIT", "tiny.gguf"
    ))  # fmt: skip
    with pytest.raises(WeightsError, match="holds other weights than recorded"):
        files.find_files("transformers/a/tiny", "package")
    monkeypatch.setitem(files.PACKAGED, "a/tiny", PackagedEncoder("x", "x_weights", "", "", "y"))
    with pytest.raises(WeightsError, match="the package x is not installed"):
        files.find_files("transformers/a/tiny", "package")


def test_a_damaged_file_is_said_and_leaves_nothing(tmp_path: Path, scratch: Path) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(WeightsError, match=r"tiny\.gguf cannot be unpacked"):
        unpacked(file)
    assert [path.suffix for path in scratch.iterdir()] == [".lock"]
