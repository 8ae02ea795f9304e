"""Which tokens of a dialogue are learnt: told by characters, and never those of the prompt."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sftcore.foundations.errors import DataError, WeightsError
from sftcore.foundations.turns import Turn
from sftcore.models.text.answer_tokens import AnswerTokens, encode_dialogues
from sftcore.models.text.files import EncoderFiles
from sftcore.models.text.templates import (
    ChatTemplate,
    PlainTemplate,
    Rendered,
    end_of_text,
    load_template,
)
from sftcore.models.text.tokens import load_tokenizer
from tests.models.text.tiny_decoder import END, TEMPLATE, write_decoder, write_tokenizer

CHAT: list[Turn] = [
    ("user", "a cat runs ?"),
    ("assistant", "never"),
    ("user", "dog"),
    ("assistant", "red dog sleeps"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> EncoderFiles:
    return EncoderFiles(write_decoder(tmp_path_factory.mktemp("decoder")), "here")


def tokens_of(files: EncoderFiles, *dialogues: list[Turn], max_tokens: int = 60) -> AnswerTokens:
    template = load_template(files)
    rendered = [template.render(turns) for turns in dialogues]
    return encode_dialogues(load_tokenizer(files), rendered, max_tokens, end_of_text(files))


def words(files: EncoderFiles, tokens: AnswerTokens, row: int = 0, part: int = 1) -> str:
    own = slice(tokens.offsets[row], tokens.offsets[row + 1])
    ids = tokens.ids[own][tokens.parts[own] == part].tolist()
    return load_tokenizer(files).tokenizer.decode(ids, skip_special_tokens=False)


def test_answers_and_their_ends_are_learnt_and_nothing_else(files: EncoderFiles) -> None:
    tokens = tokens_of(files, CHAT)
    assert words(files, tokens) == "never <end> red dog sleeps <end>"
    prompts = words(files, tokens, part=0)
    assert prompts == (
        "<says> user a cat runs ? <end> <says> assistant <says> user dog <end> <says> assistant"
    )
    assert tokens.ids[-1] == END
    assert not tokens.is_cut.any()


def test_it_is_trained_on_the_text_that_it_will_be_asked_with(files: EncoderFiles) -> None:
    template = load_template(files)
    assert isinstance(template, ChatTemplate)
    whole = template.render(CHAT)
    for place in (1, 3):
        asked = template.prompt(CHAT[:place])
        assert whole.text.startswith(asked)
        (start, end) = whole.answers[place // 2]
        assert start == len(asked)
        assert whole.text[start:end] == f"{CHAT[place][1]}<end>"


def test_plain_prompts_and_texts_end_with_the_model_s_own_end(tmp_path: Path) -> None:
    files = EncoderFiles(write_decoder(tmp_path / "d", template=""), "here")
    template = load_template(files)
    assert isinstance(template, PlainTemplate)
    assert template.prompt([("user", "a cat")]) == "a cat\n"
    tokens = tokens_of(files, [("user", "a cat"), ("assistant", "dog .")], [("text", "red tree")])
    assert words(files, tokens, 0) == "dog . <end>"
    assert words(files, tokens, 0, part=0) == "<begin> a cat"
    assert words(files, tokens, 1) == "red tree <end>"
    assert words(files, tokens, 1, part=0) == "<begin>"


def test_the_template_may_stand_among_the_tokenizer_s_facts(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "d", template="")
    (folder / "config.json").write_text(json.dumps({"eos_token_id": [END, 1]}))
    facts = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(facts | {"chat_template": TEMPLATE}))
    files = EncoderFiles(folder, "here")
    assert load_template(files) == ChatTemplate(
        TEMPLATE, {"bos_token": "<begin>", "eos_token": "<end>"}, "<end>"
    )
    assert end_of_text(files) == END
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"tokenizer_config\.json of here is damaged"):
        load_template(files)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ messages | length }}", "rewrites earlier turns"),
        ("{{ raise_exception('no system here') }}", "cannot say this dialogue .*no system here"),
        ("{{ messages[0].__class__.__mro__ }}", "cannot say this dialogue"),
    ],
)
def test_what_a_template_cannot_do_is_said(template: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        ChatTemplate(template, {}, "").render(CHAT)


def test_a_longer_dialogue_is_cut_and_one_without_an_answer_is_refused(
    files: EncoderFiles,
) -> None:
    whole = tokens_of(files, CHAT)
    longest = len(whole.ids)
    for most in range(longest, 11, -1):
        tokens = tokens_of(files, CHAT, max_tokens=most)
        assert tokens.is_cut.tolist() == [most < longest]
        assert tokens.parts[-1] == 1, "what follows the last answer is left out"
        assert (tokens.ids == whole.ids[: len(tokens.ids)]).all()
    with pytest.raises(DataError, match=r"of 1 of 2 examples .* first is number 2: .*\(9\)"):
        tokens_of(files, [("text", "a")], CHAT, max_tokens=9)
    with pytest.raises(DataError, match="no dialogue"):
        tokens_of(files)


def test_a_token_across_the_border_is_the_answer_s(files: EncoderFiles) -> None:
    """Prompt and answer are tokenised together; a token that is of both is learnt."""
    tokenizer = load_tokenizer(files)
    rendered = Rendered("a cat dog", ((4, 9),), is_whole=True)  # begins inside of "cat"
    tokens = encode_dialogues(tokenizer, [rendered], 20, None)
    assert tokens.parts.tolist() == [0, 1, 1]


def test_batches_and_targets_belong_together(files: EncoderFiles) -> None:
    tokens = tokens_of(files, CHAT, CHAT[:2], [("text", "a cat dog tree")])
    rows = np.array([1, 0, 2, 0])
    batch, targets = tokens.batch(rows), tokens.targets(rows)
    assert batch.wanted is not None
    assert batch.data.shape[1] % 8 == 0
    assert batch.wanted.sum() == (targets[..., 1] > 0).sum()
    for place, row in enumerate(rows):
        own = tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]]
        parts = tokens.parts[tokens.offsets[row] : tokens.offsets[row + 1]]
        length = int(batch.lengths[place])
        assert length == len(own) - 1
        assert batch.data[place, :length].tolist() == own[:-1].tolist()
        assert batch.wanted[place, :length].tolist() == (parts[1:] == 1).tolist()
        assert not batch.wanted[place, length:].any()
        assert targets[place, :length, 0].tolist() == own[1:].tolist()
        assert targets[place, :length, 2].tolist() == parts[1:].tolist()
        assert not targets[place, length:].any()
    assert torch.equal(targets[..., 1], targets[..., 2])


def test_prompts_are_learnt_by_their_weight(files: EncoderFiles) -> None:
    tokens = tokens_of(files, CHAT, CHAT[:2])
    rows = np.array([0, 1])
    batch, targets = tokens.batch(rows, with_prompts=True), tokens.targets(rows, 0.25)
    assert batch.wanted is not None
    assert torch.equal(batch.wanted, batch.is_real)
    inside = targets[..., 1] > 0
    assert torch.equal(inside, batch.is_real[:, : inside.shape[1]])
    assert set(targets[..., 1][inside].tolist()) == {0.25, 1.0}
    assert torch.equal(targets[..., 1] == 1, targets[..., 2] == 1)
