import numpy as np
import pytest
import torch
from scipy import stats

from sftcore.foundations.randomness import (
    derive_seed,
    numpy_stream,
    philox,
    row_uniforms,
    seed_global,
    torch_stream,
)


def test_a_stream_is_a_function_of_its_key() -> None:
    assert derive_seed(1, "order", 2) == derive_seed(1, "order", 2)
    keys = [(1, "order", 2), (2, "order", 2), (1, "order", 3), (1, "other", 2), (12, "order", "")]
    assert len({derive_seed(seed, *rest) for seed, *rest in keys}) == len(keys)
    assert 0 <= derive_seed(0) < 2**63


def test_streams_do_not_advance_each_other() -> None:
    first = numpy_stream(0, "a").random(3)
    numpy_stream(0, "b").random(100)
    np.testing.assert_array_equal(first, numpy_stream(0, "a").random(3))
    a, b = (torch.rand(3, generator=torch_stream(0, "a")) for _ in range(2))
    assert torch.equal(a, b)


def test_seed_global_decides_dropout() -> None:
    seed_global(0, "step", 5)
    first = torch.nn.functional.dropout(torch.ones(50))
    seed_global(0, "step", 5)
    assert torch.equal(first, torch.nn.functional.dropout(torch.ones(50)))
    seed_global(0, "step", 6)
    assert not torch.equal(first, torch.nn.functional.dropout(torch.ones(50)))


def test_seed_global_seeds_as_torch_does_and_writes_down_no_call_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(derive_seed(0, "step", 5))
    expected = torch.rand(3)
    stacks: list[object] = []
    monkeypatch.setattr("traceback.format_stack", lambda *_: stacks.append(0) or [])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    seed_global(0, "step", 5)
    assert torch.equal(torch.rand(3), expected)
    assert not stacks


def test_with_cuda_its_streams_are_seeded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.manual_seed", seeds.append)
    seed_global(0, "step", 5)
    assert seeds == [derive_seed(0, "step", 5)]


def test_known_seed_stays() -> None:
    """Another value would silently change every published number."""
    assert derive_seed(0, "split", "abc") == 2571590055298537056


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000",
         "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
         "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
         "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)  # fmt: skip
def test_philox_gives_the_known_words_of_its_authors(counter: str, key: str, words: str) -> None:
    """Random123's file kat_vectors, lines philox4x32 10."""
    numbers = [np.array([int(word, 16)], dtype=np.uint64) for word in counter.split()]
    first, second = (int(word, 16) for word in key.split())
    assert " ".join(f"{int(word[0]):08x}" for word in philox(numbers, (first, second))) == words


def test_a_row_s_numbers_are_its_own() -> None:
    """Whatever other rows are asked for, in whatever order, and however many numbers."""
    rows = np.array([7, 0, 7 + (1 << 32), 99_999])
    drawn = row_uniforms(3, "augmentation", 5, rows=rows, num=7)
    assert drawn.shape == (4, 7)
    for place, row in enumerate(rows):
        alone = row_uniforms(3, "augmentation", 5, rows=np.array([row]), num=4)
        np.testing.assert_array_equal(alone[0], drawn[place, :4])
    assert len(np.unique(drawn)) == drawn.size
    assert row_uniforms(0, "a", rows=np.array([], dtype=np.int64), num=3).shape == (0, 3)


def test_rows_purposes_epochs_and_seeds_are_independent_and_uniform() -> None:
    rows = np.arange(20_000)
    keys = [(0, "a", 0), (0, "a", 1), (0, "b", 0), (1, "a", 0)]
    columns = np.concatenate(
        [row_uniforms(seed, *key, rows=rows, num=5) for seed, *key in keys], axis=1
    )
    assert columns.min() >= 0
    assert columns.max() < 1
    assert min(stats.kstest(column, "uniform").pvalue for column in columns.T) > 1e-3
    # Neighbouring rows are one more series: shifted against itself.
    series = np.concatenate([columns, np.roll(columns[:, :1], 1, axis=0)], axis=1)
    correlation = np.corrcoef(series.T) - np.eye(series.shape[1])
    assert np.abs(correlation).max() < 4.5 / np.sqrt(len(rows))
    pairs, _, _ = np.histogram2d(columns[:-1, 0], columns[1:, 0], bins=10)
    assert stats.chisquare(pairs.ravel()).pvalue > 1e-3


def test_known_numbers_stay() -> None:
    """Other values would silently change every published number."""
    rows = np.array([0, 1, 1 << 32])
    assert row_uniforms(0, "augmentation", 0, rows=rows, num=2).tolist() == [
        [0.3192612005704546, 0.024409346263244425],
        [0.2438656760061615, 0.5189807913954814],
        [0.30045934575160005, 0.3820436659389983],
    ]
