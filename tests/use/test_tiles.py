"""Tiles of large pictures: where they lie, how they are cut, and how their answers are joined."""

import numpy as np
import pytest
import torch
from PIL import Image

from sftcore.data.kinds import Refused
from sftcore.data.pictures.decode import Decoding, decode_square
from sftcore.data.pictures.letterbox import Letterbox
from sftcore.evaluation.predict import Seen
from sftcore.models.dense.resampling import upsample
from sftcore.use import found_masks
from sftcore.use.found_boxes import find_boxes, is_better_elsewhere
from sftcore.use.found_masks import blended, find_mask
from sftcore.use.tiled_pictures import gathered
from sftcore.use.tiles import (
    Cutting,
    TiledAnswers,
    TiledPicture,
    Tiling,
    cut_picture,
    tile_starts,
    tile_weights,
    tiling_of,
    whole_squares,
)
from tests.pictures import encode

SIDE = 32
SIZES = [(32, 32), (50, 20), (7, 90), (100, 100), (33, 32), (131, 77), (1, 200)]


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def logits(count: int, classes: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, classes, 4, 4)).astype(np.float32)


def joined(said: TiledAnswers) -> np.ndarray:
    parts = list(blended(said))
    assert [rows.start for rows, _ in parts[1:]] == [rows.stop for rows, _ in parts[:-1]]
    return np.concatenate([part for _, part in parts], axis=1)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
def test_the_fewest_tiles_cover_a_side_and_overlap_enough(overlap: float) -> None:
    for tile in (1, 2, 7, 32):
        for length in range(tile, 150):
            starts = np.array(tile_starts(length, tile, overlap))
            assert starts[0] == 0
            assert starts[-1] + tile == length
            steps = np.diff(starts)
            assert (steps > 0).all()
            most = max(1, int(tile * (1 - overlap)))
            assert (steps <= most).all()
            assert (len(starts) - 2) * most < length - tile or len(starts) == 1
            if len(steps):
                assert np.ptp(steps) <= 1, "at equal steps"


def test_weights_sum_to_one_and_fall_off_towards_inner_edges() -> None:
    for tile, length, overlap in ((32, 33, 0.25), (32, 100, 0.25), (10, 95, 0.5), (7, 7, 0.0)):
        starts = tile_starts(length, tile, overlap)
        weights = tile_weights(starts, tile, length)
        total = np.zeros(length)
        for start, of in zip(starts, weights, strict=True):
            total[start : start + tile] += of
        np.testing.assert_allclose(total, 1, rtol=1e-12)
        assert (weights > 0).all()
        for number, of in enumerate(weights):
            if number:
                assert of[0] < 1 / 3, "a tile fades in"
                assert (np.diff(of[: starts[number - 1] + tile - starts[number]]) > 0).all()
        assert weights[0][0] == weights[-1][-1] == 1, "the picture's border is wholly a tile's own"


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_that_fits_one_tile_is_seen_as_without_tiles(size: tuple[int, int]) -> None:
    content, how = encode(Image.fromarray(noise(*size))), Decoding(SIDE, 10**6, (5, 6, 7))
    expected = decode_square(content, how).pixels
    for tile in (0, max(size), 10**6):
        found = cut_picture(content, Cutting(how, tile, 0.25))
        np.testing.assert_array_equal(found.squares, expected[None])
        assert found.tiling == tiling_of(*size, SIDE)
        assert found.tiling.box == Letterbox(*size, SIDE)


def test_tiles_of_the_squares_own_side_are_parts_of_the_picture() -> None:
    pixels = noise(75, 50)
    how = Decoding(SIDE, 10**6, (0, 0, 0))
    found = cut_picture(encode(Image.fromarray(pixels)), Cutting(how, SIDE, 0.25))
    assert found.tiling.lefts == (0, 22, 43)
    assert found.tiling.tops == (0, 18)
    corners = [(0, 0), (22, 0), (43, 0), (0, 18), (22, 18), (43, 18)]
    assert found.tiling.corners == corners
    for square, (left, top) in zip(found.squares, corners, strict=True):
        np.testing.assert_array_equal(square, pixels[top : top + SIDE, left : left + SIDE])


