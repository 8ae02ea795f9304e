"""Integrated gradients against what they are by definition, and what they leave behind: nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sftcore.evaluation.attribution import explain_texts, spans_of
from sftcore.evaluation.frozen import Frozen, frozen_network
from sftcore.evaluation.sight import TextSight
from sftcore.models.settings import ModelSettings
from sftcore.models.text.tokens import TextTokenizer
from sftcore.models.values import Sequences
from tests.models.text.tiny import CONFIGS, write_encoder

TEXTS = ["a red cat sleeps", "dog", "the dog never runs always a red tree house a cat a dog"]
CLASSES, OTHERS = np.array([0, 2, 1]), np.array([1, 0, 2])


def tiny(folder: Path, family: str = "bert") -> Frozen:
    """An encoder with a head that says something."""
    backbone = f"transformers/{write_encoder(folder, family)}"
    fields = {"backbone": backbone, "weights": "pretrained", "text": {"max_tokens": 12}}
    model = ModelSettings.model_validate(fields)
    frozen = frozen_network(model, num_outputs=3, image_size=0, seed=0, device=torch.device("cpu"))
    with torch.no_grad():
        frozen.network.head.linear.weight.mul_(30)
    return frozen


def explain(frozen: Frozen, texts: list[str] = TEXTS, rows: slice = slice(None)) -> list[Any]:
    assert isinstance(frozen.sight, TextSight)
    return explain_texts(frozen.network, frozen.sight, texts[rows], CLASSES[rows], OTHERS[rows])


class Bag(nn.Module):
    """Logits are linear in the mean of a text's embeddings."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, 7)
        self.head = nn.Linear(7, 3)

    def forward(self, tokens: Sequences) -> torch.Tensor:
        states = tokens.with_data(self.token_embedding(tokens.data)).data
        return self.head(states.sum(dim=1) / tokens.lengths[:, None])


def test_of_a_bag_of_embeddings_it_is_weight_times_input(tmp_path: Path) -> None:
    sight: Any = tiny(tmp_path).sight
    torch.manual_seed(3)
    bag: Any = Bag(sight.tokenizer.num_ids).eval()
    found = explain_texts(bag, sight, TEXTS, CLASSES, OTHERS)
    table, mask = bag.token_embedding.weight.detach(), sight.tokenizer.mask_id
    for text, of, first, second in zip(TEXTS, found, CLASSES, OTHERS, strict=True):
        ids = sight.tokenizer.tokenizer.encode(text).ids
        direction = (bag.head.weight[first] - bag.head.weight[second]).detach()
        expected = (table[ids[1:-1]] - table[mask]) @ direction / len(ids)
        np.testing.assert_allclose([s.weight for s in of.spans], expected, rtol=2e-5, atol=1e-7)
        assert abs(of.error) < 1e-6


@pytest.mark.parametrize("family", CONFIGS)
def test_weights_add_up_to_the_difference_of_the_answers(family: str, tmp_path: Path) -> None:
    frozen = tiny(tmp_path, family)
    tokenizer: TextTokenizer = frozen.sight.tokenizer  # type: ignore[attr-defined]
    for text, of, first, second in zip(TEXTS, explain(frozen), CLASSES, OTHERS, strict=True):
        shown = tokenizer.encode([text], 12).batch(np.array([0]))
        hidden = shown.data.clone()
        hidden[0, 1 : shown.lengths[0] - 1] = tokenizer.mask_id
        with torch.no_grad():
            own, none = (frozen.network(Sequences(d, shown.lengths))[0]
                         for d in (shown.data, hidden))  # fmt: skip
        difference = float((own[first] - own[second]) - (none[first] - none[second]))
        assert of.difference == pytest.approx(difference, abs=1e-4)
        total = sum(span.weight for span in of.spans)
        assert total == pytest.approx(difference, abs=max(1e-3, 0.01 * abs(difference)))
        assert of.error == pytest.approx(total - difference, abs=1e-4)


