"""How a decoder goes on with prompts: as the library does, whatever else is asked."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from sftcore.foundations.errors import DataError
from sftcore.models.network import Network
from sftcore.models.start import build_start
from sftcore.models.text.generation import BATCH_SIZE, Sampling, continue_prompts
from tests.models.text.test_decoders import build
from tests.models.text.tiny_decoder import (
    CONFIGS,
    END,
    SPECIAL,
    VOCABULARY,
    causal_lm,
    write_decoder,
)

STREAM = np.random.default_rng(0)
PROMPTS = [
    STREAM.integers(len(SPECIAL), VOCABULARY, length).tolist() for length in (3, 9, 1, 17, 8, 3, 12)
]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return build(write_decoder(tmp_path_factory.mktemp("decoder"), seed=5))


@pytest.mark.parametrize("family", CONFIGS)
def test_greedy_it_goes_on_as_the_library_does(tmp_path: Path, family: str) -> None:
    network = build(write_decoder(tmp_path / "d", family, seed=5))
    library = causal_lm(family, seed=5)
    found = continue_prompts(network, PROMPTS, most_tokens=12, end=END)
    for prompt, own in zip(PROMPTS, found, strict=True):
        with torch.no_grad():
            whole = library.generate(
                torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)).long(),
                do_sample=False, max_new_tokens=12, eos_token_id=END, pad_token_id=END,
            )[0, len(prompt) :].tolist()  # fmt: skip
        wanted = whole[: whole.index(END)] if END in whole else whole
        assert list(own.ids) == wanted
        assert own.has_ended is (END in whole)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(1.0, 0.9, seed=3)])
def test_companions_change_nothing(network: Network, sampling: Sampling) -> None:
    many = [*PROMPTS * 4]
    whole = continue_prompts(network, many, most_tokens=9, end=END, sampling=sampling)
    assert len(many) > BATCH_SIZE
    alone = continue_prompts(network, many[:1], most_tokens=9, end=END, sampling=sampling)
    assert whole[0] == alone[0]
    assert whole == continue_prompts(network, many, most_tokens=9, end=END, sampling=sampling)


def test_draws_follow_the_chances_and_their_seed(network: Network) -> None:
    prompt, count = PROMPTS[1], 600
    drawn = continue_prompts(
        network, [prompt] * count, most_tokens=1, end=None, sampling=Sampling(0.7, 1.0, seed=1)
    )
    other = continue_prompts(
        network, [prompt] * count, most_tokens=1, end=None, sampling=Sampling(0.7, 1.0, seed=2)
    )
    assert drawn != other
    library = causal_lm("llama", seed=5)
    with torch.no_grad():
        logits = library(input_ids=torch.tensor([prompt]), use_cache=False).logits[0, -1]
    chances = (logits.double() / 0.7).softmax(0).numpy()
    counts = Counter(found.ids[0] for found in drawn)
    observed = np.array([counts[token] for token in range(VOCABULARY)])
    expected = chances * count
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert statistic < 60, "chi-squared of 23 degrees of freedom: 60 is beyond 1 in 30,000"


def test_of_few_chances_only_the_likeliest_are_drawn(network: Network) -> None:
    greedy = continue_prompts(network, PROMPTS, most_tokens=6, end=END)
    narrow = Sampling(1.0, top_p=1e-9, seed=7)
    assert continue_prompts(network, PROMPTS, most_tokens=6, end=END, sampling=narrow) == greedy
    cold = Sampling(1e-4, seed=7)
    assert continue_prompts(network, PROMPTS, most_tokens=6, end=END, sampling=cold) == greedy


def test_what_cannot_be_gone_on_with_is_refused(network: Network) -> None:
    with pytest.raises(DataError, match="prompt 2 has 0 tokens"):
        continue_prompts(network, [[5], []], most_tokens=1, end=END)
    with pytest.raises(DataError, match="takes 1 to 64 together"):
        continue_prompts(network, [[5] * 60], most_tokens=5, end=END)
    pictures = build_start(
        backbone="timm/test_vit", weights="none", num_classes=2, image_size=32, dropout=0.0,
        seed=0, device=torch.device("cpu"),
    ).network  # fmt: skip
    with pytest.raises(TypeError, match="reads no prompts"):
        continue_prompts(pictures, [[5]], most_tokens=1, end=END)