def test_a_picture_lower_than_a_tile_has_oblong_ones() -> None:
    how = Decoding(SIDE, 10**6, (250, 0, 0))
    found = cut_picture(encode(Image.fromarray(noise(200, 20))), Cutting(how, 64, 0.25))
    assert (found.tiling.box.width, found.tiling.box.height) == (64, 20)
    assert len(found.tiling.tops) == 1
    for square in found.squares:
        assert (square[:11] == [250, 0, 0]).all()
        assert not (square[11:21] == [250, 0, 0]).all(axis=2).any()
        assert (square[21:] == [250, 0, 0]).all()


def test_too_many_tiles_are_refused() -> None:
    how = Decoding(SIDE, 10**8, (0, 0, 0))
    content = encode(Image.fromarray(np.zeros((3000, 3000, 3), dtype=np.uint8)))
    with pytest.raises(Refused, match=r"too many tiles: .* larger --tile"):
        cut_picture(content, Cutting(how, 32, 0.25))


@pytest.mark.parametrize("size", SIZES)
def test_logits_of_one_tile_are_those_of_the_square(size: tuple[int, int]) -> None:
    tiling, answers = tiling_of(*size, SIDE), logits(1)
    square = upsample(torch.from_numpy(answers), (SIDE, SIDE))[0]
    expected = Letterbox(*size, SIDE).logits_to_picture(square).numpy()
    found = joined(TiledAnswers(answers, tiling))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    if size == (SIDE, SIDE):
        np.testing.assert_array_equal(found, square)  # to the bit, as it was measured


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile", [16, 40])
def test_a_blended_constant_is_the_constant(size: tuple[int, int], tile: int) -> None:
    tiling = tiling_of(*size, SIDE, tile, 0.25)
    constant = np.array([3.0, -2.5, 0.125], dtype=np.float32)
    answers = np.broadcast_to(constant[:, None, None], (len(tiling), 3, 4, 4))
    found = joined(TiledAnswers(answers, tiling))
    assert found.shape == (3, size[1], size[0])
    np.testing.assert_allclose(
        found, np.broadcast_to(constant[:, None, None], found.shape), rtol=2e-6
    )


def slow_blend(answers: np.ndarray, tiling: Tiling) -> np.ndarray:
    """The mean over tiles at each pixel, weighted by the product of the distances to their ends."""
    box = tiling.box
    total = np.zeros((answers.shape[1], tiling.height, tiling.width))
    weight = np.zeros((tiling.height, tiling.width))
    for of, (left, top) in zip(answers, tiling.corners, strict=True):
        square = upsample(torch.from_numpy(of[None]), (SIDE, SIDE))[0]
        own = box.logits_to_picture(square).numpy().astype(float)
        for y in range(box.height):
            for x in range(box.width):
                near = min(x + 0.5, box.width - x - 0.5) * min(y + 0.5, box.height - y - 0.5)
                total[:, top + y, left + x] += near * own[:, y, x]
                weight[top + y, left + x] += near
    return total / weight


@pytest.mark.parametrize(("size", "tile"), [((75, 50), 32), ((90, 20), 24), ((61, 80), 50)])
def test_blending_is_the_weighted_mean_of_the_tiles(size: tuple[int, int], tile: int) -> None:
    tiling = tiling_of(*size, SIDE, tile, 0.3)
    answers = logits(len(tiling))
    assert len(tiling) > 2
    found = joined(TiledAnswers(answers, tiling))
    np.testing.assert_allclose(found, slow_blend(answers, tiling), atol=1e-5)


