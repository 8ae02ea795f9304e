import numpy as np
import pytest
import torch

from sftcore.data.pictures.copy_paste import (
    draw_objects,
    draw_partners,
    find_objects,
    paste,
)
from sftcore.data.pictures.placement import random_views
from sftcore.data.pictures.scenes import Scenes
from sftcore.foundations.errors import DataError
from tests.data.painted import (
    BACKGROUND,
    boxes_of,
    colour_of,
    content,
    from_objects,
    paint,
    without_objects,
)

COUNT, SIDE = 60, 24
ROWS = np.arange(COUNT) + (2 << 32)


def drawn(others: Scenes, partners: np.ndarray, epoch: int = 0) -> torch.Tensor:
    counts = others.boxes.counts.numpy()
    return torch.from_numpy(draw_objects(ROWS, partners, counts, 0, epoch))


def pasted_by_hand(
    below: np.ndarray, above: np.ndarray, chosen: list[int]
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """The classes seen, and the pixels of each object that has a box, of pictures in which the
    number of an object is its class; what is pasted has 100 more."""
    taken = np.isin(above, chosen)
    classes = np.where(taken, above, below)
    parts = {}
    for number in np.unique(below[below > 0]):
        whole = below == number
        left = whole & ~taken
        if left.sum() * 4 >= whole.sum():
            parts[int(number)] = left
    return classes, parts | {100 + number: above == number for number in chosen}


def test_pixels_masks_and_boxes_follow() -> None:
    """Against loops over the pictures in NumPy."""
    below, above = paint(COUNT, SIDE, 1, shapes=4), paint(COUNT, SIDE, 2, shapes=4, ellipses=True)
    is_pasted = drawn(above, np.full(COUNT, -1))
    result = paste(below, above, is_pasted)
    dropped = 0
    for picture in range(COUNT):
        numbers = above.boxes.of(picture)[1].tolist()
        flags = is_pasted[above.boxes.pictures == picture].tolist()
        chosen = [number for number, flag in zip(numbers, flags, strict=True) if flag]
        classes, parts = pasted_by_hand(
            below.masks[picture].numpy(), above.masks[picture].numpy(), chosen
        )
        np.testing.assert_array_equal(result.masks[picture].numpy(), classes)
        pixels = result.images[picture].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(pixels, colour_of(classes.astype(int)))
        corners, labels = result.boxes.of(picture)
        assert labels.tolist() == [number % 100 for number in parts]
        expected = [boxes_of(part)[0] for part in parts.values()]
        np.testing.assert_array_equal(corners.numpy(), np.reshape(expected, (-1, 4)))
        for number, part in enumerate(parts.values(), start=1):
            np.testing.assert_array_equal(result.objects[picture].numpy() == number, part)
        dropped += len(below.boxes.of(picture)[1]) + len(chosen) - len(parts)
    assert dropped > 10


def test_boxes_are_those_of_the_masks_after_views_and_pasting() -> None:
    below, above = (
        random_views(paint(COUNT, SIDE, seed, shapes=3), ROWS, 1.0, BACKGROUND, 0, 0, purpose=name)
        for seed, name in ((3, "one"), (4, "two"))
    )
    result = paste(below, above, drawn(above, np.full(COUNT, -1)))
    assert len(result.boxes.corners) > COUNT
    for picture in range(COUNT):
        objects, mask = result.objects[picture].numpy(), result.masks[picture].numpy()
        corners, labels = result.boxes.of(picture)
        np.testing.assert_array_equal(corners.numpy(), boxes_of(objects))
        for number, label in enumerate(labels.tolist(), start=1):
            assert set(mask[objects == number]) == {label}


@pytest.mark.parametrize(("covered", "is_kept"), [(5, True), (6, True), (7, False), (8, False)])
def test_an_object_of_which_a_quarter_is_seen_is_kept(covered: int, is_kept: bool) -> None:
    below, above = np.zeros((1, 8, 8), dtype=np.int32), np.zeros((1, 8, 8), dtype=np.int32)
    below[0, 3, :] = 1  # eight pixels
    below[0, 7, 7] = 2
    above[0, 3, :covered] = 5
    result = paste(from_objects(below), from_objects(above), torch.tensor([True]))
    assert result.boxes.classes.tolist() == ([1, 2, 5] if is_kept else [2, 5])
    assert result.boxes.corners[0].tolist() == ([covered, 3, 8, 4] if is_kept else [7, 7, 8, 8])
    assert (result.objects > 0).sum() == (9 if is_kept else 1 + covered)
    assert (result.masks == 1).sum() == 8 - covered


def test_pictures_without_pasted_objects_stay_bit_for_bit() -> None:
    below, above = paint(COUNT, SIDE, 5, shapes=3), paint(COUNT, SIDE, 6, shapes=3)
    odd = below.boxes.with_corners(below.boxes.corners + 0.25)  # as someone has drawn them
    below = Scenes(below.images, below.masks, odd, below.objects)
    partners = np.where(np.arange(COUNT) % 3 == 0, np.arange(COUNT), -1)  # a third are their own
    is_pasted = drawn(above, partners)
    result = paste(below, above, is_pasted)
    index = torch.arange(0, COUNT, 3)
    assert content(result.take(index)) == content(below.take(index))
    assert content(paste(below, above, torch.zeros_like(is_pasted))) == content(below)
    others = torch.arange(1, COUNT, 3)
    assert content(result.take(others)) != content(below.take(others))


def test_an_object_that_no_pixel_shows_is_not_pasted() -> None:
    below, above = paint(1, SIDE, 7), paint(1, SIDE, 8, shapes=2)
    hidden = Scenes(above.images, above.masks, above.boxes, torch.zeros_like(above.objects))
    assert content(paste(below, hidden, torch.tensor([True, True]))) == content(below)


def test_an_object_that_no_pixel_shows_is_left_alone_or_dropped() -> None:
    """An annotation may name what its map does not show: in a picture that changes it is hidden."""
    below, above = paint(2, SIDE, 12), paint(2, SIDE, 13)
    hidden = Scenes(below.images, below.masks, below.boxes, torch.zeros_like(below.objects))
    result = paste(hidden, above, torch.tensor([False, True]))
    assert torch.equal(result.boxes.of(0)[0], below.boxes.of(0)[0])
    assert torch.equal(result.boxes.of(1)[0], above.boxes.of(1)[0])


def test_boxes_alone_are_refused_with_a_reason() -> None:
    scenes = paint(2, SIDE, 9)
    for pair in ((without_objects(scenes), scenes), (scenes, without_objects(scenes))):
        with pytest.raises(DataError, match="what is behind its object"):
            paste(*pair, torch.tensor([True, True]))
    plain = Scenes(scenes.images, None, scenes.boxes, scenes.objects)
    with pytest.raises(ValueError, match="both have masks, or neither"):
        paste(scenes, plain, torch.tensor([True, True]))
    assert paste(plain, plain, torch.tensor([True, True])).masks is None
    with pytest.raises(ValueError, match="as many partners"):
        paste(scenes, scenes.take(slice(0, 1)), torch.tensor([True]))


def test_a_rows_pasting_does_not_depend_on_its_companions() -> None:
    below, above = paint(COUNT, SIDE, 10, shapes=3), paint(COUNT, SIDE, 11, shapes=3)
    partners = draw_partners(ROWS, np.arange(200), 0.8, 0, 0)
    together = paste(below, above, drawn(above, partners))
    for some in ([4], [59, 3, 20], [8, 8]):
        index = torch.tensor(some)
        few = above.take(index)
        counts = few.boxes.counts.numpy()
        own = draw_partners(ROWS[some], np.arange(200)[::-1], 0.8, 0, 0)
        np.testing.assert_array_equal(own, partners[some])
        is_pasted = torch.from_numpy(draw_objects(ROWS[some], own, counts, 0, 0))
        alone = paste(below.take(index), few, is_pasted)
        assert content(alone) == content(together.take(index))


def test_partners_are_any_other_pictures() -> None:
    rows = np.arange(9000) % 3 + (np.arange(9000) << 32)
    pool = np.array([9, 1, 5, 2])
    partners = draw_partners(rows, pool, 0.75, 0, 0)
    own = np.arange(9000) % 3
    for row, others in ((0, [1, 2, 5, 9]), (1, [2, 5, 9]), (2, [1, 5, 9])):
        drawn_ones, counts = np.unique(partners[own == row], return_counts=True)
        shares = dict(zip(drawn_ones.tolist(), counts / 3000, strict=True))
        assert set(shares) == {row, *others}
        assert abs(shares.pop(row) - 0.25) < 0.03
        assert all(abs(share - 0.75 / len(others)) < 0.03 for share in shares.values())
    assert (draw_partners(rows, pool, 0.0, 0, 0) == own).all()
    full = draw_partners(rows, pool, 1.0, 0, 0)
    assert (full != own).all()
    assert (full != draw_partners(rows, pool, 1.0, 0, 1)).mean() > 0.5
    assert (full != draw_partners(rows, pool, 1.0, 1, 0)).mean() > 0.5
    np.testing.assert_array_equal(draw_partners(rows[:3], np.array([1]), 1.0, 0, 0), [1, 1, 1])
    np.testing.assert_array_equal(draw_partners(rows[:3], pool[:0], 1.0, 0, 0), [0, 1, 2])


def test_a_coin_for_each_object_and_one_at_least() -> None:
    counts = np.tile([1, 0, 2, 5], 2000)
    rows, partners = np.arange(8000), np.full(8000, 9000)
    is_pasted = draw_objects(rows, partners, counts, 0, 0)
    numbers = np.array([part.sum() for part in np.split(is_pasted, np.cumsum(counts)[:-1])])
    assert (numbers[counts == 1] == 1).all()
    assert numbers[counts > 0].min() == 1
    # of 2: 1 in 3 of 4 cases and 2 in 1; of 5: 2.5, and 1 more in 1 of 32 cases
    assert abs(numbers[counts == 2].mean() - 1.25) < 0.05
    assert abs(numbers[counts == 5].mean() - (2.5 + 1 / 32)) < 0.1
    assert not np.array_equal(is_pasted, draw_objects(rows, partners, counts, 0, 1))
    assert not draw_objects(rows, rows, counts, 0, 0).any()
    assert draw_objects(rows[:0], rows[:0], counts[:0], 0, 0).shape == (0,)
    assert draw_objects(rows[:2], partners[:2], np.zeros(2, dtype=int), 0, 0).shape == (0,)


def flooded(mask: np.ndarray, label: int) -> list[set[tuple[int, int]]]:
    """What hangs together of one class, by walking from pixel to pixel."""
    rest = {(int(y), int(x)) for y, x in np.argwhere(mask == label)}
    parts = []
    while rest:
        todo = [min(rest)]
        part = set()
        while todo:
            y, x = todo.pop()
            if (y, x) in rest:
                rest.remove((y, x))
                part.add((y, x))
                todo += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        parts.append(part)
    return parts


def test_objects_are_what_hangs_together_of_a_class() -> None:
    stream = np.random.default_rng(0)
    masks = stream.choice([0, 1, 2, 3, 255], p=[0.5, 0.2, 0.2, 0.05, 0.05], size=(20, 12, 12))
    objects, boxes = find_objects(masks.astype(np.uint8), [3, 1])
    for picture, mask in enumerate(masks):
        parts = [(label, part) for label in (1, 3) for part in flooded(mask, label)]
        corners, labels = boxes.of(picture)
        assert labels.tolist() == [label for label, _ in parts]
        assert (objects[picture] > 0).sum() == sum(len(part) for _, part in parts)
        for number, (_, part) in enumerate(parts, start=1):
            places = np.argwhere(objects[picture].numpy() == number)
            assert {(y, x) for y, x in places.tolist()} == part
        np.testing.assert_array_equal(corners.numpy(), boxes_of(objects[picture].numpy()))
    nothing, none = find_objects(masks[:2], [77])
    assert not nothing.any()
    assert none.counts.tolist() == [0, 0]