def test_each_weight_is_the_integral_along_the_line(tmp_path: Path) -> None:
    frozen = tiny(tmp_path)
    network, sight = frozen.network, frozen.sight
    assert isinstance(sight, TextSight)
    shown = sight.tokenizer.encode(TEXTS[:1], 12).batch(np.array([0]))
    embedding = network.token_embedding
    end = embedding(shown.data).detach()
    begin = end.clone()
    begin[0, 1:-1][: int(shown.lengths[0]) - 2] = embedding.weight[sight.tokenizer.mask_id].detach()
    total = torch.zeros_like(end)
    for place in range(400):
        here = (begin + (place + 0.5) / 400 * (end - begin)).requires_grad_()
        handle = embedding.register_forward_hook(lambda *_, here=here: here)
        logits = network(shown)[0]
        handle.remove()
        total += torch.autograd.grad(logits[0] - logits[1], here)[0] / 400
    expected = ((end - begin) * total).sum(dim=2)[0]
    weights = [span.weight for span in explain(frozen)[0].spans]
    np.testing.assert_allclose(weights, expected[1 : 1 + len(weights)], rtol=1e-3, atol=2e-4)
    assert max(map(abs, weights)) > 0.05


def test_it_is_the_same_twice_and_whatever_else_is_explained(tmp_path: Path) -> None:
    frozen = tiny(tmp_path)
    first = explain(frozen)
    assert explain(frozen) == first
    assert explain(frozen, rows=slice(1, 2)) == first[1:2]
    assert explain(frozen, TEXTS[::-1], slice(1, 2)) == first[1:2]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    frozen = tiny(tmp_path)
    network = frozen.network
    for parameter in list(network.parameters())[::2]:
        parameter.requires_grad_(False)

    def state() -> Any:
        modules = [
            (m.training, len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in network.modules()
        ]
        parameters = [(p.requires_grad, p.grad, p._version) for p in network.parameters()]
        return modules, parameters, torch.is_grad_enabled(), torch.get_rng_state().tolist()

    with torch.no_grad():
        before = state()
        inside = explain(frozen)
        assert state() == before
    assert explain(frozen) == inside
    network.requires_grad_(False)
    assert explain(frozen) == inside


def test_words_behind_the_cut_have_no_span(tmp_path: Path) -> None:
    spans = explain(tiny(tmp_path))[2].spans
    words = [TEXTS[2][span.start : span.end] for span in spans]
    assert words == TEXTS[2].split()[:10]  # 12 tokens, two of which are special


def test_without_a_mask_the_unknown_token_hides_words(tmp_path: Path) -> None:
    frozen = tiny(tmp_path)
    assert isinstance(frozen.sight, TextSight)
    tokenizer = frozen.sight.tokenizer
    found = []
    for mask, unknown in ((None, 1), (None, None)):
        other = TextTokenizer(tokenizer.tokenizer, "", (), mask, unknown)
        sight = TextSight(other, 12)
        found.append(explain_texts(frozen.network, sight, TEXTS, CLASSES, OTHERS))
    assert found[0][2].spans[0].weight == 0  # "the" is unknown, so nothing is hidden
    assert found[1][2].spans[0].weight != 0
    assert found[0] != explain(frozen)


def test_tokens_of_a_word_are_one_span() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {
        piece: place for place, piece in enumerate(["[UNK]", "un", "##kind", "##ly", "cat", "."])
    }
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    text = "unkindly  cat.\nunkind"
    encoding = tokenizer.encode(text)
    weights = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 1000.0]  # the last is of padding
    found = [(text[s.start : s.end], s.weight) for s in spans_of(text, encoding, weights)]
    assert found == [("unkindly", 7), ("cat", 8), (".", 16), ("unkind", 96)]


def test_a_space_before_a_word_is_no_part_of_it_and_tokens_of_no_word_stand_alone() -> None:
    encoding = SimpleNamespace(
        special_tokens_mask=[1, 0, 0, 0, 1],
        word_ids=[None, 0, None, None, None],
        offsets=[(0, 0), (0, 3), (2, 6), (6, 7), (0, 0)],
    )
    found = spans_of("日本 cat!", encoding, [9.0, 1.0, 2.0, 3.0, 9.0])
    assert [(s.start, s.end, s.weight) for s in found] == [(0, 2, 1.0), (3, 6, 2.0), (6, 7, 3.0)]
