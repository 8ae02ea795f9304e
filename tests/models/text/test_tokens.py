"""Texts become ids as transformers' own tokenizer has them, and batches are functions of rows."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sftcore.foundations.artifacts import write_json
from sftcore.foundations.errors import DataError, WeightsError
from sftcore.models.text.files import EncoderFiles, find_files
from sftcore.models.text.start import write_description
from sftcore.models.text.tokens import load_tokenizer, tokenizer_digest
from tests.models.text.tiny import write_config, write_tokenizer

MINILM = "transformers/sentence-transformers/all-MiniLM-L6-v2"
TEXTS = [
    "A cat sleeps.",
    "",
    "Ünïcödé, 漢字 and emoji 🙂 in one line",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen",
    "[MASK] is written out",
]


@pytest.fixture
def words(tmp_path: Path) -> EncoderFiles:
    write_tokenizer(write_config(tmp_path / "e", "bert"))
    return find_files(f"transformers/{tmp_path / 'e'}", "none")


@pytest.mark.parametrize("max_tokens", [12, 64])
def test_ids_are_those_of_transformers(max_tokens: int) -> None:
    from transformers import AutoTokenizer

    files = find_files(MINILM, "package")
    tokens = load_tokenizer(files).encode(TEXTS, max_tokens)
    theirs = AutoTokenizer.from_pretrained(files.folder)
    expected = theirs(TEXTS, truncation=True, max_length=max_tokens)["input_ids"]
    whole = theirs(TEXTS)["input_ids"]
    for row, ids in enumerate(expected):
        ours = tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]]
        assert ours.tolist() == ids
        assert tokens.is_cut[row] == (len(whole[row]) > max_tokens)
    assert tokens.num_cut == sum(len(ids) > max_tokens for ids in whole)
    assert (tokens.ids.dtype, tokens.offsets.dtype) == (np.int32, np.int64)
    assert tokens.lengths.tolist() == [len(ids) for ids in expected]


def test_what_the_file_says_of_cutting_and_padding_is_set_anew(words: EncoderFiles) -> None:
    tokenizer = load_tokenizer(words)
    tokens = tokenizer.encode(["a cat sleeps never always", "dog"], 16)
    assert tokens.lengths.tolist() == [7, 3]
    assert not tokens.is_cut.any()
    cut = tokenizer.encode(["a cat sleeps never always", "dog"], 5)
    assert cut.lengths.tolist() == [5, 3]
    assert cut.ids[4] == 3  # the end is kept
    assert cut.is_cut.tolist() == [True, False]


def test_special_tokens_are_known(words: EncoderFiles) -> None:
    tokenizer = load_tokenizer(words)
    assert tokenizer.special_ids == (0, 1, 2, 3, 4)
    assert (tokenizer.mask_id, tokenizer.unknown_id, tokenizer.num_ids) == (4, 1, 15)
    minilm = load_tokenizer(find_files(MINILM, "package"))
    assert minilm.special_ids == (0, 100, 101, 102, 103)
    assert (minilm.mask_id, minilm.unknown_id, minilm.num_ids) == (103, 100, 30522)


def test_a_batch_is_padded_to_its_largest_bucket(words: EncoderFiles) -> None:
    tokens = load_tokenizer(words).encode(["a", "cat " * 7, "dog " * 20, "red"], 20)
    batch = tokens.batch(np.array([1, 0, 1]))
    assert batch.data.shape == (3, 16)
    assert batch.data.dtype == batch.lengths.dtype == torch.int64
    assert batch.lengths.tolist() == [9, 3, 9]
    assert torch.equal(batch.data[0], batch.data[2])
    assert batch.data[1].tolist() == [2, 5, 3] + [0] * 13
    assert tokens.batch(np.array([0, 3])).data.shape == (2, 8)
    assert tokens.batch(np.array([2])).data.shape == (1, 20)  # no more than the longest text
    assert tokens.batch(np.array([0]), bucket=1).data.shape == (1, 3)
    assert len(tokens) == 4


def test_the_digest_is_that_of_the_content(words: EncoderFiles, tmp_path: Path) -> None:
    path = words.folder / "tokenizer.json"
    before = tokenizer_digest(words)
    content = json.loads(path.read_text())
    write_json(path, content | {"truncation": None, "padding": None})
    assert tokenizer_digest(words) == before
    content["model"]["vocab"]["cat"], content["model"]["vocab"]["dog"] = 7, 6
    write_json(path, content)
    assert tokenizer_digest(words) != before


@pytest.mark.parametrize("name", ["words", "minilm"])
def test_a_kept_description_reads_texts_as_before(
    words: EncoderFiles, tmp_path: Path, name: str
) -> None:
    files = words if name == "words" else find_files(MINILM, "package")
    write_description(files, tmp_path / "kept")
    kept = find_files(f"transformers/{tmp_path / 'kept'}", "none")
    before, after = (load_tokenizer(each) for each in (files, kept))
    assert before.sha256 == after.sha256
    first, second = (each.encode(TEXTS, 32) for each in (before, after))
    assert first.ids.tolist() == second.ids.tolist()
    assert before.special_ids == after.special_ids


def test_texts_that_cannot_be_read_say_why(words: EncoderFiles, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(words)
    with pytest.raises(DataError, match="no text"):
        tokenizer.encode([], 8)
    with pytest.raises(DataError, match="no room beside 2 special"):
        tokenizer.encode(["a"], 2)
    (words.folder / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"tokenizer.json of folder e is no tokenizer"):
        load_tokenizer(words)
    (words.folder / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"has no tokenizer.json, without which no text"):
        load_tokenizer(words)
    with pytest.raises(WeightsError, match=r"no tokenizer.json to keep"):
        write_description(words, tmp_path / "kept")


def test_a_tokenizer_of_another_encoder_is_refused(words: EncoderFiles) -> None:
    write_config(words.folder, "bert", vocab_size=14)
    with pytest.raises(WeightsError, match="counts 15 tokens and the encoder 14"):
        load_tokenizer(words)


def test_a_text_without_any_token_is_named(words: EncoderFiles) -> None:
    path = words.folder / "tokenizer.json"
    write_json(path, json.loads(path.read_text()) | {"post_processor": None})
    with pytest.raises(DataError, match=r"text 1 \(counted from 0\) gives no token"):
        load_tokenizer(words).encode(["cat", " ", "dog"], 8)
