"""Noise on embeddings, dropped tokens and R3F against their formulas, text by text."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy, kstest
from torch import nn

from sftcore.foundations.randomness import row_uniforms
from sftcore.regularization.embedding_noise import neftune_noise, noise_added, uniform_noise
from sftcore.regularization.r3f import NOISE_BOUND, r3f_noise, r3f_penalty
from sftcore.regularization.token_dropout import drop_tokens

ROWS, LENGTHS = np.array([7, 2, 2 + (1 << 32), 40]), np.array([5, 3, 3, 8])
SPECIAL = (0, 1, 2, 3, 4)


def test_neftune_is_uniform_within_its_bound_and_zero_behind_the_end() -> None:
    noise = neftune_noise(LENGTHS, (8, 64), 5.0, rows=ROWS, seed=3, epoch=1)
    assert noise.shape == (4, 8, 64)
    for text, length in enumerate(LENGTHS):
        real = noise[text, :length].numpy()
        bound = 5 / np.sqrt(length * 64)
        assert np.abs(real).max() <= bound
        assert kstest(real.ravel() / bound, "uniform", args=(-1, 2)).pvalue > 1e-3
        assert not noise[text, length:].any()
        assert np.linalg.norm(real) == pytest.approx(5 / np.sqrt(3), rel=0.1)


def test_noise_is_the_counter_based_numbers_of_the_row() -> None:
    noise = neftune_noise(LENGTHS, (8, 6), 5.0, rows=ROWS, seed=3, epoch=1)
    for text, (row, length) in enumerate(zip(ROWS, LENGTHS, strict=True)):
        key = ("embedding noise", 1)
        drawn = row_uniforms(3, *key, rows=np.array([row]), num=length * 6)[0]
        expected = (2 * drawn - 1) * 5 / np.sqrt(length * 6)
        np.testing.assert_array_equal(
            noise[text, :length].numpy().ravel(), expected.astype(np.float32)
        )


def test_noise_depends_on_the_text_alone() -> None:
    def draw(
        chosen: list[int], width: int = 8, seed: int = 3, epoch: int = 1, r3f: bool = False
    ) -> torch.Tensor:
        key = {"rows": ROWS[chosen], "seed": seed, "epoch": epoch}
        if r3f:
            return r3f_noise(LENGTHS[chosen], (width, 6), **key)
        return neftune_noise(LENGTHS[chosen], (width, 6), 5.0, **key)

    for is_r3f in (False, True):
        every = draw([0, 1, 2, 3], r3f=is_r3f)
        some = draw([2, 0], width=16, r3f=is_r3f)
        assert torch.equal(some[:, :8], every[[2, 0]])
        assert not some[:, 8:].any()
        assert not torch.equal(every[1], every[2])  # drawn twice in an epoch
        assert not torch.equal(draw([0], seed=4, r3f=is_r3f), draw([0], r3f=is_r3f))
        assert not torch.equal(draw([0], epoch=2, r3f=is_r3f), draw([0], r3f=is_r3f))
    assert draw([0], r3f=True).abs().max() <= NOISE_BOUND
    bounds = np.ones(1)
    one = uniform_noise(LENGTHS[:1], (8, 6), bounds, rows=ROWS[:1], seed=3, epoch=1, purpose="a")
    two = uniform_noise(LENGTHS[:1], (8, 6), bounds, rows=ROWS[:1], seed=3, epoch=1, purpose="b")
    assert not torch.equal(one, two)


def test_noise_is_added_for_a_while() -> None:
    table = nn.Embedding(9, 6)
    ids = torch.tensor([[1, 2, 3], [4, 5, 0]])
    noise = torch.randn(2, 3, 6)
    before = table(ids)
    with noise_added(table, noise):
        assert torch.equal(table(ids), before + noise)
        with pytest.raises(ValueError, match="does not belong to embeddings"):
            table(ids[:, :2])
    assert torch.equal(table(ids), before)
    with pytest.raises(ValueError, match="reached nothing"), noise_added(table, noise):
        pass


def texts() -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([400, 200, 200, 399])
    ids = torch.randint(5, 20, (4, 400), generator=torch.Generator().manual_seed(0))
    ids[:, 0] = 2
    ids[torch.arange(4), lengths - 1] = 3
    ids[torch.arange(400) >= lengths[:, None]] = 0
    return ids, lengths


def drop(
    ids: torch.Tensor, lengths: torch.Tensor, rows: np.ndarray, p: float = 0.3, epoch: int = 0
) -> torch.Tensor:
    return drop_tokens(
        ids, lengths, p, substitute=4, special_ids=SPECIAL, rows=rows, seed=1, epoch=epoch
    )


def test_real_tokens_are_dropped_as_often_as_asked() -> None:
    ids, lengths = texts()
    dropped = drop(ids, lengths, ROWS)
    changed = dropped != ids
    assert set(dropped[changed].tolist()) == {4}
    assert not changed[ids < 5].any()
    uniforms = row_uniforms(1, "token dropout", 0, rows=ROWS, num=400)
    np.testing.assert_array_equal(changed.numpy(), (uniforms < 0.3) & (ids.numpy() >= 5))
    count = int((ids >= 5).sum())
    assert abs(int(changed.sum()) / count - 0.3) < 4 * np.sqrt(0.3 * 0.7 / count)


def test_what_is_dropped_depends_on_the_text_alone() -> None:
    ids, lengths = texts()
    every = drop(ids, lengths, ROWS)
    some = drop(ids[[2, 0], :256], torch.tensor([200, 256]), ROWS[[2, 0]])
    assert torch.equal(some, every[[2, 0], :256])
    assert not torch.equal(drop(ids, lengths, ROWS, epoch=1), every)
    assert drop(ids, lengths, ROWS, p=0.0) is ids


def test_r3f_is_the_symmetric_divergence() -> None:
    stream = np.random.default_rng(0)
    a, b = stream.normal(size=(5, 3)), stream.normal(size=(5, 3))
    p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (a, b))
    expected = sum(entropy(p[i], q[i]) + entropy(q[i], p[i]) for i in range(5))
    ours = [torch.from_numpy(x).requires_grad_() for x in (a, b)]
    assert float(r3f_penalty(*ours).detach()) == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(r3f_penalty, ours)
    assert float(r3f_penalty(ours[0], ours[0]).detach()) == 0.0
    near = torch.from_numpy(a + 1e-6 * b).float()
    assert r3f_penalty(torch.from_numpy(a).float(), near) >= 0
