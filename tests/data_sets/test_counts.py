"""What a scene's targets say is what its pixels show."""

import numpy as np
import pytest
from PIL import Image

from data.make.counts import counts_of
from data.make.crowds import SIDE, compose, draw_ground, visible_parts
from data.make.cutouts import Cutout, identity, is_one_piece


def disc(colour: tuple[int, int, int], side: int = 64) -> Cutout:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    pixels = np.zeros((side, side, 4), dtype=np.uint8)
    pixels[x**2 + y**2 <= (side / 2) ** 2] = (*colour, 255)
    return Cutout(str(colour), Image.fromarray(pixels))


POOL = [disc((255, 255, 255)), disc((0, 0, 0)), disc((255, 0, 0))]


def test_what_is_covered_is_where_the_picture_is_not_its_ground() -> None:
    """All cut-outs differ from the ground; only their soft edges may be read either way."""
    for number in range(8):
        scene = compose(POOL, 1 + number, number)
        grounds = (np.asarray(draw_ground(number, attempt)[1], int) for attempt in range(60))
        pixels = np.asarray(scene.picture, int)
        differs = min(((np.abs(pixels - g).max(axis=2) > 0) for g in grounds), key=np.sum)
        covered = scene.masks.any(axis=0)
        assert (covered & ~differs).sum() <= 0.02 * covered.sum()
        grown = np.zeros_like(covered)
        for down in range(-3, 4):
            for right in range(-3, 4):
                grown |= np.roll(covered, (down, right), axis=(0, 1))
        assert not (differs & ~grown).any()
        assert scene.num_covered == covered.sum()


def test_as_many_masks_as_the_count_says_and_all_are_seen() -> None:
    for count in (1, 5, 12):
        scene = compose(POOL, count, number=count)
        assert scene.picture.size == (SIDE, SIDE)
        assert len(scene.masks) == count
        assert visible_parts(scene.masks).min() >= 0.9


def test_a_scene_is_a_function_of_its_number_alone() -> None:
    first = [compose(POOL, 4, number).picture.tobytes() for number in (3, 8)]
    again = [compose(POOL, 4, number).picture.tobytes() for number in (8, 3)]
    assert first == again[::-1]
    assert first[0] != first[1]


def test_cutouts_that_are_like_every_ground_cannot_be_placed() -> None:
    hidden = Cutout("none", Image.new("RGBA", (64, 64)))
    with pytest.raises(RuntimeError, match="scene 0 does not fit 2 cut-outs"):
        compose([hidden], 2, 0)


def test_visible_parts_against_painting_pixel_by_pixel() -> None:
    masks = np.random.default_rng(0).uniform(size=(5, 9, 7)) < 0.4
    painted = np.full(masks.shape[1:], -1)
    for i, mask in enumerate(masks):
        painted[mask] = i
    expected = [np.sum(painted == i) / mask.sum() for i, mask in enumerate(masks)]
    assert visible_parts(masks).tolist() == expected


@pytest.mark.parametrize(
    ("rows", "is_one"),
    [
        ([".XX.", "XXXX", "XXXX", ".XX."], True),
        (["XXXX", "XXXX", "XXXX", "XXXX"], False),  # a sheet
        (["XXX.", "XX..", "....", "..XX"], False),  # two pieces
        (["X...", ".X..", "..X.", "...X"], True),  # hangs together over corners
        (["X......X", ".XXXXXX."], False),  # oblong
        (["X.......", "........", "........", ".......X"], False),  # nearly nothing
    ],
)
def test_one_piece(rows: list[str], is_one: bool) -> None:
    mask = np.array([[cell == "X" for cell in row] for row in rows])
    assert is_one_piece(mask) is is_one


def test_equal_pixels_of_another_shape_are_another_cutout() -> None:
    wide, high = (Cutout("", Image.new("RGBA", size)) for size in ((4, 2), (2, 4)))
    assert identity(wide) != identity(high)
    assert identity(wide) == identity(Cutout("elsewhere", wide.image))


def test_every_count_comes_equally_often_in_a_fixed_order() -> None:
    counts = counts_of(48, 12)
    assert [counts.count(n) for n in range(1, 13)] == [4] * 12
    assert counts == counts_of(48, 12)
    assert counts != sorted(counts)
