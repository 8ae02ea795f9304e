import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sftcore.foundations.boxes import Boxes, join_boxes, pack_boxes

COUNTS = st.lists(st.integers(0, 4), min_size=1, max_size=6)


def rows_of_boxes(counts: list[int], seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    stream = np.random.default_rng([seed, *counts])
    rows = []
    for count in counts:
        low = stream.integers(0, 50, (count, 2))
        corners = np.concatenate([low, low + stream.integers(0, 50, (count, 2))], axis=1)
        classes = stream.integers(0, 9, count)
        rows.append((torch.from_numpy(corners.astype(np.float32)), torch.from_numpy(classes)))
    return rows


def packed(rows: list[tuple[torch.Tensor, torch.Tensor]]) -> Boxes:
    return pack_boxes([corners for corners, _ in rows], [classes for _, classes in rows])


def assert_rows(boxes: Boxes, rows: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    assert len(boxes) == len(rows)
    assert boxes.counts.tolist() == [len(classes) for _, classes in rows]
    for picture, (corners, classes) in enumerate(rows):
        own_corners, own_classes = boxes.of(picture)
        assert torch.equal(own_corners, corners)
        assert torch.equal(own_classes, classes)


@settings(deadline=None, max_examples=60)
@given(COUNTS, st.data())
def test_pictures_are_taken_as_from_a_list(counts: list[int], data: st.DataObject) -> None:
    rows = rows_of_boxes(counts)
    place = st.integers(-len(rows), len(rows) - 1)
    index = data.draw(st.lists(place, max_size=8))
    assert_rows(packed(rows), rows)
    taken = packed(rows).take(torch.tensor(index, dtype=torch.int64))
    assert_rows(taken, [rows[place] for place in index])
    assert taken.to_bytes() == packed([rows[place] for place in index]).to_bytes()
    start, end = sorted(data.draw(st.tuples(place, place)))
    assert_rows(packed(rows).take(slice(start, end)), rows[start:end])


@settings(deadline=None, max_examples=60)
@given(COUNTS, COUNTS)
def test_parts_are_joined_one_after_the_other(first: list[int], second: list[int]) -> None:
    rows, more = rows_of_boxes(first), rows_of_boxes(second, seed=1)
    assert_rows(join_boxes([packed(rows), packed(more)]), rows + more)
    assert_rows(join_boxes([packed(rows)]), rows)


@settings(deadline=None, max_examples=60)
@given(COUNTS, st.randoms(use_true_random=False))
def test_some_are_kept_and_others_merged(counts: list[int], chance) -> None:
    rows = rows_of_boxes(counts)
    flags = [torch.tensor([chance.random() < 0.5 for _ in c], dtype=torch.bool) for _, c in rows]
    left = [(corners[flag], c[flag]) for (corners, c), flag in zip(rows, flags, strict=True)]
    assert_rows(packed(rows).kept(torch.cat(flags)), left)
    both = [
        (torch.cat([a, c]), torch.cat([b, d])) for (a, b), (c, d) in zip(rows, left, strict=True)
    ]
    assert_rows(packed(rows).merged(packed(left)), both)


def test_every_box_knows_its_picture() -> None:
    boxes = packed(rows_of_boxes([2, 0, 3, 0]))
    assert boxes.pictures.tolist() == [0, 0, 2, 2, 2]
    assert boxes.num_bytes == 5 * 4 * 4 + 5 * 8 + 5 * 8
    assert packed([]).take(slice(None)).pictures.tolist() == []
    with pytest.raises(ValueError, match="at least one part"):
        join_boxes([])
    with pytest.raises(ValueError, match="do not pair up"):
        boxes.merged(packed(rows_of_boxes([1])))


def test_bytes_tell_boxes_of_other_pictures_apart() -> None:
    rows = rows_of_boxes([1, 1])
    together = [(torch.cat([rows[0][0], rows[1][0]]), torch.cat([rows[0][1], rows[1][1]]))]
    none = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    contents = {packed(each).to_bytes() for each in (rows, [*together, none], [none, *together])}
    assert len(contents) == 3


@pytest.mark.parametrize(
    ("corners", "classes", "offsets", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(2).long(), torch.tensor([0, 2]), r"float32 \[M, 4\]"),
        (torch.zeros(2, 4).double(), torch.zeros(2).long(), torch.tensor([0, 2]), "float64"),
        (torch.zeros(2, 4), torch.zeros(1).long(), torch.tensor([0, 2]), r"int64 \[2\]"),
        (torch.zeros(2, 4), torch.zeros(2), torch.tensor([0, 2]), "classes are int64"),
        (torch.zeros(2, 4), torch.zeros(2).long(), torch.tensor([0, 1]), "rise from 0 to 2"),
        (torch.zeros(2, 4), torch.zeros(2).long(), torch.tensor([0, 3, 2]), "rise from 0"),
        (torch.zeros(2, 4), torch.zeros(2).long(), torch.tensor([1, 2]), "rise from 0"),
        (torch.zeros(2, 4), torch.zeros(2).long(), torch.zeros(0).long(), "offsets are"),
        (torch.zeros(2, 4), torch.tensor([0, -1]), torch.tensor([0, 2]), "counted from 0"),
        (torch.full((1, 4), torch.nan), torch.tensor([0]), torch.tensor([0, 1]), "finite"),
        (torch.tensor([[2.0, 0, 1, 1]]), torch.tensor([0]), torch.tensor([0, 1]), "at most right"),
        (torch.tensor([[0.0, 2, 1, 1]]), torch.tensor([0]), torch.tensor([0, 1]), "at most bottom"),
    ],
)
def test_what_are_no_boxes_is_refused(corners, classes, offsets, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Boxes(corners, classes, offsets)
