import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sftcore.data.pictures.decode import fit_square
from sftcore.data.pictures.letterbox import Letterbox
from sftcore.foundations.errors import DataError
from sftcore.foundations.masks import IGNORED

SIZES = st.tuples(st.integers(1, 300), st.integers(1, 300), st.integers(16, 80))
LINES = settings(deadline=None, max_examples=100)


def labels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng([height, width]).integers(0, 200, (height, width), dtype=np.uint8)


@LINES
@given(SIZES)
def test_boxes_come_back(sizes: tuple[int, int, int]) -> None:
    letterbox = Letterbox(*sizes)
    stream = np.random.default_rng(sizes)
    ends = np.sort(stream.random((20, 2, 2)), axis=1) * [letterbox.width, letterbox.height]
    boxes = ends.reshape(20, 4)
    square = letterbox.boxes_to_square(boxes)
    left, top, width, height = letterbox.content
    assert (square[:, :2] >= np.array([left, top]) - 1e-4).all()
    assert (square[:, 2:] <= np.array([left + width, top + height]) + 1e-4).all()
    assert square.dtype == letterbox.boxes_to_picture(square).dtype == np.float32
    np.testing.assert_allclose(letterbox.boxes_to_picture(square), boxes, atol=2e-3)


@LINES
@given(SIZES)
def test_a_whole_picture_fills_its_place(sizes: tuple[int, int, int]) -> None:
    """Against the picture as the network gets it, and the mask: one place for all three."""
    letterbox = Letterbox(*sizes)
    black = Image.new("RGB", (letterbox.width, letterbox.height))
    pixels = fit_square(black, letterbox.side, (255, 255, 255))[..., 0]
    mask = letterbox.mask_to_square(np.zeros((letterbox.height, letterbox.width), np.uint8))
    np.testing.assert_array_equal(mask, pixels)
    row, column = np.nonzero(pixels == 0)
    seen = [column.min(), row.min(), column.max() + 1, row.max() + 1]
    box = letterbox.boxes_to_square(np.array([[0, 0, letterbox.width, letterbox.height]]))[0]
    np.testing.assert_allclose(box, seen, atol=1e-4)
    assert max(seen[2] - seen[0], seen[3] - seen[1]) == letterbox.side


def test_what_is_outside_the_picture_is_clipped() -> None:
    letterbox = Letterbox(width=40, height=20, side=20)  # ten rows of picture, five of padding
    boxes = np.array([[-3, 0, 25, 20], [2, 1, 8, 4], [4, 4, 10, 6], [20, 15, 20, 15]])
    expected = [[0, 0, 40, 20], [4, 0, 16, 0], [8, 0, 20, 2], [40, 20, 40, 20]]
    np.testing.assert_array_equal(letterbox.boxes_to_picture(boxes), expected)
    assert letterbox.boxes_to_picture(np.zeros((0, 4))).shape == (0, 4)


@LINES
@given(SIZES)
def test_a_masks_pixels_are_the_nearest(sizes: tuple[int, int, int]) -> None:
    letterbox = Letterbox(*sizes)
    width, height = letterbox.width, letterbox.height
    column, row = np.meshgrid(np.arange(width), np.arange(height))
    left, top, new_width, new_height = letterbox.content
    for places, new, old, axis in (
        (column, new_width, width, 1),
        (row, new_height, height, 0),
    ):
        square = letterbox.mask_to_square(places, outside=-1)
        inside = square[top : top + new_height, left : left + new_width]
        centres = (np.arange(new) + 0.5) * old / new
        distances = np.abs(np.moveaxis(inside, axis, -1) + 0.5 - centres)
        assert distances.max() <= 0.5 + 1e-9
        assert (square == -1).sum() == letterbox.side**2 - new_width * new_height


@LINES
@given(SIZES)
def test_masks_come_back(sizes: tuple[int, int, int]) -> None:
    letterbox = Letterbox(*sizes)
    mask = labels(letterbox.height, letterbox.width)
    back = letterbox.mask_to_picture(letterbox.mask_to_square(mask))
    assert back.shape == mask.shape
    assert back.dtype == np.uint8
    assert (back != IGNORED).all()
    if max(letterbox.width, letterbox.height) <= letterbox.side:  # nothing was lost
        np.testing.assert_array_equal(back, mask)
    flat = np.full_like(mask, 7)
    np.testing.assert_array_equal(letterbox.mask_to_picture(letterbox.mask_to_square(flat)), flat)


@LINES
@given(SIZES)
def test_logits_come_back_to_where_they_were(sizes: tuple[int, int, int]) -> None:
    """A ramp of places must give the places of the picture's pixels, and end at its border."""
    letterbox = Letterbox(*sizes)
    left, top, width, height = letterbox.content
    centres = torch.arange(letterbox.side) + 0.5
    ramps = torch.stack(torch.meshgrid(centres, centres, indexing="xy"))
    back = letterbox.logits_to_picture(ramps)
    assert back.shape == (2, letterbox.height, letterbox.width)
    for ramp, start, new, old in (
        (back[0], left, width, letterbox.width),
        (back[1].T, top, height, letterbox.height),
    ):
        places = ((torch.arange(old) + 0.5) * new / old).clamp(0.5, new - 0.5)
        expected = (start + places).expand_as(ramp)
        torch.testing.assert_close(ramp, expected, atol=1e-3, rtol=0)


def test_logits_know_no_padding() -> None:
    logits = torch.full((1, 20, 20), 1e6)
    logits[:, 5:15] = 3.0
    for width, height in ((40, 20), (10, 5), (41, 21)):
        back = Letterbox(width, height, side=20).logits_to_picture(logits)
        torch.testing.assert_close(back, torch.full((1, height, width), 3.0))


@pytest.mark.parametrize(("width", "height"), [(1, 100), (100, 1), (1, 1)])
def test_a_picture_one_pixel_wide_goes_both_ways(width: int, height: int) -> None:
    letterbox = Letterbox(width, height, side=16)
    whole = np.array([[0, 0, width, height]], dtype=np.float32)
    back = letterbox.boxes_to_picture(letterbox.boxes_to_square(whole))
    np.testing.assert_allclose(back, whole, atol=1e-4)
    mask = np.full((height, width), 3, dtype=np.uint8)
    square = letterbox.mask_to_square(mask)
    assert (square == 3).sum() == (256 if width == height else 16)
    np.testing.assert_array_equal(letterbox.mask_to_picture(square), mask)


def test_other_sides_are_refused() -> None:
    with pytest.raises(DataError, match="picture's own size"):
        Letterbox(4, 3, side=16).mask_to_square(np.zeros((4, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="sides of 16"):
        Letterbox(4, 3, side=16).mask_to_picture(np.zeros((16, 15), dtype=np.uint8))
    with pytest.raises(ValueError, match="sides of 16"):
        Letterbox(4, 3, side=16).logits_to_picture(torch.zeros(2, 8, 8))
    with pytest.raises(ValueError, match="at least one pixel"):
        Letterbox(0, 3, side=16)
