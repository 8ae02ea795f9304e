"""Pieces of text, the tokenizer that is learnt of them, and the decoder that is shipped."""

import io
import json
import tarfile
from pathlib import Path

import pytest
import torch

from data.make.decoder import CONFIG, END, MOST_CHARACTERS, learn_tokens, pieces, store_of, texts_of
from data.make.folders import DATA
from data.make.npm import NpmPackage, find_tarball
from sftcore.evaluation.frozen import frozen_network
from sftcore.evaluation.speaking import speaker_of
from sftcore.foundations.artifacts import sha256_bytes
from sftcore.foundations.errors import DataError
from sftcore.foundations.turns import TEXT, write_turns
from sftcore.models.settings import ModelSettings
from sftcore.models.text.settings import TextOptions

PROSE = (
    "We the people of the land have come together in this place to speak of the year that is past."
)


def test_pieces_are_whole_sentences_and_hold_the_whole_text() -> None:
    text = " ".join(f"Sentence {n} is here;\nand it goes on." for n in range(60)) + " x" * 300
    found = list(pieces(text))
    assert " ".join(found).split() == text.split()
    assert all(0 < len(piece) <= MOST_CHARACTERS for piece in found)
    assert all(piece.endswith((".", ";")) for piece in found[:-3])


def test_a_tokenizer_is_the_same_twice_and_loses_nothing() -> None:
    from tokenizers import Tokenizer

    texts = [f"{n} men of the north, and {n} of the south." for n in range(200)]
    content = learn_tokens(texts)
    assert content == learn_tokens(texts)
    tokenizer = Tokenizer.from_str(content)
    assert tokenizer.token_to_id(END) == CONFIG["eos_token_id"] == 0
    for text in ("7 men, naïve — and 日本.", texts[0]):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_a_store_of_texts_validates_by_hash() -> None:
    store = store_of([f"text {n}" for n in range(600)])
    other = store_of([f"text {n}" for n in reversed(range(600))])
    assert len(store.split("val")) == 500
    chosen = {store.texts.read([row])[0] for row in store.split("val")}
    assert chosen == {other.texts.read([row])[0] for row in other.split("val")}


def test_a_tarball_is_asked_for_by_its_hash(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "made-set-1.0.tgz", "w:gz") as archive:
        for name, text in (("package/data/b.txt", b"two"), ("package/data/a.txt", b"one"),
                           ("package/README.md", b"no")):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    digest = sha256_bytes((tmp_path / "made-set-1.0.tgz").read_bytes())
    package = NpmPackage("@made/set", "1.0", digest)
    assert texts_of(package, tmp_path) == ["one", "two"]
    with pytest.raises(DataError, match="is another file"):
        find_tarball(NpmPackage("@made/set", "1.0", "0" * 64), tmp_path)
    with pytest.raises(DataError, match="npm pack @made/other@2"):
        find_tarball(NpmPackage("@made/other", "2", digest), tmp_path)


def test_the_shipped_decoder_speaks_better_than_by_frequency() -> None:
    """Of 4,096 tokens each costs 8.3 nats by guessing, and about 6 by its frequency."""
    folder = DATA / "decoder"
    assert json.loads((folder / "config.json").read_text()) == CONFIG
    frozen = frozen_network(
        ModelSettings(
            backbone=f"transformers/{folder}", weights="pretrained",
            text=TextOptions(hidden_dropout=0.0, max_tokens=64),
        ),
        num_outputs=0, image_size=0, seed=0, device=torch.device("cpu"), goes_on=True,
    )  # fmt: skip
    assert sum(p.numel() for p in frozen.network.parameters()) == 1_803_904
    speaker = speaker_of(frozen.network, frozen.sight)
    assert speaker is not None
    ((loss, count, _),) = speaker.sums([write_turns([(TEXT, PROSE)])]).tolist()
    assert loss / count < 5
