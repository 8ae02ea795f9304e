"""Maps of several strides are taken, joined and hashed as one value."""

import pytest
import torch

from sftcore.models.dense.maps import (
    Maps,
    contiguous_copy,
    join,
    num_bytes,
    take,
    to_bytes,
    to_device,
    to_float,
)


def drawn(rows: int, seed: int = 0) -> Maps:
    torch.manual_seed(seed)
    return Maps((4, 16), (torch.rand(rows, 2, 6, 5), torch.rand(rows, 3, 2, 2)))


@pytest.mark.parametrize("index", [torch.tensor([4, 0, 4]), slice(1, 3)])
def test_rows_are_taken_of_every_map(index: torch.Tensor | slice) -> None:
    maps = drawn(5)
    taken = take(maps, index)
    assert taken.strides == (4, 16)
    assert torch.equal(taken[4], maps.tensors[0][index])
    assert torch.equal(taken[16], maps.tensors[1][index])
    assert len(taken) == len(taken[16])


def test_joined_rows_are_those_of_the_parts_in_their_order() -> None:
    maps = drawn(5)
    parts = [take(maps, slice(0, 2)), take(maps, slice(2, 2)), take(maps, slice(2, 5))]
    assert to_bytes(join(parts)) == to_bytes(maps)
    assert to_bytes(join(parts[::-1])) != to_bytes(maps)
    assert to_bytes(join([drawn(2, 1), drawn(2, 2)])) != to_bytes(join([drawn(2, 2), drawn(2, 1)]))


def test_size_bytes_and_place() -> None:
    maps = drawn(5)
    assert num_bytes(maps) == 5 * (2 * 6 * 5 + 3 * 2 * 2) * 4 == len(to_bytes(maps))
    assert maps.sizes == {4: (6, 5), 16: (2, 2)}
    assert to_device(maps, "cpu").device == maps.device == torch.device("cpu")
    assert to_device(maps, "meta").tensors[1].device.type == "meta"
    assert [each.dtype for each in to_float(maps.each(torch.Tensor.half)).tensors] == [
        torch.float32
    ] * 2


def test_a_copy_shares_nothing_and_lies_row_by_row() -> None:
    maps = drawn(2).each(
        lambda each: each.to(memory_format=torch.channels_last).requires_grad_() * 2
    )
    copy = contiguous_copy(maps)
    assert to_bytes(copy) == to_bytes(maps)
    for mine, theirs in zip(copy.tensors, maps.tensors, strict=True):
        assert mine.is_contiguous()
        assert not mine.requires_grad
        assert mine.data_ptr() != theirs.data_ptr()


@pytest.mark.parametrize(
    ("strides", "shapes", "message"),
    [
        ((), [], "a tensor for each stride"),
        ((4, 8), [(1, 1, 1, 1)], "a tensor for each stride"),
        ((8, 4), [(1, 1, 1, 1)] * 2, "ascend"),
        ((4, 4), [(1, 1, 1, 1)] * 2, "ascend"),
        ((4, 8), [(1, 1, 1, 1), (2, 1, 1, 1)], "of the same pictures"),
        ((4, 8), [(1, 1, 1, 1), (1, 1, 1)], r"are \[B, C, H, W\]"),
        ((4,), [(1, 1)], r"are \[B, C, H, W\]"),
    ],
)
def test_what_are_no_maps_is_refused(
    strides: tuple[int, ...], shapes: list[tuple[int, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Maps(strides, tuple(map(torch.zeros, shapes)))


def test_maps_of_other_strides_are_not_joined() -> None:
    other = Maps((4, 8), drawn(1).tensors)
    for parts in ([drawn(1), other], []):
        with pytest.raises(ValueError, match="the same strides, and at least one part"):
            join(parts)