def test_rows_at_once_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    tiling = tiling_of(75, 50, SIDE, 32, 0.25)
    said = TiledAnswers(logits(len(tiling)), tiling)
    expected, mask = joined(said), find_mask(said, 2.0)
    monkeypatch.setattr(found_masks, "_AT_ONCE", 3 * 75 * 7)
    assert len(list(blended(said))) == 8
    np.testing.assert_array_equal(joined(said), expected)
    np.testing.assert_array_equal(find_mask(said, 2.0).mask, mask.mask)
    assert find_mask(said, 2.0).probability == pytest.approx(mask.probability, rel=1e-12)


def test_the_mask_is_the_likeliest_class_and_confidence_its_probability() -> None:
    tiling = tiling_of(75, 50, SIDE, 32, 0.25)
    said = TiledAnswers(logits(len(tiling), 4), tiling)
    whole = torch.from_numpy(joined(said)).double()
    found = find_mask(said, 3.0)
    np.testing.assert_array_equal(found.mask, whole.argmax(dim=0).numpy())
    assert found.confidence == pytest.approx(float(whole.softmax(0).amax(0).mean()), rel=1e-6)
    assert found.probability == pytest.approx(
        float((whole / 3).softmax(0).amax(0).mean()), rel=1e-6
    )
    np.testing.assert_allclose(found.shares, [(found.mask == k).mean() for k in range(4)])


# Boxes. A picture of 100 by 40 pixels in tiles of 40, which become squares of 80.
WIDE = tiling_of(100, 40, 80, 40, 0.25)  # tiles begin at 0, 30 and 60


def said_of(*rows: list[tuple[float, ...]], tiling: Tiling = WIDE) -> TiledAnswers:
    """Boxes of each tile in pixels of the PICTURE as the network would give them in its squares."""
    answers = np.full((len(rows), 5, 6), -1.0, dtype=np.float32)
    scale = tiling.box.side / tiling.box.width
    for number, (boxes, (left, top)) in enumerate(zip(rows, tiling.corners, strict=True)):
        for place, (x0, y0, x1, y1, score, label) in enumerate(boxes):
            corners = np.array([x0 - left, y0 - top, x1 - left, y1 - top]) * scale
            answers[number, place] = [*corners, score, label]
    return TiledAnswers(answers, tiling)


def test_boxes_return_to_the_pictures_own_pixels() -> None:
    assert WIDE.lefts == (0, 30, 60)
    said = said_of([(3, 4, 12, 20, 0.9, 1)], [(45, 5, 55, 25, 0.95, 0)], [(80, 0, 100, 40, 0.5, 1)])
    found = find_boxes(said, 0.5)
    expected = [[45, 5, 55, 25], [3, 4, 12, 20], [80, 0, 100, 40]]
    np.testing.assert_allclose(found.corners, expected, atol=1e-5)
    assert found.classes.tolist() == [0, 1, 1]
    np.testing.assert_allclose(found.scores, [0.95, 0.9, 0.5])
    assert found.size == (100, 40)


def test_a_thing_in_the_overlap_is_found_once() -> None:
    twice = said_of([(31, 5, 38, 30, 0.7, 0)], [(31.2, 5, 38.1, 30, 0.8, 0)], [])
    found = find_boxes(twice, 0.5)
    np.testing.assert_allclose(found.scores, [0.8])
    of_two_classes = said_of([(31, 5, 38, 30, 0.7, 1)], [(31.2, 5, 38.1, 30, 0.8, 0)], [])
    assert find_boxes(of_two_classes, 0.5).classes.tolist() == [0, 1]
    equal = said_of([(31, 5, 38, 30, 0.7, 0)], [(31.2, 5, 38.1, 30, 0.7, 0)], [])
    np.testing.assert_allclose(find_boxes(equal, 0.5).corners[:, 0], [31], atol=1e-5)


def test_a_cut_box_goes_where_a_neighbour_sees_more_of_it() -> None:
    """The first tile ends at 40, and its part of the thing is the surer one."""
    cut = said_of([(32, 5, 40, 30, 0.99, 0)], [(32, 5, 58, 30, 0.6, 0)], [])
    np.testing.assert_allclose(find_boxes(cut, 0.5).corners, [[32, 5, 58, 30]], atol=1e-5)
    nearly = said_of([(32, 5, 39.8, 30, 0.99, 1)], [(32, 5, 58, 30, 0.6, 0)], [])
    assert find_boxes(nearly, 0.5).classes.tolist() == [0], "whatever it was taken for"


