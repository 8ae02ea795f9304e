"""Rows of pictures and of texts are taken, joined and hashed by the same functions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sftcore.models.values import (
    Sequences,
    Values,
    contiguous_copy,
    join,
    num_bytes,
    num_rows,
    padded_length,
    take,
    to_bytes,
    to_device,
)


def ragged(lengths: list[int], width: int = 0, seed: int = 0, dims: int = 0) -> Sequences:
    stream = np.random.default_rng(seed)
    shape = (len(lengths), max(width, *lengths), *([dims] if dims else []))
    data = torch.zeros(shape, dtype=torch.float32 if dims else torch.int64)
    for row, length in enumerate(lengths):
        drawn = stream.integers(1, 99, (length, *shape[2:]))
        data[row, :length] = torch.from_numpy(drawn).to(data.dtype)
    return Sequences(data, torch.tensor(lengths))


def as_lists(values: Sequences) -> list[object]:
    return [
        row[:length].tolist()
        for row, length in zip(values.data, values.lengths.tolist(), strict=True)
    ]


@pytest.mark.parametrize("dims", [0, 3])
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=6),
    st.lists(st.integers(0, 5), min_size=1, max_size=7),
)
def test_taken_rows_are_those_rows_whatever_they_lay_among(
    dims: int, lengths: list[int], chosen: list[int]
) -> None:
    values = ragged(lengths, width=24, dims=dims)
    rows = [number % len(lengths) for number in chosen]
    taken = take(values, torch.tensor(rows))
    assert as_lists(taken) == [as_lists(values)[row] for row in rows]
    longest = max(lengths[row] for row in rows)
    assert taken.data.shape[1] == -(-longest // 8) * 8
    assert not taken.data[~taken.is_real].any()
    alone = [take(values, slice(row, row + 1)) for row in rows]
    assert to_bytes(join(alone)) == to_bytes(taken)


def test_pictures_are_taken_and_joined_as_ever() -> None:
    pictures = torch.rand(5, 3, 2, 2)
    index = torch.tensor([4, 0])
    assert torch.equal(take(pictures, index), pictures[index])
    assert torch.equal(take(pictures, slice(1, 3)), pictures[1:3])
    assert torch.equal(join([pictures[:2], pictures[2:]]), pictures)
    assert num_rows(pictures) == 5
    assert num_bytes(pictures) == 5 * 12 * 4 == len(to_bytes(pictures))
    turned = pictures.permute(0, 2, 3, 1)
    copy = contiguous_copy(turned)
    assert torch.equal(copy, turned)
    assert copy.is_contiguous()
    assert copy.data_ptr() != pictures.data_ptr()


def test_texts_know_their_size_their_place_and_their_ends() -> None:
    texts = ragged([3, 1], width=8)
    assert num_rows(texts) == len(texts) == 2
    assert num_bytes(texts) == 2 * 8 * 8 + 2 * 8 == len(to_bytes(texts))
    assert texts.is_real.tolist() == [[True] * 3 + [False] * 5, [True] + [False] * 7]
    assert to_device(texts, "cpu").device == torch.device("cpu")
    copy = contiguous_copy(texts)
    copy.data[0, 0] = -1
    assert texts.data[0, 0] != -1
    states = texts.with_data(torch.ones(2, 8, 2))
    assert states.data.sum() == (3 + 1) * 2
    assert texts.with_data(torch.ones(2, 8)).data.sum() == 4


def test_joined_texts_have_zeros_behind_the_shorter_ones() -> None:
    both = join([ragged([3], dims=2), ragged([9, 2], seed=1, dims=2)])
    assert both.data.shape == (3, 9, 2)
    assert both.lengths.tolist() == [3, 9, 2]
    assert not both.data[~both.is_real].any()


def test_bytes_tell_a_zero_from_an_end() -> None:
    ids = torch.tensor([[7, 0]])
    assert to_bytes(Sequences(ids, torch.tensor([1]))) != to_bytes(
        Sequences(ids, torch.tensor([2]))
    )


@pytest.mark.parametrize(
    ("length", "most", "expected"), [(1, None, 8), (8, None, 8), (9, None, 16), (9, 12, 12)]
)
def test_lengths_are_rounded_up_but_not_above_the_most(
    length: int, most: int | None, expected: int
) -> None:
    assert padded_length(length, 8, most) == expected


def test_what_does_not_belong_together_is_refused() -> None:
    mixed: list[Values] = [torch.zeros(1, 2), ragged([2])]
    with pytest.raises(ValueError, match="of one kind"):
        join(mixed)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="at least one part"):
        join([])
    with pytest.raises(ValueError, match=r"sequences are \[B, L\]"):
        Sequences(torch.zeros(2), torch.tensor([1, 1]))
    with pytest.raises(ValueError, match="with lengths"):
        Sequences(torch.zeros(2, 3), torch.tensor([1]))