def test_a_box_that_no_tile_sees_whole_stays() -> None:
    large = said_of([(5, 5, 40, 30, 0.9, 0)], [(30, 5, 58, 30, 0.6, 0)], [])
    assert len(find_boxes(large, 0.5).scores) == 2
    through = said_of([], [(30, 5, 70, 30, 0.6, 0)], [])
    assert len(find_boxes(through, 0.5).scores) == 1


def test_the_pictures_border_cuts_nothing() -> None:
    border = said_of(
        [(0, 0, 20, 40, 0.9, 0)], [(45, 0, 55, 40, 0.8, 1)], [(70, 0, 100, 40, 0.7, 0)]
    )
    assert len(find_boxes(border, 0.5).scores) == 3
    corners = np.array([[0, 0, 40, 40], [32, 0, 40, 40], [61, 0, 70, 40], [60, 0, 69.8, 40]])
    found = is_better_elsewhere(corners, np.array([0, 0, 2, 2]), WIDE)
    assert found.tolist() == [False, True, False, False]  # the last is cut in both
    inside = is_better_elsewhere(np.array([[60, 0, 69.0, 40]]), np.array([2]), WIDE)
    assert inside.tolist() == [True]


def test_boxes_of_one_tile_stay_as_they_are() -> None:
    tiling = tiling_of(40, 40, 80)
    same = [(0, 0, 20, 20, 0.9, 0), (0, 0, 20, 20, 0.8, 0), (5, 5, 40, 40, 0.8, 1)]
    found = find_boxes(said_of(same, tiling=tiling), 0.5)
    np.testing.assert_allclose(found.scores, [0.9, 0.8, 0.8])
    none = find_boxes(said_of([], tiling=tiling), 0.5)
    assert none.corners.shape == (0, 4)
    assert find_boxes(said_of([], [], []), 0.5).corners.shape == (0, 4)


def test_what_lies_in_the_padding_is_nothing() -> None:
    tiling = tiling_of(40, 20, 80)  # the picture has the rows from 20 to 60 of the square
    answers = np.full((1, 2, 6), -1.0, dtype=np.float32)
    answers[0] = [[10, 0, 30, 15, 0.9, 0], [10, 10, 30, 40, 0.8, 0]]
    found = find_boxes(TiledAnswers(answers, tiling), 0.5)
    np.testing.assert_allclose(found.corners, [[5, 0, 15, 10]])


def test_squares_are_pictures_of_their_own() -> None:
    squares = np.stack([noise(SIDE, SIDE, seed) for seed in range(3)])
    found = whole_squares(squares)
    assert [len(of.tiling) for of in found] == [1, 1, 1]
    assert found[0].tiling.box.content == (0, 0, SIDE, SIDE)
    np.testing.assert_array_equal(np.concatenate([of.squares for of in found]), squares)


def test_what_is_said_of_tiles_is_gathered_by_picture() -> None:
    sizes = [(32, 32), (75, 50), (20, 90)]
    tilings = [tiling_of(*size, SIDE, SIDE, 0.25) for size in sizes]
    of_each = [TiledPicture(np.zeros((len(of), 1, 1, 3), np.uint8), of) for of in tilings]
    counts = [1, 6, 4]
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(11, 5))).float()
    found = gathered(Seen(features, np.arange(11)), of_each)
    assert [of.answers.tolist() for of in found.answers] == [[0], [*range(1, 7)], [*range(7, 11)]]
    assert [of.tiling for of in found.answers] == tilings
    expected = [part.double().mean(dim=0) for part in features.split(counts)]
    torch.testing.assert_close(found.features.double(), torch.stack(expected), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.features[0], features[0], atol=0, rtol=0)
